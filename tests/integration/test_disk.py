"""Disks that are full or closed, and files that a disk damaged: one sentence, and what was good stays good.

What needs no disk of its own is in ``tests/unit/test_full_disk.py``, which runs everywhere.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from toy_commands import Command, command, write
from toy_disk import Disk, mount, unmount

from raygenex.config.run import RunConfig
from raygenex.embed.store import list_shards
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import read_info

pytestmark = pytest.mark.slow

EMBED = {
    "backbone": {"kind": "hyenadna", "d_model": 64, "n_layer": 2},
    "embed": {"bin_size": 10, "batch_size": 16, "rows_per_file": 16, "min_actors": 1, "max_actors": 1},
}
LARGE = 2**26


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Disk]]:
    """Mount a disk that is taken away after the test."""
    mounted: list[Disk] = []

    def make(size: int) -> Disk:
        mounted.append(mount(tmp_path / "disk", size))
        return mounted[-1]

    yield make
    for one in mounted:
        unmount(one)


def sentence(process: Command, *words: str) -> None:
    """Wait for an end with exit code 2, whose last line is one sentence with all words."""
    errors = process.finish(2)
    last = errors.strip().splitlines()[-1]
    assert last.startswith("error: "), errors
    for word in words:
        assert word in last, errors
    assert "Traceback" not in errors, errors


def shards(config: RunConfig) -> dict[str, bytes]:
    found = {}
    for split in ("train", "valid", "test"):
        for shard in list_shards(config.store, split):
            path = Path(shard.path)
            found[f"{path.parent.name}/{path.name}"] = path.read_bytes()
    return found


def run(verb: str, path: str, *more: str) -> None:
    with command(verb, path, *more) as process:
        process.finish()


def test_a_store_on_a_disk_that_is_full_then_closed_then_damaged(
    make_config: Callable[..., RunConfig], tmp_path: Path, disk: Callable[[int], Disk]
):
    """What is embedded stays; more room completes it; a closed store is read; damaged shards are named and repaired."""
    whole = make_config(name="whole", **EMBED)
    run("embed", write(whole, tmp_path))
    expected = shards(whole)
    backbone = sum(path.stat().st_size for path in Path(whole.store, "backbone").iterdir())

    small = disk(backbone + sum(map(len, expected.values())) // 2 + 40_000)
    config = make_config(name="small", **EMBED | {"embed": EMBED["embed"] | {"store": str(small.path / "store")}})
    path = write(config, tmp_path)
    with command("embed", path) as process:
        sentence(process, f"{config.store}/split=", ".parquet cannot be used (No space left on device): make room")
    kept = shards(config)
    assert 0 < len(kept) < len(expected)
    assert kept.items() <= expected.items()
    times = {name: Path(config.store, name).stat().st_mtime_ns for name in kept}
    small.set(f"size={LARGE}")
    run("embed", path)
    assert shards(config) == expected
    assert {name: Path(config.store, name).stat().st_mtime_ns for name in kept} == times
    assert not list(Path(config.store).rglob(".*"))

    some = sorted(expected)[0]
    lost = Path(config.store, some)
    lost.unlink()
    small.set("ro")
    with command("embed", path) as process:
        sentence(process, str(small.path), "Read-only file system): let this user write there")
    small.set("rw")
    run("embed", path)
    small.set("ro")
    run("embed", path)
    run("train", path)
    small.set("rw")

    broken = Path(config.store, next(name for name in expected if name.startswith("split=train")))
    content = bytearray(expected[str(broken.relative_to(config.store))])
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)
    with command("train", path, "--force", "-o", "train.max_failures=0") as process:
        sentence(process, str(broken), "cannot be read", "remove that file and embed again")
    broken.write_bytes(bytes(content[:-100]))
    with command("embed", path) as process:
        assert f"{broken} is damaged: embedding its genes again" in process.finish()
    assert shards(config) == expected


def test_a_training_on_a_full_disk_goes_on_when_there_is_room(
    make_config: Callable[..., RunConfig], tmp_path: Path, disk: Callable[[int], Disk]
):
    """The epochs that fit are kept, MLflow knows that the run failed, and the end is the undisturbed one."""
    whole = make_config(name="whole", train={"epochs": 4})
    run("train", write(whole, tmp_path))
    small = disk(70_000)
    config = make_config(
        name="whole",
        output=str(small.path / "runs"),
        train={"epochs": 4, "max_failures": 0},
        tracking={"uri": tracking_uri(make_config(name="other")).replace("mlflow.db", "other.db")},
    )
    shutil.copy(tmp_path / "runs" / "mlflow.db", tmp_path / "runs" / "other.db")
    path = tmp_path / "small.yaml"
    shutil.copy(write(config, tmp_path), path)
    with command("train", str(path)) as process:
        sentence(process, str(small.path), "No space left on device): make room there")
    client = MlflowClient(tracking_uri(config))
    experiment = client.get_experiment_by_name("raygenex").experiment_id
    states = [run.info.status for run in client.search_runs([experiment]) if run.info.run_name == "whole"]
    assert sorted(states) == ["FAILED", "FINISHED"]
    small.set(f"size={LARGE}")
    run("train", str(path))
    infos = [read_info(Path(one.folder, "checkpoint")) for one in (whole, config)]
    assert infos[0].history == infos[1].history
    assert infos[0].metrics == infos[1].metrics
    assert not [name for name in Path(config.folder).rglob(".*") if not name.name.endswith(".lock")]


def test_an_output_that_is_closed(make_config: Callable[..., RunConfig], tmp_path: Path, disk: Callable[[int], Disk]):
    """Nothing begins where nothing could be kept."""
    closed = disk(LARGE)
    config = make_config(name="closed", output=str(closed.path / "runs"))
    path = write(config, tmp_path)
    closed.set("ro")
    for verb in ("train", "tune"):
        with command(verb, path) as process:
            sentence(process, str(closed.path), "Read-only file system")
    with command("train", path, "-o", f"tracking.uri=sqlite:///{tmp_path}/runs/mlflow.db") as process:
        sentence(process, str(closed.path), "Read-only file system")
