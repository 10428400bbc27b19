"""Training with two workers against one, one thread each, and what two processes gain on this machine at all.

``python benchmarks/ddp_scaling.py [--epochs 4] [--rounds 3] [--genes 768] [--window 768]``. The network reads bases
through convolutions of 64 channels, so that computing outweighs the exchange of 1 MB of gradients a step. Sides take
turns: one worker, two workers, and the plain loop in one process and in two at once. Two independent processes of the
plain loop share nothing but the machine: their throughput over that of one is what no training can exceed.
"""

import argparse
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import print_ratio, print_table
from ray_cost import ended_epochs, plain_seconds

from raygenex.cluster.connect import open_cluster
from raygenex.config.data import SimulateConfig
from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.config.services import ClusterConfig
from raygenex.data.simulate.run import simulate
from raygenex.train.run import train

MODEL = """
output: {folder}/runs
data: {{train: {folder}/data/train.h5, valid: {folder}/data/valid.h5}}
halflife: {{epochs: 1, channels: [16, 16]}}
model: {{kind: cnn_halflife_encoded, width: 64, stem_kernel: 9, channels: [64, 64, 32], dense: [64]}}
train: {{global_batch_size: 64, cpus_per_worker: 1, learning_rate: 1.0e-4}}
"""


def ray_seconds(config: RunConfig) -> list[float]:
    """Train on the Ray that runs already; return the seconds of the epochs after the first."""
    train(config, force=True)
    return ended_epochs(Path(config.output_root), config.train.epochs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training, the first not counted")
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    parser.add_argument("--genes", type=int, default=768, help="genes of train")
    parser.add_argument("--window", type=int, default=768, help="bases a promoter")
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {"one process": [], "two processes": [], "one worker": [], "two workers": []}
    with tempfile.TemporaryDirectory() as folder:
        genes = SimulateConfig(train=given.genes, valid=64, test=8, window=given.window)
        simulate(genes, Path(folder, "data"))
        job = Path(folder, "job.yaml")
        job.write_text(MODEL.format(folder=folder), encoding="utf-8")

        def plain(_: int) -> list[float]:
            return plain_seconds(job, [], given.epochs)

        with ThreadPoolExecutor(2) as pool:
            for turn in range(given.rounds):
                seconds["one process"] += plain(turn)
                # The slower of the two ends an epoch of twice the genes.
                seconds["two processes"] += [max(pair) for pair in zip(*pool.map(plain, range(2)), strict=True)]
                with open_cluster(ClusterConfig(), 3.0):
                    for workers, name in ((1, "one worker"), (2, "two workers")):
                        options = [f"train.workers={workers}", f"train.epochs={given.epochs}", f"name=workers{workers}"]
                        seconds[name] += ray_seconds(load_config(job, options))
    rows = []
    genes_s = {
        name: given.genes * (2 if name == "two processes" else 1) / statistics.median(times)
        for name, times in seconds.items()
    }
    ceiling = genes_s["two processes"] / genes_s["one process"]
    scaling = genes_s["two workers"] / genes_s["one worker"]
    over = {"one process": "", "two processes": f"{ceiling:.2f}", "one worker": "", "two workers": f"{scaling:.2f}"}
    for name, times in seconds.items():
        spread = f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
        share = f"{scaling / ceiling:.2f}" if name == "two workers" else ""
        rows.append([name, spread, f"{genes_s[name]:,.0f}", over[name], share])
    print_table(["what trains", "s/epoch (range)", "genes/s", "over one", "of what the machine gains"], rows)
    print_ratio("ddp_scaling", scaling)
    print_ratio("ddp_share_of_machine", scaling / ceiling)


if __name__ == "__main__":
    main()
