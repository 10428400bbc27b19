"""Processes killed in the middle: what was asked for is complete in the end, and equal to the undisturbed result.

Each test runs the command line in a process of its own, with a Ray of its own, and kills only processes below it.
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_commands import below, command, find_worker, last_epoch, train_through_kills, wait_for, write

from raygenex.config.run import RunConfig
from raygenex.embed.shards import read_gene_ids
from raygenex.embed.store import list_shards
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import read_info

pytestmark = pytest.mark.slow

TRAIN = {"epochs": 30, "global_batch_size": 16, "learning_rate": 1e-4, "workers": 2, "max_failures": 3}


@pytest.fixture
def undisturbed(make_config: Callable[..., RunConfig], tmp_path: Path) -> list[dict[str, float]]:
    """The history of a run that nothing happened to."""
    config = make_config(name="undisturbed", train=TRAIN)
    with command("train", write(config, tmp_path)) as process:
        process.finish()
    return read_info(Path(config.folder, "checkpoint")).history


def test_training_survives_a_killed_worker_and_a_killed_driver(
    make_config: Callable[..., RunConfig], tmp_path: Path, undisturbed: list[dict[str, float]]
):
    """A worker dies, then the driver: the run continues both times, and ends with the undisturbed numbers."""
    config = make_config(name="killed", train=TRAIN)
    errors = train_through_kills(config, write(config, tmp_path), epoch=3, more=5)
    assert "continuing the unfinished run" in errors
    info = read_info(Path(config.folder, "checkpoint"))
    assert len(info.history) == TRAIN["epochs"]
    assert json.dumps(info.history) == json.dumps(undisturbed)

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(config))
    runs = client.search_runs([client.get_experiment_by_name("raygenex").experiment_id])
    mine = [run for run in runs if run.info.run_name == "killed"]
    assert [run.info.status for run in mine] == ["FINISHED"]
    logged = client.get_metric_history(mine[0].info.run_id, "epoch_valid_auroc")
    assert {metric.step for metric in logged} == set(range(TRAIN["epochs"])), "no epoch is missing in MLflow"


def train_runs(config: RunConfig) -> dict[str, str]:
    """Return the ids of MLflow's runs of a name, and their states."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(config))
    runs = client.search_runs([client.get_experiment_by_name("raygenex").experiment_id])
    return {run.info.run_id: run.info.status for run in runs if run.info.run_name == config.name}


def test_sigterm_ends_a_training_as_ctrl_c_does_and_a_cut_epoch_is_named(
    make_config: Callable[..., RunConfig], tmp_path: Path
):
    """One sentence, exit code 143, no process and no running run; then a cut checkpoint; then the training goes on.

    The signal goes to the whole process group, as `timeout` and batch systems send it.
    """
    config = make_config(name="ended", train=TRAIN | {"epochs": 20})
    path = write(config, tmp_path)
    with command("train", path, group=True) as process:
        wait_for("third epoch", lambda: last_epoch(config) >= 3, process)
        family = below(process.pid)
        process.send_group(signal.SIGTERM)
        errors = process.finish(143)
        wait_for("the end of all processes", lambda: not any(one.is_running() for one in family), seconds=30)
    assert errors.strip().splitlines()[-1] == "interrupted: run the same command again to go on from here"
    assert "stack trace" not in errors
    assert "Traceback" not in errors
    (run_id,) = train_runs(config)
    assert train_runs(config) == {run_id: "KILLED"}

    folder = Path(config.folder, "ray_train")
    kept = json.loads((folder / "checkpoint_manager_snapshot.json").read_text())["latest_checkpoint_result"]
    weights = folder / kept["checkpoint_dir_name"] / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with command("train", path) as process:
        told = process.finish(2).strip().splitlines()[-1]
    assert told.startswith(f"error: {weights} is damaged, so the training that was interrupted cannot go on from there")
    assert f"remove {folder}, and the same command begins with the first epoch again" in told
    assert train_runs(config) == {run_id: "FAILED"}
    weights.write_bytes(whole)
    with command("train", path) as process:
        assert "continuing the unfinished run" in process.finish()
    assert [int(entry["epoch"]) for entry in read_info(Path(config.folder, "checkpoint")).history] == list(range(20))
    assert train_runs(config) == {run_id: "FINISHED"}


def test_embedding_survives_a_killed_actor_and_a_killed_driver(make_config: Callable[..., RunConfig], tmp_path: Path):
    """An actor dies, then the driver: in the end every gene is stored exactly once, and no finished shard is redone."""
    config = make_config(
        name="embedded",
        backbone={"kind": "hyenadna", "d_model": 128, "n_layer": 4},
        embed={"bin_size": 50, "batch_size": 2, "rows_per_file": 4, "min_actors": 1, "max_actors": 1},
    )
    path = write(config, tmp_path)

    def shards() -> list[Path]:
        return list(Path(config.store).glob("split=*/*.parquet"))

    with command("embed", path) as process:
        wait_for("first shards", lambda: len(shards()) >= 3, process)
        actor = find_worker(process.pid, "MapWorker")
        assert actor is not None
        actor.kill()
        count = len(shards())
        wait_for("shards after the actor's death", lambda: len(shards()) >= count + 3, process)
        process.kill_all()
    kept = {shard: shard.stat().st_mtime_ns for shard in shards()}
    assert 0 < len(kept) < 71, "the job ended before the driver could be killed"
    with command("embed", path, "--json") as process:
        errors = process.finish()
    assert f"embedding {281 - 4 * len(kept)} of 281" in errors or len(kept) > 60
    assert {shard: shard.stat().st_mtime_ns for shard in kept} == kept
    for split, genes in (("train", 160), ("valid", 81), ("test", 40)):
        ids = [gene for shard in list_shards(config.store, split) for gene in read_gene_ids(shard)]
        assert len(ids) == len(set(ids)) == genes
    assert not [name for name in os.listdir(Path(config.store, "split=train")) if name.startswith(".")]
