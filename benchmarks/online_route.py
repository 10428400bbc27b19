"""One training step at full resolution: the model on stored embeddings, and with the backbone inside the step.

    python benchmarks/online_route.py [--window 20000] [--bin-size 1] [--d-model 128] [--n-layer 2] [--batch 1 4]

A randomly initialised HyenaDNA and the CNN of default sizes (DNA alone), in one process, without Ray. Seconds are
medians of turns; memory is the largest resident set that Linux saw of a process that takes one step of one kind
(VmHWM), and, beside it, what of that came with the step.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import print_ratio, print_table, resident_mb, side_by_side
from torch import Tensor, nn

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.pooling import bin_count
from raygenex.embed.hyenadna.weights import save_backbone
from raygenex.models import build_model
from raygenex.models.base import InputShape
from raygenex.train.network.epochs import build_optimizer
from raygenex.train.network.online import open_online
from raygenex.train.shard import GeneBatch
from raygenex.train.steps import backward

WAYS: dict[str, dict[str, object] | None] = {
    "the model alone, on stored embeddings": None,
    "frozen backbone": {},
    "fine-tuned, activations recomputed": {"finetune": True},
    "fine-tuned, activations kept": {"finetune": True, "checkpointing": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=20_000)
    parser.add_argument("--bin-size", type=int, default=1)
    parser.add_argument("--d-model", type=int, default=128)
    parser.add_argument("--n-layer", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4], help="genes a step")
    parser.add_argument("--genes-at-a-time", type=int, default=1, help="through the backbone (embed.batch_size)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        save_backbone(random_hyenadna(options.d_model, options.n_layer, options.window + 2, 0), folder)
        if options.one is not None:
            measure_memory(options, Path(folder))
            return
        rows = []
        for batch in options.batch:
            steps = {way: make_step(way, batch, options, Path(folder)) for way in WAYS}
            times = side_by_side(steps, options.repeats)
            del steps
            first = times[next(iter(WAYS))].median
            for way, timing in times.items():
                before, peak = (float(word) for word in run_one(way, batch).split())
                rows.append([batch, way, timing, f"{timing.median / first:.2f}", f"{peak:.0f}", f"{peak - before:.0f}"])
    header = ["genes a step", "way", "a step", "to the model alone", "peak memory, MB", "of it by the step, MB"]
    print_table(header, rows)
    frozen, recomputed, kept = rows[-3:]
    print_ratio("online_frozen", float(frozen[3]))
    print_ratio("online_finetuned", float(recomputed[3]))
    print_ratio("online_memory", float(kept[-1]) / float(recomputed[-1]))


def run_one(way: str, batch: int) -> str:
    """Let a process of its own take one step of one kind; return what it prints."""
    command = [sys.executable, *sys.argv, "--one", way, "--batch", str(batch)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure_memory(options: argparse.Namespace, folder: Path) -> None:
    step = make_step(options.one, options.batch[0], options, folder)
    before = resident_mb()
    step()
    print(before, resident_mb())


def make_step(way: str, batch: int, options: argparse.Namespace, folder: Path) -> Callable[[], Tensor]:
    """Return a call that takes one optimisation step over ``batch`` genes."""
    changes = WAYS[way]
    backbone = {"kind": "hyenadna", "route": "cached" if changes is None else "online", **(changes or {})}
    embed = {"bin_size": options.bin_size, "batch_size": options.genes_at_a_time}
    config = parse_config({"backbone": backbone, "embed": embed, "model": {"kind": "cnn_dna_only"}}, "the benchmark")
    bins = bin_count(options.window, options.bin_size)
    torch.manual_seed(0)
    model = build_model(config.model, config.halflife, InputShape("embedding", bins, options.d_model))
    trained, optimizer = put_together(model, config, folder)
    rng = np.random.default_rng(0)
    if config.online is None:
        sequence = torch.from_numpy(rng.standard_normal((batch, bins, options.d_model), np.float32)).half()
    else:
        sequence = torch.from_numpy(rng.integers(0, 4, (batch, options.window)).astype(np.uint8))
    label = torch.from_numpy((np.arange(batch) % 2).astype(np.float32))
    genes = GeneBatch(sequence, torch.zeros(batch, 8), label)

    def step() -> Tensor:
        trained.train()
        optimizer.zero_grad(set_to_none=True)
        loss = backward(trained, genes, batch, 1, autocast=lambda: torch.autocast("cpu", enabled=False))
        optimizer.step()
        return loss

    return step


def put_together(model: nn.Module, config: RunConfig, folder: Path) -> tuple[nn.Module, torch.optim.Optimizer]:
    if config.online is None:
        return model, build_optimizer(model, config)
    online = open_online(folder, model, config.online, config.embed)
    return online, build_optimizer(model, config, online)


if __name__ == "__main__":
    main()
