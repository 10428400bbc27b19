"""A study on Ray Tune: its trials, its memory, and what MLflow has of it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from toy_cluster import ToyCluster
from toy_commands import command, end, find_worker, wait_for, write

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import read_info
from raygenex.train.run import plan_train
from raygenex.tune.records import Ledger, TrialRecord
from raygenex.tune.run import TuneResult, tune

HUGE = 2**31 - 1
SPACE = {
    "model.dropout": {"uniform": [0.0, 0.5]},
    "model.width": {"choice": [16, HUGE]},
    "train.learning_rate": {"log_uniform": [1e-4, 1e30]},
}
FAST = {"model.dropout": {"uniform": [0.0, 0.5]}, "train.learning_rate": {"log_uniform": [1e-4, 1e-2]}}
TRAIN = {"epochs": 15, "workers": 1}
# What Ray calls the process of a trial.
TITLE = "ResourceTrainable"


def records(config: RunConfig) -> dict[int, TrialRecord]:
    ledger = Ledger(Path(config.folder, "tune"))
    ledger.read()
    return ledger.records


def runs(config: RunConfig, stage: str) -> list[Any]:
    client = MlflowClient(tracking_uri(config))
    experiment = client.get_experiment_by_name("raygenex").experiment_id
    return client.search_runs([experiment], f"tags.`raygenex.stage` = '{stage}'")


def check_mlflow(config: RunConfig) -> None:
    """Check that MLflow has the study, a run a trial with every epoch exactly once, and nothing that still runs."""
    client = MlflowClient(tracking_uri(config))
    (parent,) = runs(config, "tune")
    assert parent.info.status == "FINISHED"
    known = records(config)
    children = {int(run.data.tags["raygenex.trial"]): run for run in runs(config, "trial")}
    assert len(children) == len(runs(config, "trial"))
    assert sorted(children) == sorted(known)
    for number, run in children.items():
        record = known[number]
        assert run.info.status == ("FAILED" if record.state == "failed" else "FINISHED")
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["raygenex.state"] == record.state
        assert run.data.tags["raygenex.reason"] == record.reason
        for key, value in record.params.items():
            assert run.data.params[key] == str(value)
        series = client.get_metric_history(run.info.run_id, "epoch_valid_auroc")
        assert [(entry.step, entry.value) for entry in sorted(series, key=lambda entry: entry.step)] == [
            (int(entry["epoch"]), entry["valid_auroc"]) for entry in record.history
        ]


def study(make_config: Callable[..., RunConfig], space: dict[str, Any], **options: Any) -> RunConfig:
    train = {"epochs": 6, "workers": 1} | options.pop("train", {})
    cluster = options.pop("cluster", {})
    name = options.pop("name", "study")
    options = {"space": space, "trials": 6, "parallel": 2, "grace_epochs": 1, "seeds": []} | options
    return make_config(name=name, train=train, tune=options, cluster=cluster)


def test_a_study_goes_through_failures_is_resumed_and_leaves_what_it_found(
    ray_cluster: None, make_config: Callable[..., RunConfig]
):
    """A trial that wants more memory than there is and one that diverges fail alone; two more trials repeat none."""
    first = [{}, {"model.width": HUGE}, {"train.learning_rate": 1e30}]
    config = study(make_config, SPACE, first=first, sampler="random")
    result = tune(config)
    assert result.trials == 6
    known = records(config)
    assert known[0].params == {"model.dropout": 0.2, "model.width": 16, "train.learning_rate": 1e-3}
    assert (known[0].state, known[0].reason) == ("finished", "all 6 epochs")
    assert known[1].state == "failed"
    assert "memory" in known[1].reason
    assert known[2].state == "failed"
    assert "training diverged in epoch" in known[2].reason
    assert result.best == max((one for one in known.values() if one.scored), key=lambda one: one.score).number
    check_mlflow(config)

    more = study(make_config, SPACE, first=first, sampler="random", trials=8)
    with pytest.raises(ConfigError, match=r"a study with 6 of 8 trials: pass --resume .* or --force"):
        tune(more)
    again = tune(more, resume=True)
    assert again.trials == 8
    grown = records(more)
    assert {number: grown[number] for number in range(6)} == known
    assert len({json.dumps(one.params) for one in grown.values()}) == 8
    check_mlflow(more)

    check_files(config, again)
    assert tune(more).trials == 8


def check_files(config: RunConfig, result: TuneResult) -> None:
    folder = Path(result.folder)
    rows = list(csv.DictReader((folder / "trials.csv").open()))
    assert [int(row["trial"]) for row in rows] == list(range(8))
    best = load_config(folder / "best.yaml")
    assert best.model.dropout == result.params["model.dropout"]
    assert plan_train(best, force=False).startswith("train: cnn_halflife_encoded, 6 epochs at most")
    (parent,) = runs(config, "tune")
    client = MlflowClient(tracking_uri(config))
    names = {Path(entry.path).name for entry in client.list_artifacts(parent.info.run_id, "tune")}
    assert names == {"trials.csv", "best.yaml", "plots.html"}
    series = client.get_metric_history(parent.info.run_id, "trial_valid_auroc")
    assert sorted(entry.step for entry in series) == sorted(
        number for number, one in records(config).items() if one.scored
    )
    assert [path.name for path in Path(config.folder, "tune").iterdir() if path.name == "ray_tune"] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_best_is_trained_anew_measured_once_and_registered(
    ray_cluster: None, make_config: Callable[..., RunConfig]
):
    """The seed of the search gives the best trial's numbers again; test is measured for the trained seeds alone."""
    config = study(make_config, FAST, stop_early=False, seeds=[0, 1], trials=3)
    result = tune(config)
    assert result.trained is not None
    assert result.trained.valid["auroc"][0] == pytest.approx(result.score, abs=1e-9)
    assert result.trained.split == "test"
    for seed in (0, 1):
        folder = Path(config.folder, f"trial{result.best}-{seed}")
        report = json.loads((folder / "evaluation" / "test" / "metrics.json").read_text())
        assert report["metrics"]["auroc"]["value"] == result.trained.test["auroc"][seed]
    history = read_info(Path(config.folder, f"trial{result.best}-0", "checkpoint")).history
    assert history == records(config)[result.best].history
    client = MlflowClient(tracking_uri(config))
    assert str(client.get_model_version_by_alias("raygenex", "candidate").version) == "1"
    assert {run.info.status for stage in ("tune", "trial", "train", "halflife") for run in runs(config, stage)} == {
        "FINISHED"
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_several_objectives_are_all_measured(ray_cluster: None, make_config: Callable[..., RunConfig]):
    space = {"model.width": {"integer": [4, 32]}}
    objectives = ["valid_auroc", "size_mb", "latency_ms"]
    config = study(make_config, space, objectives=objectives, trials=4, tolerance=1.0, train={"epochs": 1})
    result = tune(config)
    known = records(config).values()
    assert all(set(one.values) == set(objectives) for one in known)
    assert result.best == min(known, key=lambda one: one.values["size_mb"]).number
    with Path(result.folder, "pareto.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert 1 <= len(rows) <= 4


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_driver_and_a_killed_trial_repeat_nothing(make_config: Callable[..., RunConfig], tmp_path: Path):
    """The driver dies after three trials, a trial's process later: eight distinct trials in the end, history intact."""
    config = study(make_config, FAST, trials=8, stop_early=False, train=TRAIN)
    path = write(config, tmp_path)

    def ended() -> dict[int, TrialRecord]:
        return {number: one for number, one in records(config).items() if one.ended}

    with command("tune", path) as process:
        wait_for("three trials", lambda: len(ended()) >= 3, process)
        process.kill()
    before = ended()
    assert len(before) < 8
    with command("tune", path, "--resume") as process:
        wait_for("a new trial", lambda: len(ended()) > len(before) + 1, process)
        trial = wait_for("a trial's process", lambda: find_worker(process.pid, TITLE), process)
        end(trial)
        errors = process.finish()
    known = records(config)
    assert sorted(known) == list(range(8))
    assert {number: known[number] for number in before} == before
    assert {one.state for one in known.values()} == {"finished"}
    assert len({json.dumps(one.params) for one in known.values()}) == 8
    assert all([int(entry["epoch"]) for entry in one.history] == list(range(TRAIN["epochs"])) for one in known.values())
    assert sum(one.lost for one in known.values()) >= 1
    assert "lost its process or its node; it begins again" in errors
    check_mlflow(config)
    (parent,) = runs(config, "tune")
    series = MlflowClient(tracking_uri(config)).get_metric_history(parent.info.run_id, "trial_valid_auroc")
    assert sorted(entry.step for entry in series) == list(range(8))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_several_workers_a_trial_leave_nothing_on_the_cluster(make_config: Callable[..., RunConfig], tmp_path: Path):
    """Poor trials are stopped with their workers, so that the next ones find room; numbers are those of `train`."""
    # The second trial learns nothing, so it is stopped after its first epoch, and the others need its place.
    space = FAST | {"train.learning_rate": {"log_uniform": [1e-9, 1e-2]}}
    first = [{}, {"train.learning_rate": 1e-9}]
    train = {"epochs": 8, "workers": 2}
    config = study(make_config, space, trials=4, parallel=1, first=first, sampler="random", train=train)
    with command("tune", write(config, tmp_path)) as process:
        process.finish()
    known = records(config)
    assert sorted(known) == [0, 1, 2, 3]
    assert {one.state for one in known.values()} == {"finished", "stopped"}
    check_mlflow(config)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_over_two_nodes_survives_the_loss_of_one(make_config: Callable[..., RunConfig], tmp_path: Path):
    """Its trials go to the node that is left, and give what they give undisturbed."""
    with ToyCluster(cpus=2) as cluster:
        node = cluster.add_node(cpus=2)
        configs = [
            study(
                *(make_config, FAST),
                name=name,
                sampler="random",
                stop_early=False,
                trials=6,
                # A node has room for one trial.
                train=TRAIN | {"cpus_per_worker": 1.5},
                cluster={"address": cluster.address},
            )
            for name in ("undisturbed", "killed")
        ]
        with command("tune", write(configs[0], tmp_path)) as process:
            process.finish()
        with command("tune", write(configs[1], tmp_path)) as process:
            wait_for("trials on both nodes", lambda: all(cluster.actors(TITLE).values()), process)
            wait_for("two trials", lambda: sum(one.ended for one in records(configs[1]).values()) >= 2, process)
            cluster.kill(node)
            process.finish()
    undisturbed, killed = (records(config) for config in configs)
    assert sorted(killed) == list(range(6))
    assert sum(one.lost for one in killed.values()) >= 1
    assert {number: (one.params, one.history) for number, one in killed.items()} == {
        number: (one.params, one.history) for number, one in undisturbed.items()
    }
    for run in runs(configs[1], "trial"):
        assert run.info.status == "FINISHED"
