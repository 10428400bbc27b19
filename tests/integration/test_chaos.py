"""Random kills over embed, train and tune: in the end everything is as if nothing had happened.

``python benchmarks/chaos.py`` does the same with twenty kills.
"""

import os
from pathlib import Path

import pytest
from toy_chaos import NINE, chaos

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_random_kills_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Rows, numbers and studies are equal; no process, no running MLflow run and no half-written file is left."""
    seed = int(os.environ.get("RAYGENEX_CHAOS_SEED", "2"))

    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    found = chaos(tmp_path, seed, NINE, say)
    assert found.problems == []
    assert len(found.kills) == sum(sum(kinds.values()) for kinds in NINE.values())
