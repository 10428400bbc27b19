import pytest

from raygenex.terminal import progress as module
from raygenex.terminal.progress import duration, progress, steps


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set by hand."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def said(monkeypatch):
    """The lines that progress logs."""
    lines = []
    monkeypatch.setattr(module.logger, "info", lambda form, *values: lines.append(form % values))
    return lines


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(clock, said):
    with progress("embedding genes", 2560, done=560) as advance:
        for seconds, steps_done in ((10, 100), (31, 100), (50, 100), (62, 200)):
            clock[0] = 100.0 + seconds
            advance(steps_done, "")
    # Since the first report: 100 genes in 21 s leave 1,800: 378 s; 400 in 52 s leave 1,500: 195 s.
    assert said == [
        "embedding genes: 760 of 2,560, about 6 min left",
        "embedding genes: 1,060 of 2,560, about 3 min left",
    ]


def test_the_start_of_the_workers_is_not_counted(clock, said):
    with progress("training epochs", 10) as advance:
        for seconds in (50, 55, 85):
            clock[0] = 100.0 + seconds
            advance(1, "")
    # The first epoch came after 50 s, the next after 5: two in 35 s leave seven.
    assert said == ["training epochs: 1 of 10", "training epochs: 3 of 10, about 2 min left"]


def test_short_work_and_its_end_say_nothing(clock, said):
    with progress("trials", 2) as advance:
        clock[0] += 29.0
        advance(1, "")
        clock[0] += 300.0
        advance(1, "")
    assert said == []


def test_steps_tell_how_far_they_are(clock, said):
    with steps("comparing promoters") as report:
        report(0, 1000)
        clock[0] += 40.0
        report(800, 1000)
    assert said == ["comparing promoters: 800 of 1,000, about 10 s left"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (5340, "89 min"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text
