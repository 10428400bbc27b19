"""Steps of torch in a process that keeps what it frees, as ours do, against one that gives it back.

``python benchmarks/kept_memory.py [--rounds 3]``. Each side runs in a thread of a process of its own, as Ray Train's
workers do, on one CPU; sides take turns. Steps are: training the network of ``ddp_scaling.py`` on 32 genes, scoring 256
genes with it, and embedding 8 promoters of 20,000 bases with HyenaDNA (width 128, 2 layers).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import threading
import time

import numpy as np
from measure import print_ratio, print_table

TASKS = {"training": 30, "scoring": 15, "embedding": 4}
"""Timed steps of each."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    parser.add_argument("--one", nargs=2, metavar=("TASK", "WAY"), help="time one task in this process")
    given = parser.parse_args()
    if given.one:
        found: list[float] = []
        thread = threading.Thread(target=lambda: found.extend(_timed(*given.one)))
        thread.start()
        thread.join()
        print(json.dumps(found))
        return
    rows = []
    for task in TASKS:
        sides: dict[str, list[tuple[float, float, float]]] = {"keep": [], "give back": []}
        for _ in range(given.rounds):
            for way, times in sides.items():
                command = [sys.executable, __file__, "--one", task, way]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                times.append(tuple(json.loads(done.stdout)))
        seconds, faults, peak = (
            {way: statistics.median(one[place] for one in times) for way, times in sides.items()} for place in range(3)
        )
        ratio = seconds["give back"] / seconds["keep"]
        shown = [f"{1e3 * seconds[way]:.0f} ms, {faults[way]:,.0f} faults, {peak[way]:.0f} MB" for way in sides]
        rows.append([task, *shown, f"{ratio:.2f}"])
        print_ratio(f"kept_memory_{task}", ratio)
    print_table(["a step of", "keeps", "gives back", "x"], rows)


def _timed(task: str, way: str) -> tuple[float, float, float]:
    """Return the median seconds of a step, the page faults of one, and the peak memory in MB."""
    import torch

    from raygenex.cluster.torch_process import prepare_process

    torch.set_num_threads(1)
    if way == "keep":
        prepare_process(1)
    step = _step(task)
    for _ in range(2):
        step()
    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    for _ in range(TASKS[task]):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return statistics.median(seconds), (used.ru_minflt - before) / TASKS[task], used.ru_maxrss / 1e3


def _step(task: str):
    import torch

    from raygenex.config.embed import HyenaBackbone
    from raygenex.config.model import CnnHalflifeEncoded, HalflifeConfig
    from raygenex.embed.hyenadna.weights import build_backbone
    from raygenex.embed.inference import embed_sequences
    from raygenex.models import build_model
    from raygenex.models.base import InputShape

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    if task == "embedding":
        backbone = build_backbone(HyenaBackbone(d_model=128, n_layer=2), 20_000).eval()
        codes = rng.integers(0, 4, (8, 20_000), dtype=np.uint8)
        settings = {"bin_size": 128, "pooling": "mean", "dtype": "float16", "precision": "fp32", "batch_size": 4}
        return lambda: embed_sequences(backbone, codes, settings, "cpu", 4)
    section = CnnHalflifeEncoded(width=64, stem_kernel=9, channels=(64, 64, 32), dense=(64,))
    model = build_model(section, HalflifeConfig(channels=(16, 16)), InputShape("bases", 768, 4))
    genes = 32 if task == "training" else 256
    inputs = torch.from_numpy(rng.integers(0, 4, (genes, 768), dtype=np.uint8)), torch.randn(genes, 8)
    label = torch.randint(0, 2, (genes,)).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.binary_cross_entropy_with_logits(model(*inputs), label).backward()
        optimizer.step()

    def score() -> None:
        with torch.inference_mode():
            model(*inputs)

    return train if task == "training" else score


if __name__ == "__main__":
    main()
