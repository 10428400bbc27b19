"""Simulate 20,000 genes of 20,000 bases in a process of its own; print seconds, size on disk and peak memory.

Run ``python benchmarks/simulate_full_size.py [GENES [WINDOW]]``; the files go to a temporary folder and are removed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

_CHILD = """
import resource, sys, time
from raygenex.config.data import SimulateConfig
from raygenex.data.simulate.run import simulate
genes, window, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
started = time.monotonic()
tenth = genes // 10
simulate(SimulateConfig(train=genes - 2 * tenth, valid=tenth, test=tenth, window=window), folder)
print(time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


def main() -> None:
    genes, window = (int(value) for value in (*sys.argv[1:3], *("20000", "20000")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _CHILD, str(genes), str(window), folder]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    print(f"{'genes':>8}{'window':>8}{'seconds':>10}{'MB on disk':>12}{'peak MB':>10}")
    print(f"{genes:>8,}{window:>8,}{float(found[0]):>10.0f}{size / 1e6:>12,.0f}{float(found[1]):>10.0f}")


if __name__ == "__main__":
    main()
