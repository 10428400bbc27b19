import json

from mlflow import MlflowClient

from raygenex.config.load import parse_config
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker, flatten


def config(output, **tracking):
    return parse_config({"output": str(output), "tracking": tracking}, "test")


def test_parameters_are_flat_and_text():
    assert flatten({"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}) == {"a": "1", "b.c": "[1, 2]", "b.d.e": "None"}


def test_an_experiment_that_another_process_makes_in_the_same_moment_will_do(tmp_path, monkeypatch):
    first = Tracker(config(tmp_path))
    look, missed = MlflowClient.get_experiment_by_name, []

    def too_early(client, name):
        if not missed:
            missed.append(name)
            return None
        return look(client, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", too_early)
    assert Tracker(config(tmp_path)).experiment_id == first.experiment_id
    assert missed == ["raygenex"]


def test_more_files_than_mlflow_has_room_for_are_counted(tmp_path):
    tracker = Tracker(config(tmp_path))
    run_id = tracker.start("run", {}, {})
    paths = [f"/data/{'x' * 200}/{number}.h5" for number in range(500)]
    tracker.log_dataset(run_id, "train", paths, ["0" * 64] * 500, 7)
    (logged,) = MlflowClient(tracker.uri).get_run(run_id).inputs.dataset_inputs
    assert json.loads(logged.dataset.source) == {"uri": [paths[0], paths[-1]], "files": 500}


def test_a_run_ends_as_what_happened_inside(tmp_path):
    tracker = Tracker(config(tmp_path))
    ends = {}
    for error in (None, KeyboardInterrupt, SystemExit, RuntimeError):
        run_id = tracker.start("run", {"seed": "0"}, {"tag": "x"})
        try:
            with tracker.ending(run_id):
                if error:
                    raise error
        except BaseException:  # noqa: BLE001
            assert error is not None
        ends[error] = tracker.client.get_run(run_id).info.status
    assert ends == {None: "FINISHED", KeyboardInterrupt: "KILLED", SystemExit: "KILLED", RuntimeError: "FAILED"}
    tracker.log_metrics(run_id, {"auroc": 0.5, "loss": 1.0}, 3)
    assert tracker.client.get_metric_history(run_id, "auroc")[0].step == 3
    assert tracker.exists(run_id)
    assert not tracker.exists("0" * 32)


def test_numbers_that_are_sent_again_after_an_outage_stand_once(tmp_path):
    tracker = Tracker(config(tmp_path))
    run_id = tracker.start("run", {}, {})
    for _ in range(2):
        tracker.log_series(run_id, {0: {"loss": 1.0}, 1: {"loss": 0.5}}, measured_ms=1_700_000_000_000)
    history = tracker.client.get_metric_history(run_id, "loss")
    assert [(entry.step, entry.value) for entry in history] == [(0, 1.0), (1, 0.5)]


def test_the_end_of_a_run_goes_through_the_outbox(tmp_path):
    tracker = Tracker(config(tmp_path))
    run_id = tracker.start("run", {}, {})
    with Outbox("the training", 0.0) as outbox, tracker.ending(run_id, outbox):
        outbox.add(lambda: tracker.log_metrics(run_id, {"loss": 1.0}, 0), "epoch 0")
    run = tracker.client.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 1.0})
