import logging
import os
import threading
from collections import Counter

import pytest

from raygenex.errors import TrackingAway, TrackingError
from raygenex.tracking import outbox as module
from raygenex.tracking.outbox import Clock, Outbox


class FakeClock(Clock):
    """Waiting takes no time and moves the clock, of which each thread has its own."""

    def __init__(self):
        self.times = Counter()
        self.waits = []

    def now(self):
        return self.times[threading.current_thread().name]

    def wait(self, condition, seconds):
        # Long enough for the other thread to be seen.
        if not condition.wait(0.002):
            self.times[threading.current_thread().name] += seconds
            self.waits.append((threading.current_thread().name, seconds))


class Server:
    """An MLflow that is away for its first calls, and remembers what it was told."""

    def __init__(self, away=0):
        self.away = away
        self.calls = 0
        self.told = []

    def tell(self, value):
        def call():
            self.calls += 1
            if self.calls <= self.away:
                raise TrackingAway("MLflow at http://server does not answer (refused)")
            self.told.append(value)
            return value

        return call


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.INFO, "raygenex")
    return lambda level: [record.getMessage() for record in caplog.records if record.levelname == level]


def test_calls_are_made_in_order_and_leaving_waits_for_them(messages):
    server = Server()
    with Outbox("the training", 0.0, clock=FakeClock()) as outbox:
        for value in range(50):
            outbox.add(server.tell(value), f"epoch {value}")
    assert server.told == list(range(50))
    assert messages("WARNING") == messages("INFO") == []


def test_an_outage_is_one_warning_and_its_end_one_line(messages):
    server, clock = Server(away=5), FakeClock()
    with Outbox("the training", 300.0, clock=clock) as outbox:
        for value in range(3):
            outbox.add(server.tell(value), f"epoch {value}")
    assert server.told == [0, 1, 2]
    begins = [text for text in messages("WARNING") if "goes on" in text]
    assert len(begins) == 1
    assert begins[0].startswith("MLflow at http://server does not answer (refused); the training goes on, and ")
    ends = [text for text in messages("WARNING") if "answers again" in text]
    assert ends == ["MLflow answers again and has what waited for it: 3 entries of the training"]
    # Half a second, then twice as long each time.
    assert sum(seconds for name, seconds in clock.waits if name == "outbox") == 0.5 + 1 + 2 + 4 + 8


def test_pauses_grow_to_a_limit(messages):
    server, clock = Server(away=8), FakeClock()
    with Outbox("the training", 10_000.0, clock=clock) as outbox:
        outbox.add(server.tell(0), "epoch 0")
    assert sum(seconds for name, seconds in clock.waits if name == "outbox") == 0.5 + 1 + 2 + 4 + 8 + 10 + 10 + 10


def test_adding_never_waits_for_an_mlflow_that_hangs():
    release, server = threading.Event(), Server()
    with Outbox("the training", 300.0) as outbox:
        outbox.add(release.wait, "epoch 0")
        for value in range(100):
            outbox.add(server.tell(value), "an epoch")
        assert server.told == []
        release.set()
    assert server.told == list(range(100))


def test_what_mlflow_refuses_is_dropped_and_the_rest_delivered(messages):
    server = Server()

    def refused():
        raise TrackingError("MLflow at http://server refused: INVALID_PARAMETER_VALUE")

    def broken():
        raise KeyError("metric")

    with Outbox("the training", 300.0, clock=FakeClock()) as outbox:
        outbox.add(server.tell(0), "epoch 0")
        outbox.add(refused, "epoch 1")
        outbox.add(broken, "epoch 2")
        outbox.add(server.tell(3), "epoch 3")
    assert server.told == [0, 3]
    assert messages("WARNING") == [
        "epoch 1 of the training is not in MLflow: MLflow at http://server refused: INVALID_PARAMETER_VALUE",
        "epoch 2 of the training is not in MLflow: 'metric'",
    ]


def test_after_its_patience_it_says_what_is_lost_and_what_to_do(messages):
    server, clock = Server(away=10**6), FakeClock()
    outbox = Outbox("the training", 300.0, "train again", clock=clock).__enter__()
    outbox.add(server.tell(0), "epoch 0")
    outbox.add(server.tell(1), "epoch 1")
    with pytest.raises(TrackingError) as info:
        outbox.__exit__(None, None, None)
    assert str(info.value) == (
        "MLflow at http://server does not answer (refused), and lacks 2 entries of the training, from epoch 0 on: "
        "train again"
    )
    assert clock.now() >= 300.0
    assert any(text.startswith("waiting up to ") for text in messages("WARNING"))
    made = server.calls
    for thread in threading.enumerate():
        if thread.name == "outbox":
            thread.join(300)
            assert not thread.is_alive()
    assert server.calls == made


def test_an_error_inside_is_not_kept_waiting_nor_replaced(messages):
    server, clock = Server(away=10**6), FakeClock()
    outbox = Outbox("the training", 300.0, clock=clock).__enter__()
    outbox.add(server.tell(0), "epoch 0")
    error = ValueError("diverged")
    assert not outbox.__exit__(ValueError, error, None), "the error goes on"
    waited = sum(seconds for name, seconds in clock.waits if name != "outbox")
    assert waited <= module.HURRIED_S
    assert "lacks 1 entry of the training, from epoch 0 on" in messages("WARNING")[-1]


def test_a_question_is_answered_after_what_was_queued_before():
    server = Server(away=3)
    with Outbox("the training", 300.0, clock=FakeClock()) as outbox:
        outbox.add(server.tell(0), "epoch 0")
        assert outbox.ask(server.tell(1), "the stage") == 1
        assert server.told == [0, 1]


def test_a_question_ends_with_patience_and_is_not_asked_later(messages):
    server = Server(away=10**6)
    with Outbox("the training", 30.0, clock=FakeClock()) as outbox:
        with pytest.raises(TrackingError, match="and the stage cannot do without it"):
            outbox.ask(server.tell(0), "the stage")
        server.away = 0
    assert server.told == []


def test_a_question_raises_what_its_call_raises():
    def refused():
        raise TrackingError("no")

    with Outbox("the training", 30.0, clock=FakeClock()) as outbox, pytest.raises(TrackingError, match=r"^no$"):
        outbox.ask(refused, "the stage")


def test_mlflow_gives_up_soon_while_an_outbox_is_open_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "3")
    with Outbox("the training", 0.0):
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
        assert os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] == "3"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] == "3"
