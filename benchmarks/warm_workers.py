"""The demo with workers forked from a warm process against one new interpreter for each of them.

    python benchmarks/warm_workers.py

Both sides run `raygenex run jobs/demo.yaml` from nothing, in turns. The numbers that they print are compared: they must
be the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measure import print_ratio, print_table, side_by_side

DEMO = Path(__file__).parent.parent / "jobs" / "demo.yaml"
# The program that Ray is given is Python itself, as it was before there were warm workers.
PLAIN = """
import contextlib, sys
from raygenex.cluster import connect
connect.fork_server = lambda: contextlib.nullcontext(sys.executable)
"""
RUN = "from raygenex.cli.main import main; main()"


def demo(prelude: str, found: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        code = f"import sys; sys.argv = ['raygenex', 'run', {str(DEMO)!r}, '--json']\n{prelude}\n{RUN}"
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
        checkpoint = next(Path(folder).glob("runs/demo/checkpoint/*.json"))
        assert json.loads(done.stdout)
        found.append(json.dumps(json.loads(checkpoint.read_text())["history"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warmups", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    histories: list[str] = []
    sides: dict[str, Callable[[], object]] = {
        "forked from a warm process": partial(demo, "", histories),
        "an interpreter each": partial(demo, PLAIN, histories),
    }
    timings = side_by_side(sides, options.repeats, options.warmups)
    warm, plain = timings.values()
    print_table(("workers", "whole run"), [(name, str(timing)) for name, timing in timings.items()])
    print_ratio("warm_workers", plain.median / warm.median)
    print(f"epochs {'equal' if len(set(histories)) == 1 else 'DIFFER'}")


if __name__ == "__main__":
    main()
