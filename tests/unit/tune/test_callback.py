"""What the driver writes down when Ray Tune tells it of a trial."""

import math
import pickle
from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError, RayTaskError

from raygenex.config.tune import TuneConfig
from raygenex.errors import DataError
from raygenex.tune.callback import StudyCallback
from raygenex.tune.fit_workers import RUNNING, STOP
from raygenex.tune.ray_private import OutOfMemory, memory_losses_recovered
from raygenex.tune.records import Ledger, StudyState
from raygenex.tune.search import ENDED, EPOCHS, FAILED

OPTIONS = TuneConfig(trials=3, parallel=2, max_failures=0)


class Track:
    """Remembers what MLflow would be told."""

    def __init__(self):
        self.told = []

    def begin(self, record):
        self.told.append(("begin", record.number))

    def epoch(self, record, metrics):
        self.told.append(("epoch", record.number, metrics["epoch"]))

    def end(self, record, best):
        self.told.append(("end", record.number, record.state, best and best.number))


@pytest.fixture
def study(tmp_path):
    ledger, track = Ledger(tmp_path), Track()
    ledger.begin(StudyState(identity="x", run_id="y"))
    return ledger, track, StudyCallback(ledger, track, OPTIONS, lambda amount, note: None)


def trial(number, **more):
    return SimpleNamespace(config={"number": number, "params": {"a": number}}, **more)


def result(epochs, auroc, ended="", **more):
    metrics = {"epoch": epochs - 1.0, "train_loss": 0.5, "valid_loss": 0.5, "valid_auroc": auroc}
    return {"metrics": metrics, EPOCHS: epochs, ENDED: ended, FAILED: "", "training_s": 2.0} | more


def failed(reason):
    return {FAILED: reason, "training_s": 1.0, "valid_auroc": math.nan}


def report(watch, one, *results):
    watch.on_trial_start(0, [], one)
    for entry in results:
        watch.on_trial_result(0, [], one, entry)


def test_a_trial_that_ends_by_itself(study):
    ledger, track, watch = study
    report(watch, trial(0), result(1, 0.7), result(2, 0.6, "all 2 epochs", latency_ms=3.0))
    watch.on_trial_complete(0, [], trial(0))
    record = ledger.records[0]
    assert (record.state, record.reason, record.training_s) == ("finished", "all 2 epochs", 4.0)
    assert record.values == {"valid_auroc": 0.7, "latency_ms": 3.0}
    assert [entry["valid_auroc"] for entry in record.history] == [0.7, 0.6]
    assert track.told == [("begin", 0), ("epoch", 0, 0.0), ("epoch", 0, 1.0), ("end", 0, "finished", 0)]
    again = Ledger(ledger.folder)
    again.read()
    assert again.records[0] == record


def test_a_trial_that_asha_stopped_counts_with_its_best(study):
    ledger, track, watch = study
    report(watch, trial(0), result(1, 0.9, "all 1 epochs"))
    watch.on_trial_complete(0, [], trial(0))
    report(watch, trial(1), result(1, 0.8))
    watch.on_trial_complete(0, [], trial(1))
    record = ledger.records[1]
    assert (record.state, record.reason) == ("stopped", "poorer than others after 1 epoch")
    assert record.score == 0.8
    assert track.told[-1] == ("end", 1, "stopped", 0)


def test_a_trial_that_failed_has_its_reason_and_no_result(study):
    ledger, track, watch = study
    report(watch, trial(0), result(1, 0.9), failed("training diverged in epoch 1"))
    watch.on_trial_complete(0, [], trial(0))
    record = ledger.records[0]
    assert (record.state, record.reason) == ("failed", "training diverged in epoch 1")
    assert len(record.history) == 1
    assert ledger.scored == []
    assert track.told[-1] == ("end", 0, "failed", None)


def test_epochs_that_come_again_after_a_loss_are_written_down_once(study):
    ledger, track, watch = study
    report(watch, trial(0), result(1, 0.7), result(2, 0.8))
    report(watch, trial(0), result(1, 0.7), result(2, 0.8), result(3, 0.75, "all 3 epochs"))
    watch.on_trial_complete(0, [], trial(0))
    record = ledger.records[0]
    assert [entry["epoch"] for entry in record.history] == [0.0, 1.0, 2.0]
    assert record.lost == 1
    assert [call for call in track.told if call[0] == "epoch"] == [
        ("epoch", 0, 0.0),
        ("epoch", 0, 1.0),
        ("epoch", 0, 2.0),
    ]
    assert track.told.count(("begin", 0)) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OutOfMemory(), "its process was ended once because its node had no memory left: lower tune.parallel"),
        (RayActorError(), "its process or its node was lost once, perhaps for want of memory"),
        (RayTaskError("f", "trace", DataError("row 3 is bad")), "row 3 is bad"),
        (RayTaskError("f", "trace", KeyError("k")), "KeyError: 'k'"),
    ],
)
def test_a_trial_that_ray_tune_gave_up(study, tmp_path, error, reason):
    ledger, _, watch = study
    path = tmp_path / "error.pkl"
    path.write_bytes(pickle.dumps(error))
    report(watch, trial(0))
    watch.on_trial_error(0, [], trial(0, pickled_error_file=str(path)))
    assert (ledger.records[0].state, ledger.records[0].reason) == ("failed", reason)
    watch.on_trial_error(0, [], trial(1, pickled_error_file=str(path)))
    assert ledger.records[1].state == "failed"


def test_the_callback_can_be_pickled_by_ray_tune(study):
    pickle.dumps(study[2])


def test_a_trial_that_ray_tune_gave_up_without_an_error_it_knows(study):
    ledger, _, watch = study
    report(watch, trial(0))
    watch.on_trial_error(0, [], trial(0, pickled_error_file=None))
    assert (ledger.records[0].state, ledger.records[0].reason) == ("failed", "Ray Tune gave it up")


def test_memory_that_is_gone_is_a_loss_that_ray_tune_recovers_from():
    """Ray's own error for it would end the whole search."""
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import OutOfMemoryError

    told = []
    actor = SimpleNamespace(actor_id=1, _on_error=lambda actor, error: told.append(error))
    task = SimpleNamespace(_tracked_actor=actor, _on_error=None)
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    with pytest.raises(RuntimeError, match="unexpected"):
        RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=OutOfMemoryError("no memory"))
    with memory_losses_recovered():
        RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=OutOfMemoryError("no memory"))
    assert [type(error) for error in told] == [OutOfMemory]
    with pytest.raises(RuntimeError, match="unexpected"):
        RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=OutOfMemoryError("no memory"))


def test_time_adds_up_over_the_processes_that_had_a_trial(study):
    ledger, track, watch = study
    report(watch, trial(0), result(1, 0.7))
    ledger.records[0].wall_s = 100.0
    later = StudyCallback(ledger, track, OPTIONS, lambda amount, note: None)
    report(later, trial(0), result(1, 0.7), result(2, 0.8, "all 2 epochs"))
    later.on_trial_complete(0, [], trial(0))
    assert 100.0 <= ledger.records[0].wall_s < 160.0


def test_a_stopped_trial_counts_up_to_where_it_was_stopped(study):
    """An earlier process had trained it further."""
    ledger, track, watch = study
    report(watch, trial(0), result(1, 0.7), result(2, 0.6), result(3, 0.9))
    later = StudyCallback(ledger, track, OPTIONS, lambda amount, note: None)
    report(later, trial(0), result(1, 0.7), result(2, 0.6))
    later.on_trial_complete(0, [], trial(0))
    record = ledger.records[0]
    assert (record.state, record.score, len(record.history)) == ("stopped", 0.7, 2)


def test_workers_of_a_stopped_trial_are_asked_to_stop_and_waited_for(study):
    import threading

    ledger, _, watch = study
    folder = ledger.trial_folder(0)
    folder.mkdir()
    (folder / RUNNING).touch()

    def work():
        while not (folder / STOP).exists():
            pass
        (folder / RUNNING).unlink()

    worker = threading.Thread(target=work)
    worker.start()
    report(watch, trial(0), result(1, 0.7))
    watch.on_trial_complete(0, [], trial(0))
    worker.join(5)
    assert not (folder / RUNNING).exists()


def test_a_trial_that_was_lost_before_its_first_step_comes_again_in_another_pass(tmp_path):
    ledger, track = Ledger(tmp_path), Track()
    ledger.begin(StudyState(identity="x", run_id="y"))
    path = tmp_path / "error.pkl"
    path.write_bytes(pickle.dumps(RayActorError()))
    lost = trial(0, pickled_error_file=str(path))
    options = TuneConfig(trials=3, parallel=2, max_failures=2)
    for losses in (1, 2):
        watch = StudyCallback(ledger, track, options, lambda amount, note: None)
        report(watch, trial(0))
        watch.on_trial_error(0, [], lost)
        assert (ledger.records[0].state, ledger.records[0].lost) == ("running", losses)
    watch = StudyCallback(ledger, track, options, lambda amount, note: None)
    report(watch, trial(0))
    watch.on_trial_error(0, [], lost)
    assert ledger.records[0].reason == "its process or its node was lost 3 times, perhaps for want of memory"
    assert ledger.records[0].state == "failed"
