"""Pretrain the half-life encoder on random features of 17,000 genes; print the seconds of every epoch.

Run ``python benchmarks/pretrain_halflife.py [GENES [THREADS [FILE]]]``: FILE is a train.h5 whose features are used
in place of random ones. Sizes and settings are the defaults, the paper's.
"""

import statistics
import sys
import time

import torch

from raygenex.config.model import HalflifeConfig
from raygenex.train.network.contrastive import pretrain_encoder


def main() -> None:
    genes, threads = (int(value) for value in (*sys.argv[1:3], *("17000", "2")[len(sys.argv[1:3]) :]))
    torch.set_num_threads(threads)
    if len(sys.argv) > 3:
        from raygenex.data.hdf5.read import inspect, read_table

        halflife = torch.from_numpy(read_table(inspect(sys.argv[3])).halflife)
    else:
        halflife = torch.randn(genes, 8, generator=torch.Generator().manual_seed(0))
    seconds: list[float] = []
    started = time.monotonic()

    def show(metrics: dict[str, float]) -> None:
        nonlocal started
        seconds.append(time.monotonic() - started)
        started = time.monotonic()
        print(
            f"{int(metrics['epoch']):>5}{seconds[-1]:>10.2f}{metrics['triplet_loss']:>14.6f}"
            f"{metrics['triplet_satisfied']:>12.4f}",
            flush=True,
        )

    print(f"{len(halflife):,} genes, {threads} threads")
    print(f"{'epoch':>5}{'seconds':>10}{'triplet loss':>14}{'satisfied':>12}")
    pretrain_encoder(halflife, HalflifeConfig(epochs=10), 0, show)
    print(f"median {statistics.median(seconds):.2f} s an epoch")


if __name__ == "__main__":
    main()
