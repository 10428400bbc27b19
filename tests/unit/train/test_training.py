import json

import pytest

from raygenex.errors import TrackingAway
from raygenex.tracking.outbox import Outbox
from raygenex.train.stopping import ENDED
from raygenex.train.training import UNTRACKED, TrackedTraining, describe


class Store:
    """What MLflow is told, by run and step."""

    def __init__(self, runs=("run", "child")):
        self.numbers = {run: {} for run in runs}
        self.ended = []
        self.away = False
        self.times = []

    def exists(self, run_id):
        return run_id in self.numbers

    def logged_steps(self, run_id, name):
        return {step for step, numbers in self.numbers[run_id].items() if name in numbers}

    def log_series(self, run_id, series, measured_ms=None):
        if self.away:
            raise TrackingAway("away")
        self.times.append(measured_ms)
        for step, numbers in series.items():
            kept = self.numbers[run_id].setdefault(step, {})
            assert not kept.keys() & numbers.keys(), "a number is logged once"
            kept.update(numbers)

    def end(self, run_id, status):
        self.ended.append((run_id, status))


def epoch(number):
    return {"epoch": number, "train_loss": 1.0 + number, "valid_loss": 2.0 + number, "valid_auroc": 0.5, "score": 9.0}


def numbers(number):
    return {"epoch_train_loss": 1.0 + number, "epoch_valid_loss": 2.0 + number, "epoch_valid_auroc": 0.5}


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def training(store, tmp_path):
    return TrackedTraining(None, None, tmp_path, {}, store, "run", Outbox("the test", 0.0))


def test_epochs_go_through_the_outbox(training, store):
    shown = []
    with training.outbox:
        show = training.epoch_shower(lambda steps, note: shown.append((steps, note)))
        show(epoch(0))
        show(epoch(1))
    assert store.numbers["run"] == {0: numbers(0), 1: numbers(1)}
    assert shown == [(1, "valid AUROC 0.5000")] * 2


def test_the_time_of_an_epoch_is_when_the_worker_ended_it(training, store):
    with training.outbox:
        training.epoch_shower(lambda steps, note: None)(epoch(0) | {ENDED: 1700000000.5})
    assert store.times == [1700000000500]


def test_what_mlflow_lacks_is_completed_once(training, store):
    store.numbers["run"] = {0: numbers(0), 1: {"autoencoder_train_loss": 3.0}}
    store.numbers["child"] = {0: {"triplet_loss": 0.5}}
    training.remember_epochs([epoch(0), epoch(1)])
    training.remember({0: {"autoencoder_train_loss": 4.0}, 1: {"autoencoder_train_loss": 3.0}})
    training.series["child"] = {0: {"triplet_loss": 0.5}, 1: {"triplet_loss": 0.25}}
    training.series["deleted"] = {0: {"triplet_loss": 1.0}}
    training.complete_series()
    assert store.numbers == {
        "run": {
            0: numbers(0) | {"autoencoder_train_loss": 4.0},
            1: numbers(1) | {"autoencoder_train_loss": 3.0},
        },
        "child": {0: {"triplet_loss": 0.5}, 1: {"triplet_loss": 0.25}},
    }
    assert store.ended == [("child", "FINISHED")]


def test_another_process_completes_what_was_kept(training, store, tmp_path):
    training.remember_epochs([epoch(0)])
    training.series["child"] = {3: {"triplet_loss": 0.25}}
    training.save_series()
    assert [path.name for path in tmp_path.iterdir()] == [UNTRACKED]
    assert json.loads((tmp_path / UNTRACKED).read_text())["child"] == {"3": {"triplet_loss": 0.25}}
    later = TrackedTraining(None, None, tmp_path, {}, store, "run", Outbox("the test", 0.0))
    later.load_series()
    assert later.series == training.series
    later.complete_series()
    assert store.numbers == {"run": {0: numbers(0)}, "child": {3: {"triplet_loss": 0.25}}}


def test_an_epoch_of_many_targets_is_one_short_line():
    few = {"train_loss": 0.5, "valid_loss": 0.6} | {f"valid_t{number}_pearson": number / 10 for number in range(4)}
    assert "valid_t3_pearson 0.3000" in describe(few)
    many = few | {f"valid_t{number}_pearson": number / 100 for number in range(4, 20)} | {"valid_score": 0.25}
    assert describe(many) == (
        "train_loss 0.5000  valid_loss 0.6000  valid_score 0.2500  of 20 targets 0.0000 to 0.3000"
    )
