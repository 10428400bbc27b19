"""An embedded Ray's workers are forks of a process that has imported what they need."""

import os
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")
@pytest.mark.parametrize("runtime_env", [None, {"env_vars": {"TRAINED": "${HOME}!"}}])
def test_workers_are_forks(ray_cluster: None, runtime_env: dict[str, dict[str, str]] | None):
    import ray

    def surroundings() -> tuple[bytes, str | None, bool]:
        parent = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
        return parent, os.environ.get("TRAINED"), "torch" in sys.modules

    options = {"runtime_env": runtime_env} if runtime_env else {}
    parent, trained, warm = ray.get(ray.remote(surroundings).options(num_cpus=0, **options).remote())
    assert b"fork_server.py" in parent
    assert trained == (f"{os.environ['HOME']}!" if runtime_env else None)
    assert warm
