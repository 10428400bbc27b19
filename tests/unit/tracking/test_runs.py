import json

from mlflow import MlflowClient

from raygenex import __version__
from raygenex.config.load import parse_config
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker, flatten, training_params


def config(output, **tracking):
    return parse_config({"output": str(output), "tracking": tracking}, "test")


def test_parameters_are_flat_and_text():
    assert flatten({"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}) == {"a": "1", "b.c": "[1, 2]", "b.d.e": "None"}


def sections(values):
    return {key.partition(".")[0] for key in values}


def test_a_training_has_the_settings_that_it_uses():
    always = {"name", "output", "seed", "data", "check", "backbone", "model", "train", "tracking", "cluster"}
    bases = parse_config({"model": {"kind": "cnn_halflife_raw"}}, "test").dump()
    found = training_params(bases)
    assert sections(found) == always
    assert found == {key: value for key, value in flatten(bases).items() if key.partition(".")[0] in always}
    embedded = parse_config({"backbone": {"kind": "hyenadna"}, "simulate": {"train": 9}}, "test").dump()
    assert sections(training_params(embedded, "tune")) == always | {"embed", "halflife", "simulate", "tune"}
    built = parse_config(
        {"build": {"genome": "a.fa", "annotation": "a.gtf", "label": {"table": "a.tsv"}}}, "test"
    ).dump()
    assert sections(training_params(built)) == always | {"halflife", "build", "split"}


def test_a_run_says_where_it_comes_from_in_an_experiment_of_models(tmp_path, monkeypatch):
    monkeypatch.setattr("raygenex.tracking.runs.run_tags", lambda: {"mlflow.user": "ada", "mlflow.source.name": "a b"})
    tracker = Tracker(config(tmp_path))
    run = tracker.client.get_run(tracker.start("run", {}, {"raygenex.stage": "train"}))
    tags = run.data.tags
    assert (tags["mlflow.user"], tags["mlflow.source.name"]) == ("ada", "a b")
    assert tags["mlflow.note.content"] == f"`train` of raygenex {__version__}, files in `{tmp_path}/run`"
    assert run.info.user_id == "ada"
    kind = tracker.client.get_experiment(tracker.experiment_id).tags["mlflow.experimentKind"]
    assert kind == "custom_model_development"


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
