"""HyenaDNA on one GPU: genes/s, TFLOP/s and GB/s against what the card itself reaches, and agreement with float32.

Run ``python benchmarks/hyenadna_gpu.py [--d-model 256] [--n-layer 4] [--length 20000] [--genes 64] [--batch-size 16]``.
The limits are a large matrix product and a large copy, timed here. Bytes are those that the operations of a forward
pass read and write, counted as they run; operations that make views count nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from measure import print_table
from torch.utils._python_dispatch import TorchDispatchMode

from raygenex.embed.hyenadna.model import HyenaDnaModel, random_hyenadna
from raygenex.embed.inference import embed_sequences

BIN = 128
PRECISIONS = ("fp32", "bf16")


class Traffic(TorchDispatchMode):
    """Count the bytes of arrays that operations read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            results = out if isinstance(out, (tuple, list)) else (out,)
            touched = [each for each in (*args, *(kwargs or {}).values(), *results) if isinstance(each, torch.Tensor)]
            self.bytes += sum(each.numel() * each.element_size() for each in touched)
        return out


@dataclass(frozen=True)
class Limits:
    """What a device reaches: TFLOP/s of a matrix product by number format, and GB/s of a copy, both ways counted."""

    tflops: dict[str, float]
    gbytes: float


def seconds(call: Callable[[], object], device: str, repeats: int = 5) -> float:
    """Return the median seconds of a call after one that is not timed."""
    spent = []
    for _ in range(repeats + 1):
        if device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - started)
    return median(spent[1:])


def measure_limits(device: str, side: int, copied: int) -> Limits:
    """Time a product of square matrices and a copy of ``copied`` bytes."""
    tflops = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(2, side, side, device=device).to(dtype)
        tflops[name] = 2 * side**3 / seconds(lambda a=a, b=b: a @ b, device) / 1e12
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Limits(tflops, 2 * copied / seconds(lambda: target.copy_(source), device) / 1e9)


def flop(model: HyenaDnaModel, length: int) -> float:
    """Return the floating-point operations of the matrix products of one gene."""
    width, inner = model.config.d_model, model.config.d_inner
    return 2 * length * width * (4 * width + 2 * inner) * model.config.n_layer


def traffic(model: HyenaDnaModel, codes: np.ndarray, settings: dict[str, Any], device: str, batch_size: int) -> float:
    """Return the bytes that the operations of one gene's forward pass read and write."""
    with Traffic() as counted:
        embed_sequences(model, codes[:batch_size], settings, device, batch_size)
    return counted.bytes / min(batch_size, len(codes))


def measure(
    d_model: int, n_layer: int, length: int, genes: int, batch_size: int, device: str, limits: Limits
) -> list[tuple[object, ...]]:
    """Return a row for each arithmetic."""
    model = random_hyenadna(d_model, n_layer, length + 2, seed=0).to(device)
    codes = np.random.default_rng(0).integers(0, 5, (genes, length), dtype=np.uint8)
    embedded, rows = {}, []
    for precision in PRECISIONS:
        settings = {"bin_size": BIN, "pooling": "mean", "dtype": "float32", "precision": precision}

        def run(precision: str = precision, settings: dict[str, Any] = settings) -> None:
            embedded[precision] = embed_sequences(model, codes, settings, device, batch_size)

        if device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        rate = genes / seconds(run, device)
        peak = torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else float("nan")
        reached = rate * flop(model, length) / 1e12
        moved = rate * traffic(model, codes, settings, device, batch_size) / 1e9
        error = np.linalg.norm(embedded[precision] - embedded["fp32"]) / np.linalg.norm(embedded["fp32"])
        rows.append(
            (
                precision,
                f"{rate:.4g}",
                f"{reached:.3g}",
                f"{100 * reached / limits.tflops[precision]:.0f} % of {limits.tflops[precision]:.4g}",
                f"{moved:.4g}",
                f"{100 * moved / limits.gbytes:.0f} % of {limits.gbytes:.4g}",
                f"{peak:.3g}",
                f"{error:.1g}",
            )
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--n-layer", type=int, default=4)
    parser.add_argument("--length", type=int, default=20000)
    parser.add_argument("--genes", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: this benchmark measures a GPU and PyTorch finds none: run it where torch.cuda.is_available()")
    limits = measure_limits("cuda", 8192, 2**30)
    rows = measure(options.d_model, options.n_layer, options.length, options.genes, options.batch_size, "cuda", limits)
    header = ("arithmetic", "genes/s", "TFLOP/s", "of a product", "GB/s", "of a copy", "peak GB", "relative error")
    print_table(header, rows)
    print(f"\n{torch.cuda.get_device_name()}")


if __name__ == "__main__":
    main()
