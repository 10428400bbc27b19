"""Peak memory of embed, train (streamed) and predict over simulated genes, and over ten times as many.

``python benchmarks/flat_memory.py [--genes 2000] [--times 10] [--window 2000]``. The backbone is a HyenaDNA of 16
channels and one layer, so that minutes do; memory that grows with the number of genes would show all the same.
``train`` streams its embeddings (``train.memory_gib`` 0). Sampled every 0.2 s, in MB:

``driver``        resident memory of the command's own process, without the object store's pages that it has mapped
``worker``        the same of the largest of Ray's workers, actors and tasks
``all processes`` of the whole tree, Ray's own processes too, pages that are shared counted once (PSS), no object store
``object store``  the pages of Ray's object store that are in use
"""

import argparse
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from measure import print_ratio, print_table

from raygenex.config.data import SimulateConfig
from raygenex.data.simulate.run import simulate

POLL_S = 0.2
MEASURES = ("driver", "worker", "all processes", "object store", "all processes and object store")
JOB = """
output: {folder}/runs
data: {{train: {folder}/data/train.h5, valid: {folder}/data/valid.h5}}
backbone: {{kind: hyenadna, d_model: 16, n_layer: 1}}
embed: {{bin_size: 128, min_actors: 1, max_actors: 1}}
halflife: {{epochs: 1, channels: [16, 16]}}
model: {{kind: cnn_halflife_encoded, width: 16, channels: [16, 8], dense: [16]}}
train: {{epochs: 2, global_batch_size: 64, memory_gib: 0}}
"""


@dataclass
class Peaks:
    """The most of each of `MEASURES`, MB."""

    values: dict[str, float]

    def add(self, root: int) -> None:
        """Look at a process and its children."""
        found = dict.fromkeys(MEASURES, 0.0)
        try:
            processes = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                own = _kilobytes(f"/proc/{process.pid}/status")
                shared = _kilobytes(f"/proc/{process.pid}/smaps_rollup")
                name = process.cmdline()[:1]
            except (OSError, psutil.Error):
                continue
            if "VmRSS" not in own or "Pss" not in shared:
                continue
            mine = own["VmRSS"] - own["RssShmem"]
            if process.pid == root:
                found["driver"] = mine
            elif name and name[0].startswith("ray::") and "Agent" not in name[0]:
                found["worker"] = max(found["worker"], mine)
            found["all processes"] += shared["Pss"] - shared["Pss_Shmem"]
            found["object store"] += shared["Pss_Shmem"]
        found["all processes and object store"] = found["all processes"] + found["object store"]
        self.values = {key: max(self.values.get(key, 0.0), found[key] / 1000 * 1.024) for key in MEASURES}


def _kilobytes(path: str) -> dict[str, float]:
    """Return the lines of a file in /proc that give kB, by name."""
    with open(path, encoding="utf-8") as file:
        parts = [line.split() for line in file]
    return {part[0].rstrip(":"): float(part[1]) for part in parts if len(part) == 3 and part[2] == "kB"}


def peaks_of(command: list[str]) -> dict[str, float]:
    """Run ``raygenex`` with some arguments; return its peaks."""
    process = subprocess.Popen(
        [sys.executable, "-m", "raygenex", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peaks, ended = Peaks({}), threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            peaks.add(process.pid)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0]
    ended.set()
    watcher.join()
    assert process.returncode == 0, output
    return peaks.values


def measure(genes: int, window: int, folder: Path) -> dict[str, dict[str, float]]:
    """Simulate genes, embed them, train on them and predict them; return the peaks of each command."""
    job = folder / "job.yaml"
    job.write_text(JOB.format(folder=folder), encoding="utf-8")
    simulate(SimulateConfig(train=genes, valid=genes // 10, test=8, window=window), folder / "data")
    commands = {
        "embed": ["embed", str(job)],
        "train": ["train", str(job)],
        "predict": ["predict", str(job), f"{folder}/data/train.h5", "--output", f"{folder}/scores.parquet"],
    }
    found = {}
    for name, command in commands.items():
        found[name] = peaks_of(command)
        shown = "  ".join(f"{what} {value:,.0f}" for what, value in found[name].items())
        print(f"{name}, {genes:,} genes, MB: {shown}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, default=2000, help="genes of the smaller run")
    parser.add_argument("--times", type=int, default=10, help="how many times as many the larger one has")
    parser.add_argument("--window", type=int, default=2000, help="bases a promoter")
    given = parser.parse_args()
    few, many = given.genes, given.genes * given.times
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        before, after = measure(few, given.window, Path(small)), measure(many, given.window, Path(large))
    rows = []
    for command, peaks in before.items():
        for name in (name for name in MEASURES if peaks[name]):
            low, high = peaks[name], after[command][name]
            each = (high - low) * 1e6 / (many - few)
            rows.append([command, name, f"{low:,.0f}", f"{high:,.0f}", f"{high / low:.2f}", f"{each:,.0f}"])
    header = ["command", "memory of", f"{few:,} genes, MB", f"{many:,} genes, MB", "ratio", "bytes a gene more"]
    print_table(header, rows)
    for command, peaks in before.items():
        # A prediction on one machine has no workers.
        alone = [after[command][name] / peaks[name] for name in ("driver", "worker") if peaks[name]]
        print_ratio(f"memory_{command}", max(alone))
        print_ratio(f"memory_{command}_together", after[command][MEASURES[-1]] / peaks[MEASURES[-1]])


if __name__ == "__main__":
    main()
