"""Time and memory of saliency at full size (20,000 bp) through a randomly initialised HyenaDNA and a small CNN on CPUs.

    python benchmarks/saliency_memory.py PROMOTERS.h5 [--d-model 128] [--n-layer 2] [--batch-size 4]

Memory is the largest resident set that Linux saw of the process (VmHWM), Python and torch included; what it was before
the first gradient is said beside it.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure import network_arguments, resident_mb
from untrained import save_untrained

from raygenex.data.hdf5.read import inspect
from raygenex.data.rows import PromoterRows
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.pooling import bin_count
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.explain.methods.gradients import gradient, saliency
from raygenex.explain.methods.logit import LogitFunction
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import BACKBONE, InputInfo


def main() -> None:
    parser = network_arguments(__doc__, batch_size=4)
    parser.add_argument("--bin-size", type=int, default=128)
    parser.add_argument("--genes", type=int, default=None)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    file = inspect(options.promoters, require_label=False)
    rows = PromoterRows((file,), file.window, "predict")
    count = min(options.genes or rows.count, rows.count)
    block = rows.piece(0, count).read()
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), file.window, options)
        function = LogitFunction(Predictor(folder), options.batch_size)
    before = resident_mb()
    start = time.perf_counter()
    found = saliency(gradient(function, block["sequence"], block["halflife"]))
    seconds = time.perf_counter() - start
    known = block["sequence"] < 4
    print(f"{'genes':<32}{count}")
    print(f"{'bases a gene':<32}{file.window}")
    print(f"{'genes a backward pass':<32}{options.batch_size}")
    print(f"{'threads':<32}{torch.get_num_threads()}")
    print(f"{'finite, and above 0 where known':<32}{bool(np.isfinite(found).all() and (found[known] > 0).all())}")
    print(f"{'peak memory before, MB':<32}{before:.0f}")
    print(f"{'peak memory, MB':<32}{resident_mb():.0f}")
    print(f"{'time, s':<32}{seconds:.1f}")
    print(f"{'time a gene, s':<32}{seconds / count:.2f}")


def save_model(folder: Path, window: int, options: argparse.Namespace) -> None:
    """Write a checkpoint of a small CNN on a HyenaDNA, both untrained."""
    backbone = random_hyenadna(options.d_model, options.n_layer, window + 2, seed=0)
    values = {
        "model": {"kind": "cnn_halflife_encoded", "width": 32, "channels": (16, 8), "dense": (16,)},
        "embed": {"bin_size": options.bin_size, "pooling": "mean"},
    }
    inputs = InputInfo(
        kind="embedding", length=bin_count(window, options.bin_size), channels=options.d_model, window=window
    )
    save_untrained(folder, values, inputs, weights_sha256(backbone))
    save_backbone(backbone, folder / BACKBONE)


if __name__ == "__main__":
    main()
