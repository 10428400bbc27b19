"""One Ray instance and one simulated data set for all integration tests."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from toy_embed import EMBED, HYENA

from raygenex.config.data import SimulateConfig
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.config.services import ClusterConfig
from raygenex.data.simulate.run import simulate


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    import ray

    from raygenex.cluster.connect import open_cluster
    from raygenex.cluster.warm_workers import fork_server, started_by

    # Workers have the environment that Ray was started in.
    os.environ.setdefault("RAYGENEX_CACHE", str(tmp_path_factory.mktemp("cache")))
    # Not by `open_cluster`, which quietens the handlers of Ray Data's log, and with them pytest's own.
    with fork_server() as python:
        with started_by(python):
            ray.init(
                address="local",
                num_cpus=4,
                include_dashboard=False,
                object_store_memory=300 * 2**20,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        with open_cluster(ClusterConfig(), 4.0):
            yield
        ray.shutdown()


@pytest.fixture(scope="session")
def promoters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated HDF5 files: 160, 81 and 40 genes of 200 bases."""
    folder = tmp_path_factory.mktemp("promoters")
    simulate(SimulateConfig(train=160, valid=81, test=40, window=200, seed=3), folder)
    return folder


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs, made once: a new one takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def make_config(tmp_path: Path, config_in: Callable[[Path], Callable[..., RunConfig]]) -> Callable[..., RunConfig]:
    """Build configurations over the simulated data, small and writing into the test's own folder."""
    return config_in(tmp_path)


@pytest.fixture(scope="session")
def config_in(promoters: Path, mlflow_template: Path) -> Callable[[Path], Callable[..., RunConfig]]:
    """What `make_config` is made of; for what several tests share, a folder of theirs."""

    def prepare(folder: Path) -> Callable[..., RunConfig]:
        (folder / "runs").mkdir()
        shutil.copy(mlflow_template, folder / "runs" / "mlflow.db")
        return partial(make, folder / "runs")

    def make(root: Path, /, **sections: Any) -> RunConfig:
        values: dict[str, Any] = {
            "name": "test",
            "output": str(root),
            "data": {name: str(promoters / f"{name}.h5") for name in ("train", "valid", "test")},
            "halflife": {"channels": [8, 16], "epochs": 2, "batch_size": 32, "finetune": True},
            "model": {"width": 16, "channels": [8], "dense": [8], "dropout": 0.2},
            "train": {"epochs": 3, "global_batch_size": 16, "learning_rate": 1e-3, "workers": 2},
            "evaluate": {"bootstrap": 200},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section} if isinstance(section, dict) else section
        return parse_config(values, "the test's configuration")

    return prepare


@pytest.fixture(scope="session")
def core60(
    ray_cluster: None,
    config_in: Callable[[Path], Callable[..., RunConfig]],
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> RunConfig:
    """The configuration of a finished run on real promoters: trained, measured on valid, registered."""
    from raygenex.pipeline import run

    config = config_in(tmp_path_factory.mktemp("core60"))(
        data={name: str(shared_data / "core60" / f"{name}.h5") for name in ("train", "valid")} | {"test": []},
        halflife={"epochs": 1, "batch_size": 512},
        train={"epochs": 2, "global_batch_size": 256},
        predict={"cpus_per_worker": 0.5},
    )
    run(config)
    return config


@pytest.fixture(scope="session")
def finished_store(ray_cluster: None, promoters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store of the simulated genes, made once; tests work on copies."""
    from raygenex.embed.run import embed

    store = tmp_path_factory.mktemp("finished") / "store"
    data = {name: str(promoters / f"{name}.h5") for name in ("train", "valid", "test")}
    values = {"data": data, "backbone": HYENA, "embed": {**EMBED, "store": str(store)}}
    result = embed(parse_config(values, "the test's configuration"))
    assert (result.embedded, result.reused, result.shape) == (281, 0, (7, 16))
    return store
