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

from raygenex.config import parse_config
from raygenex.data.hdf5 import inspect
from raygenex.data.rows import PromoterRows
from raygenex.embed.hyenadna import random_hyenadna
from raygenex.embed.weights import save_backbone, weights_sha256
from raygenex.explain.differentiable import LogitFunction
from raygenex.explain.gradients import gradient, saliency
from raygenex.models import build_model
from raygenex.predict import Predictor
from raygenex.train.checkpoint import BACKBONE, CheckpointInfo, InputInfo, save_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("promoters")
    parser.add_argument("--d-model", type=int, default=128)
    parser.add_argument("--n-layer", type=int, default=2)
    parser.add_argument("--bin-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=4)
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
        save_untrained(Path(folder), file.window, options)
        function = LogitFunction(Predictor(folder), options.batch_size)
    before = peak_mb()
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
    print(f"{'peak memory, MB':<32}{peak_mb():.0f}")
    print(f"{'time, s':<32}{seconds:.1f}")
    print(f"{'time a gene, s':<32}{seconds / count:.2f}")


def save_untrained(folder: Path, window: int, options: argparse.Namespace) -> None:
    """Write a checkpoint of a small CNN on a HyenaDNA, both untrained."""
    backbone = random_hyenadna(options.d_model, options.n_layer, window + 2, seed=0)
    config = parse_config(
        {
            "model": {"kind": "cnn_halflife_encoded", "width": 32, "channels": (16, 8), "dense": (16,)},
            "embed": {"bin_size": options.bin_size, "pooling": "mean"},
        },
        "the benchmark",
    )
    bins = -(-window // options.bin_size)
    inputs = InputInfo(kind="embedding", length=bins, channels=options.d_model, window=window)
    torch.manual_seed(0)
    info = CheckpointInfo(
        config=config.dump(),
        config_hash=config.hash(),
        inputs=inputs,
        threshold=0.5,
        backbone_sha256=weights_sha256(backbone),
    )
    save_checkpoint(folder, build_model(config.model, config.halflife, inputs.shape), info)
    save_backbone(backbone, folder / BACKBONE)


def peak_mb() -> float:
    """Return the peak resident set of this process in MB (10^6 bytes)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


if __name__ == "__main__":
    main()
