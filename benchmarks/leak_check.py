"""The leak check of many promoters in one process, and in two tasks of Ray at a time: seconds and memory.

    python benchmarks/leak_check.py [--genes 200000] [--window 2000]

Half of the genes are train, half valid, of random bases. Ray runs already, as it does in `raygenex run` and on a
cluster. Memory is that of each process of Ray that reads promoters, at its most.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measure import print_ratio, print_table, resident_mb, side_by_side

from raygenex.cluster.connect import open_cluster
from raygenex.config.load import parse_config
from raygenex.config.services import ClusterConfig
from raygenex.data.check.check import check
from raygenex.data.hdf5.write import PromoterWriter

BLOCK = 1000


def write_genes(path: Path, genes: int, window: int, seed: int) -> None:
    """Write random promoters."""
    rng = np.random.default_rng(seed)
    with PromoterWriter(path, window=window) as writer:
        for first in range(0, genes, BLOCK):
            count = min(BLOCK, genes - first)
            names = [f"S{seed}G{number}" for number in range(first, first + count)]
            bases = rng.integers(0, 4, (count, window)).astype(np.uint8)
            writer.append(names, bases, rng.normal(size=(count, 8)), np.arange(count) % 2)


def peaks() -> list[float]:
    """Return the most memory (MB) of each task's process."""
    names = [(process, process.name()) for process in psutil.Process().children(recursive=True)]
    return [resident_mb(pid=process.pid) for process, name in names if name.startswith("ray::")]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, default=200_000)
    parser.add_argument("--window", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    reports: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, open_cluster(ClusterConfig(), 3.0):
        data = {name: f"{folder}/{name}.h5" for name in ("train", "valid")}
        for seed, path in enumerate(data.values()):
            write_genes(Path(path), given.genes // 2, given.window, seed)

        def look(name: str, workers: int) -> None:
            config = parse_config({"data": data, "check": {"workers": workers}}, "the benchmark")
            reports[name] = check(config.data, config.check, cluster=config.cluster).values()

        sides = {"this process": partial(look, "this process", 1), "two tasks": partial(look, "two tasks", 2)}
        times = side_by_side(sides, given.repeats)
        memory = {"this process": f"{resident_mb():.0f}", "two tasks": f"{max(peaks()):.0f} at most each"}
    rows = [(name, str(time), f"{given.genes / time.median:,.0f}", memory[name]) for name, time in times.items()]
    print_table(("who reads", "seconds", "genes/s", "memory, MB"), rows)
    same = "equal" if reports["this process"] == reports["two tasks"] else "DIFFERENT"
    print_ratio("leak_check_two_tasks", times["this process"].median / times["two tasks"].median)
    print(f"the reports are {same}")


if __name__ == "__main__":
    main()
