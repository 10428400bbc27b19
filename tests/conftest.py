"""Settings that must stand before Ray or MLflow is imported, and data sets shared by all tests."""

import os

os.environ |= {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Tiny networks would only wait for each other's threads.
    "OMP_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "HF_HUB_OFFLINE": "1",
}
os.environ.pop("RAY_ADDRESS", None)

import gc
import sqlite3
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over modules and tests, which live to the end: a walk takes half a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let the tests that need a Ray share one, in one process, where there are several (``-n 2 --dist loadscope``)."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _together(config.rootpath, nodeid)

    return Scheduler(config, log)


def _together(root: Path, nodeid: str) -> str:
    """Return a name that is the same for tests that share a Ray or another fixture of their file."""
    file = nodeid.partition("::")[0]
    text = _text(root / file)
    if "ray_cluster" in text or "core60: RunConfig" in text:
        return "ray"
    # Long tests that share nothing are handed out one by one.
    alone = "/integration/" in file and 'scope="module"' not in text
    return nodeid if alone else file


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def copied_databases(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make the databases of MLflow in this process as copies of one: the 60 migrations of a new one take seconds."""
    utils = sys.modules.get("mlflow.store.db.utils")
    if utils is not None and not isinstance(utils._initialize_tables, partial):
        template = tmp_path_factory.mktemp("database") / "mlflow.db"
        initialize = partial(_copy_tables, utils._initialize_tables, template)
        for module in (utils, sys.modules.get("mlflow.store.model_registry.sqlalchemy_store")):
            if module is not None:
                vars(module)["_initialize_tables"] = initialize


def _copy_tables(initialize: Any, template: Path, engine: Any) -> None:
    if engine.dialect.name != "sqlite" or not engine.url.database:
        initialize(engine)
        return
    if not template.exists():
        from sqlalchemy import create_engine

        fresh = create_engine(f"sqlite:///{template}")
        initialize(fresh)
        fresh.dispose()
    with sqlite3.connect(template) as source, sqlite3.connect(engine.url.database) as target:
        source.backup(target)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is absent."""
    folder = os.environ.get("RAYGENEX_SHARED_DATA")
    if not folder:
        pytest.skip("RAYGENEX_SHARED_DATA is not set")
    return Path(folder)
