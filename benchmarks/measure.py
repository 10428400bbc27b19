"""What the benchmarks share: sides that take turns, medians, the memory of a process and its children, plain tables.

Imported by the scripts beside it; a script prints its own command, what ran it, and one table.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import psutil

from raygenex.cluster.repeated import repeated

PACKAGES = ("raygenex", "torch", "ray", "numpy", "h5py", "pyarrow")
POLL_S = 0.1
RATIO = "ratio "


class Timing(NamedTuple):
    """Seconds of one side: the median of its repeats, the shortest and the longest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} s ({self.low:.3g} to {self.high:.3g})"


def side_by_side(sides: dict[str, Callable[[], object]], repeats: int = 5, warmups: int = 1) -> dict[str, Timing]:
    """Time several ways of doing one thing in turns, so that other load on the machine meets all of them.

    Parameters
    ----------
    sides
        What to call, by name.
    repeats
        Timed calls of each.
    warmups
        Calls of each before that, not timed.
    """
    for _ in range(warmups):
        for call in sides.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(repeats):
        # The order changes, so that no side always follows the one that leaves the caches warm.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - started)
    return {name: Timing(statistics.median(times), min(times), max(times)) for name, times in seconds.items()}


@dataclass(frozen=True)
class Measured:
    """A command that ended: its exit status, seconds, and the most memory (MB) of it and all its children together."""

    status: int
    seconds: float
    peak_mb: float
    output: str


def run_measured(command: Sequence[str], **environment: str) -> Measured:
    """Run a command and watch the memory of its process tree; pages that processes share count once (PSS)."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    )
    peak = 0.0

    def look() -> None:
        nonlocal peak
        peak = max(peak, tree_mb(process.pid))

    with repeated(look, POLL_S, "memory"):
        output = process.communicate()[0]
        seconds = time.perf_counter() - started
    return Measured(process.returncode, seconds, peak, output)


def tree_mb(pid: int) -> float:
    """Return the memory (MB) of a process and its children, pages that they share counted once."""
    total = 0
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 1e6


def resident_mb(field: str = "VmHWM", pid: int | None = None) -> float:
    """Return the resident memory (MB, 10^6 bytes) of a process, this one by default: its most, or ``VmRSS`` for now."""
    lines = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0) * 1024 / 1e6


def network_arguments(doc: str | None, batch_size: int) -> argparse.ArgumentParser:
    """Return a parser of a promoter file, the sizes of a HyenaDNA, and the genes that pass through it together."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("promoters")
    parser.add_argument("--d-model", type=int, default=128)
    parser.add_argument("--n-layer", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    return parser


def machine() -> str:
    """Return one line on what runs this: processor, cores, Python and the packages that make the numbers."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{_processor()}, {os.cpu_count()} logical cores, Python {platform.python_version()}, {', '.join(found)}"


def print_ratio(name: str, value: float) -> None:
    """Print a ratio under its name on a line of its own, where `all.py` reads it."""
    print(f"{RATIO}{name}: {value:.4g}", flush=True)


def read_ratios(output: str) -> dict[str, float]:
    """Return the ratios that a script printed by `print_ratio`."""
    lines = [line.removeprefix(RATIO) for line in output.splitlines() if line.startswith(RATIO)]
    return {name: float(value) for name, value in (line.rsplit(": ", 1) for line in lines)}


def command_line() -> str:
    """Return the command that runs this script, as a user types it from the root of the repository."""
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print the command, the machine and a Markdown table, which is plain enough to read as it is."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    print(command_line(), machine(), "", lines[0], rule, *lines[1:], sep="\n", flush=True)


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
