"""Build the yeast data set with two windows; print seconds and the peak memory of the whole process tree.

Run ``python benchmarks/build_yeast.py FOLDER``, where FOLDER holds what ``jobs/yeast.yaml`` names.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

WINDOWS = ((-1000, 1000), (-10_000, 10_000))
EVERY_S = 0.2


def tree_bytes(process: psutil.Process) -> int:
    """Return the proportional set size of a process and all its descendants."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def measure(folder: Path, window: tuple[int, int]) -> tuple[float, int]:
    """Return the seconds of a build in a process of its own, and the peak memory in bytes."""
    with tempfile.TemporaryDirectory() as out:
        overrides = [f"build.window=[{window[0]},{window[1]}]"]
        overrides += [f"data.{name}={out}/{name}.h5" for name in ("train", "valid", "test")]
        job = Path(__file__).parents[1] / "jobs" / "yeast.yaml"
        command = [sys.executable, "-m", "raygenex", "data", "build", str(job)]
        command += [part for override in overrides for part in ("-o", override)]
        started = time.monotonic()
        child = subprocess.Popen(
            command, env=os.environ | {"YEAST": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        process, peak = psutil.Process(child.pid), 0
        while child.poll() is None:
            try:
                peak = max(peak, tree_bytes(process))
            except psutil.NoSuchProcess:
                break
            time.sleep(EVERY_S)
        assert child.wait() == 0, "the build failed: run it by hand"
        return time.monotonic() - started, peak


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    print(f"{'window':>20}{'seconds':>10}{'peak MB':>10}")
    for window in WINDOWS:
        seconds, peak = measure(folder, window)
        print(f"{f'{window[0]:+,}..{window[1]:+,}':>20}{seconds:>10.1f}{peak / 1e6:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
