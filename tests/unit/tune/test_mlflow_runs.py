"""A study in MLflow, in a SQLite store."""

import pytest

from raygenex.config.load import parse_config
from raygenex.errors import TrackingAway
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker
from raygenex.tune.mlflow_runs import StudyTrack
from raygenex.tune.records import TrialRecord
from raygenex.tune.space import Space


def record(number, state="finished", epochs=2):
    history = [
        {"epoch": float(epoch), "train_loss": 0.7, "valid_loss": 0.6, "valid_auroc": 0.5 + 0.1 * epoch}
        for epoch in range(epochs)
    ]
    values = {"valid_auroc": 0.5 + 0.1 * (epochs - 1)} if state in ("finished", "stopped") else {}
    return TrialRecord(
        number=number, params={"model.dropout": 0.1}, state=state, reason="why", history=history, values=values
    )


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    return Tracker(parse_config({"output": str(tmp_path_factory.mktemp("mlflow"))}, "test"))


@pytest.fixture
def study(tracker):
    """Return a function that opens the study anew, as another process would, and the id of its run."""
    space = Space(parse_config({"tune": {"space": {"model.dropout": {"uniform": [0, 0.8]}}}}, "test"))
    parent = tracker.start("study", {}, {"raygenex.stage": "tune"})

    def open_track(outbox):
        return StudyTrack(tracker, outbox, parent, space)

    return open_track, parent


def children(tracker, parent):
    return {int(run.data.tags["raygenex.trial"]): run for run in tracker.children(parent, "trial")}


def steps(tracker, run, name="epoch_valid_auroc"):
    return sorted(entry.step for entry in tracker.client.get_metric_history(run.info.run_id, name))


def tell(track, one, best):
    track.begin(one)
    for metrics in one.history:
        track.epoch(one, metrics)
    if one.ended:
        track.end(one, best)


def test_a_trial_has_one_run_with_everything(tracker, study):
    open_track, parent = study
    with Outbox("the test", 10.0) as outbox:
        track = open_track(outbox)
        tell(track, record(0), record(0))
        tell(track, record(1, "failed", 1), record(0))
    runs = children(tracker, parent)
    assert [runs[number].info.status for number in (0, 1)] == ["FINISHED", "FAILED"]
    assert runs[0].data.params["model.dropout"] == "0.1"
    assert runs[0].data.params["train.epochs"] == "50"
    assert (runs[1].data.tags["raygenex.state"], runs[1].data.tags["raygenex.reason"]) == ("failed", "why")
    assert steps(tracker, runs[0]) == [0, 1]
    assert steps(tracker, tracker.client.get_run(parent), "trial_valid_auroc") == [0]


def test_what_a_killed_process_did_not_deliver_is_completed_and_nothing_else_changes(tracker, study):
    open_track, parent = study
    with Outbox("the test", 10.0) as outbox:
        track = open_track(outbox)
        tell(track, record(0), record(0))
        tell(track, record(1, "running", 1), None)
    before = children(tracker, parent)[0]
    known = [record(0), record(1), record(2, "stopped"), record(3, "running", 1)]
    for _ in range(2):
        with Outbox("the test", 10.0) as outbox:
            track = open_track(outbox)
            track.adopt(known)
            track.close(known)
    runs = children(tracker, parent)
    assert sorted(runs) == [0, 1, 2, 3]
    assert len(tracker.children(parent, "trial")) == 4
    assert [runs[number].info.status for number in range(4)] == ["FINISHED", "FINISHED", "FINISHED", "KILLED"]
    assert [steps(tracker, runs[number]) for number in range(4)] == [[0, 1], [0, 1], [0, 1], [0]]
    assert runs[0].info.end_time == before.info.end_time
    assert len(tracker.client.get_metric_history(runs[0].info.run_id, "trial_epochs")) == 1
    assert steps(tracker, tracker.client.get_run(parent), "best_valid_auroc") == [0, 1, 2]


def test_a_run_that_is_begun_while_mlflow_goes_away_is_made_once(tracker, study, monkeypatch):
    open_track, parent = study
    log, away = tracker.log_params, [True]

    def log_params(run_id, params):
        if away.pop() if away else False:
            raise TrackingAway("MLflow does not answer")
        log(run_id, params)

    monkeypatch.setattr(tracker, "log_params", log_params)
    monkeypatch.setattr(tracker, "start", lambda *args, start=tracker.start: start(*args))
    with Outbox("the test", 30.0) as outbox:
        track = open_track(outbox)
        # Params of the run itself are logged by the call that fails once.
        away.append(False)
        tell(track, record(0), record(0))
    assert len(tracker.children(parent, "trial")) == 1


def test_a_trial_that_begins_as_the_driver_is_interrupted_does_not_stay_running(tracker, study):
    open_track, parent = study
    one = record(0, "running", 0)
    with Outbox("the test", 10.0) as outbox:
        track = open_track(outbox)
        track.begin(one)
        track.close([one])
    assert children(tracker, parent)[0].info.status == "KILLED"


def test_of_two_runs_of_one_trial_one_is_ended(tracker, study):
    open_track, parent = study
    tags = {"raygenex.stage": "trial", "raygenex.trial": "0"}
    for _ in range(2):
        tracker.start("twice", {}, tags, parent)
    with Outbox("the test", 10.0) as outbox:
        open_track(outbox).adopt([record(0)])
    states = sorted(run.info.status for run in tracker.children(parent, "trial"))
    assert states == ["FINISHED", "KILLED"]
