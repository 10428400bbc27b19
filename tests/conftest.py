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

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests go to one process, where there are several (``-n 2 --dist loadgroup``).

    The one Ray and what its tests share is in one process, and what a file's tests share in one other. Slow tests that
    share nothing are free to go anywhere.
    """
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        names = getattr(item, "fixturenames", ())
        if "ray_cluster" in names:
            item.add_marker(pytest.mark.xdist_group("ray"))
        elif not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is absent."""
    folder = os.environ.get("RAYGENEX_SHARED_DATA")
    if not folder:
        pytest.skip("RAYGENEX_SHARED_DATA is not set")
    return Path(folder)
