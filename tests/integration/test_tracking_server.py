"""An MLflow server that several processes log to, and that goes away in the middle."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from toy_commands import command, last_epoch, wait_for, write
from toy_server import MlflowServer, mlflow_server

import raygenex.train.complete
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.errors import TrackingError
from raygenex.evaluate import evaluate
from raygenex.train.checkpoint import read_info
from raygenex.train.run import train
from raygenex.train.state import read_state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EPOCHS = 90


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with mlflow_server(folder) as running:
        yield running


def find_run(client: MlflowClient, name: str) -> Any:
    """Return the one run of a name."""
    experiment = client.get_experiment_by_name("raygenex")
    (run,) = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == name]
    return run


def logistic(make_config: Callable[..., RunConfig], server: MlflowServer, patience_s: float) -> RunConfig:
    """Return the configuration of a model that is fitted in this process."""
    config = make_config(train={"workers": 1}, tracking={"uri": server.uri, "patience_s": patience_s})
    return parse_config(config.dump() | {"model": {"kind": "logistic"}}, "the test's configuration")


def files(client: MlflowClient, run_id: str, folder: str) -> set[str]:
    return {Path(entry.path).name for entry in client.list_artifacts(run_id, folder)}


def test_two_trainings_lose_nothing_while_the_server_is_away(
    make_config: Callable[..., RunConfig], tmp_path: Path, server: MlflowServer
):
    """The server dies while two processes log epochs, and comes back: every epoch stands there exactly once."""
    configs = [
        make_config(
            name=kind,
            model={"kind": kind},
            halflife={"epochs": 5},
            train={"workers": 1, "epochs": EPOCHS, "learning_rate": 1e-4},
            tracking={"uri": server.uri},
            cluster={"object_store_gib": 0.3},
        )
        for kind in ("cnn_halflife_encoded", "cnn_dna_only")
    ]
    paths = [write(config, tmp_path) for config in configs]
    with command("train", paths[0]) as first, command("train", paths[1]) as second:
        running = (first, second)
        wait_for("epochs of both", lambda: min(map(last_epoch, configs)) >= 3, *running)
        server.stop()
        for config, process in zip(configs, running, strict=True):
            wait_for("the warning", lambda process=process: "goes on" in process.errors(), process)
            reached = last_epoch(config)
            # With the server away, epochs go on; unless they are all done already.
            wait_for(
                "epochs without a server",
                lambda config=config, reached=reached: last_epoch(config) >= min(reached + 5, EPOCHS - 1),
                process,
            )
        server.start()
        errors = [process.finish() for process in running]
    client = MlflowClient(tracking_uri=server.uri)
    for config, text in zip(configs, errors, strict=True):
        assert text.count("; the training of ") == 1, text
        assert f"MLflow at {server.uri} does not answer" in text
        assert "MLflow answers again and has what waited for it" in text
        assert "Traceback" not in text
        run = find_run(client, config.name)
        assert run.info.status == "FINISHED"
        history = read_info(Path(config.folder, "checkpoint")).history
        assert len(history) == EPOCHS
        for metric in ("train_loss", "valid_loss", "valid_auroc"):
            logged = client.get_metric_history(run.info.run_id, f"epoch_{metric}")
            assert sorted((entry.step, entry.value) for entry in logged) == [
                (int(epoch["epoch"]), epoch[metric]) for epoch in history
            ]
        assert files(client, run.info.run_id, "checkpoint") == {"checkpoint.json", "model.safetensors"}
        assert files(client, run.info.run_id, "figures") == {"loss.png"}
    child = find_run(client, "cnn_halflife_encoded-halflife")
    assert child.info.status == "FINISHED"
    logged = client.get_metric_history(child.info.run_id, "triplet_loss")
    assert sorted(entry.step for entry in logged) == list(range(5))


def test_a_training_without_a_server_at_its_end_is_kept_and_completed(
    make_config: Callable[..., RunConfig],
    server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """After its patience the checkpoint is in place, one sentence says so, and the same call completes MLflow."""
    caplog.set_level(logging.INFO, "raygenex")
    config = logistic(make_config, server, patience_s=2.0)
    choose = raygenex.train.complete.choose_threshold

    def choose_alone(*arguments: Any) -> Any:
        # The fit is done, and MLflow lacks its end.
        server.stop()
        return choose(*arguments)

    monkeypatch.setattr(raygenex.train.complete, "choose_threshold", choose_alone)
    with pytest.raises(TrackingError) as info:
        train(config)
    assert "\n" not in str(info.value)
    assert f"MLflow at {server.uri} does not answer" in str(info.value)
    assert f"what is trained is in {config.folder}, and the same command completes MLflow" in str(info.value)
    kept = Path(config.folder, "checkpoint", "model.safetensors").stat().st_mtime_ns
    state = read_state(Path(config.folder))
    assert state is not None
    assert (state.trained, state.finished) == (True, False)
    with pytest.raises(TrackingError, match=rf"^no MLflow server answers at {server.uri} "):
        train(config)

    server.start()
    caplog.clear()
    monkeypatch.setattr(raygenex.train.complete, "choose_threshold", None)
    result = train(config)
    assert "is trained already: completing MLflow" in caplog.text
    assert (result.reused, result.run_id) == (True, state.run_id)
    assert Path(config.folder, "checkpoint", "model.safetensors").stat().st_mtime_ns == kept
    assert not Path(config.folder, "untracked.json").exists()
    client = MlflowClient(tracking_uri=server.uri)
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["best_valid_auroc"] == result.metrics["auroc"]
    history = read_info(Path(config.folder, "checkpoint")).history
    logged = client.get_metric_history(result.run_id, "epoch_valid_auroc")
    assert sorted(entry.step for entry in logged) == [int(epoch["epoch"]) for epoch in history]
    assert "checkpoint.json" in files(client, result.run_id, "checkpoint")
    caplog.clear()
    assert train(config).reused
    assert "reusing it" in caplog.text


def test_an_evaluation_without_a_server_is_completed_by_the_next(
    ray_cluster: None,
    make_config: Callable[..., RunConfig],
    server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
):
    """Its numbers are kept, and reach MLflow with the next call, which measures nothing again."""
    config = logistic(make_config, server, patience_s=1.0)
    result = train(config)
    score = raygenex.evaluate.score_rows

    def score_alone(*arguments: Any) -> Any:
        server.stop()
        return score(*arguments)

    monkeypatch.setattr(raygenex.evaluate, "score_rows", score_alone)
    with pytest.raises(TrackingError, match="and the evaluation cannot do without it"):
        evaluate(config, "valid")
    server.start()
    monkeypatch.setattr(raygenex.evaluate, "score_rows", None)
    evaluation = evaluate(config, "valid")
    assert evaluation.reused
    client = MlflowClient(tracking_uri=server.uri)
    metrics = client.get_run(result.run_id).data.metrics
    assert metrics["valid_auroc"] == evaluation.metrics["auroc"].value
