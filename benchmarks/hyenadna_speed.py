"""HyenaDNA on CPUs: raygenex against a plain implementation of the published network, in one run.

Run ``python benchmarks/hyenadna_speed.py [--length 20000] [--repeats 5]``. Both have the same weights, read the same
bases and return the means of bins of 128 bases. Seconds are medians of turns. Memory is the most that a process of its
own held during one forward pass beyond what it held before it; the filters that raygenex keeps between calls are there
before it and have a row of their own. The limit is the network's matrix products alone, a thousand positions at a time
into arrays that exist.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil
import torch
from measure import print_ratio, print_table, resident_mb, side_by_side
from plain_hyenadna import plain_copy
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from raygenex.embed.hyenadna.model import HyenaDnaModel, random_hyenadna
from raygenex.embed.hyenadna.pooling import pool_bins

SIZES = ((128, 2), (256, 4))
BIN, ROWS = 128, 1024
SIDES = ("plain", "raygenex")
FORMS = {"1 process of 2 threads": (1, 2), "2 processes of 1 thread": (2, 1)}


def make_sides(model: HyenaDnaModel) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return both ways from base indices to means of bins."""
    plain = plain_copy(model)
    return {
        "plain": lambda codes: pool_bins(plain(codes), BIN, "mean"),
        "raygenex": lambda codes: model.embed_bins(codes, BIN, "mean"),
    }


def draw(count: int, length: int) -> Tensor:
    """Return random base indices, uint8 ``(count, length)``."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 5, (count, length), generator=generator, dtype=torch.uint8)


def products(model: HyenaDnaModel, positions: int) -> tuple[Callable[[], None], float]:
    """Return what does the network's matrix products and nothing else, and how many GFLOP they are."""
    width, inner = model.config.d_model, model.config.d_inner
    shapes = ((width, 3 * width), (width, width), (width, inner), (inner, width))
    made = [(torch.randn(ROWS, a), torch.randn(a, b), torch.empty(ROWS, b)) for a, b in shapes]
    turns = model.config.n_layer * positions // ROWS

    def run() -> None:
        for _ in range(turns):
            for left, right, out in made:
                torch.mm(left, right, out=out)

    return run, turns * ROWS * sum(2 * a * b for a, b in shapes) / 1e9


def shares(call: Callable[[], object]) -> str:
    """Return the shares of matrix products, transforms and all else in one call, in percent."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        call()
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    total = sum(spent.values())
    matrix = sum(spent.get(name, 0) for name in ("aten::addmm", "aten::mm", "aten::bmm"))
    fourier = sum(spent.get(name, 0) for name in ("aten::_fft_r2c", "aten::_fft_c2r"))
    return " / ".join(f"{100 * part / total:.0f}" for part in (matrix, fourier, total - matrix - fourier))


def measure_memory(side: str, d_model: int, n_layer: int, count: int, length: int) -> None:
    """Print the memory (MB) of one forward pass beyond what was resident before."""
    model = random_hyenadna(d_model, n_layer, length + 2, seed=0)
    forward = make_sides(model)[side]
    with torch.inference_mode():
        forward(draw(1, min(256, length)))
        if side == "raygenex":
            for layer in model.backbone.layers:
                layer.mixer.filter_fn.spectrum(length)
        codes = draw(count, length)
        # What the allocator holds from earlier would hide what the pass takes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        before = resident_mb("VmRSS")
        forward(codes)
    print(resident_mb("VmHWM") - before)


def work(d_model: int, n_layer: int, threads: int, count: int, length: int) -> None:
    """Embed ``count`` sequences one by one after every line of input."""
    torch.set_num_threads(threads)
    model = random_hyenadna(d_model, n_layer, length + 2, seed=0)
    codes = draw(1, length)
    with torch.inference_mode():
        model.embed_bins(codes, BIN, "mean")
        print("ready", flush=True)
        for _ in sys.stdin:
            for _ in range(count):
                model.embed_bins(codes, BIN, "mean")
            print("done", flush=True)


def rate(d_model: int, n_layer: int, length: int, repeats: int, count: int = 4) -> dict[str, float]:
    """Return sequences a second of two cores, used by one process or by two."""
    pools = {}
    for name, (processes, threads) in FORMS.items():
        arguments = ("--work", d_model, n_layer, threads, count // processes, length)
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        pools[name] = [
            subprocess.Popen(
                [sys.executable, __file__, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for _ in range(processes)
        ]
    spent: dict[str, list[float]] = {name: [] for name in pools}
    for pool in pools.values():
        for process in pool:
            process.stdout.readline()
    for _ in range(repeats):
        for name, pool in pools.items():
            started = time.perf_counter()
            for process in pool:
                process.stdin.write("go\n")
                process.stdin.flush()
            for process in pool:
                process.stdout.readline()
            spent[name].append(time.perf_counter() - started)
    for pool in pools.values():
        for process in pool:
            process.communicate()
    return {name: count / median(times) for name, times in spent.items()}


def memory(side: str, d_model: int, n_layer: int, count: int, length: int) -> float:
    """Measure one side's memory (MB) in a process of its own."""
    arguments = ("--memory", side, d_model, n_layer, count, length)
    output = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout
    return float(output)


def compare(d_model: int, n_layer: int, length: int, repeats: int) -> list[tuple[object, ...]]:
    """Return the rows of one size of the network."""
    model = random_hyenadna(d_model, n_layer, length + 2, seed=0)
    sides = make_sides(model)
    few = min(repeats, max(3, repeats - 2))
    size, rows = f"{d_model} x {n_layer}", []
    codes = draw(4, length)
    with torch.inference_mode():
        limit, gflop = products(model, length)
        timed = side_by_side(
            {name: lambda call=call: call(codes[:1]) for name, call in sides.items()} | {"products": limit}, repeats
        )
        batch = side_by_side({name: lambda call=call: call(codes) for name, call in sides.items()}, few)
        pooled = (sides["plain"](codes[:1]) - sides["raygenex"](codes[:1])).abs().max()
        each = (plain_copy(model)(codes[:1]) - model.embed_bases(codes[:1])).abs().max()
        parts = {name: shares(lambda call=call: call(codes[:1])) for name, call in sides.items()}
    for count, times in ((1, timed), (4, batch)):
        ratio = times["plain"].median / times["raygenex"].median
        rows.append((size, f"time, {count} a call", times["plain"], times["raygenex"], f"{ratio:.2f}"))
    for count in (1, 4):
        used = [memory(side, d_model, n_layer, count, length) for side in SIDES]
        rows.append((size, f"memory, {count} a call, MB", *(f"{mb:.0f}" for mb in used), f"{used[0] / used[1]:.2f}"))
    kept = sum(value.nbytes for layer in model.backbone.layers for _, value in layer.mixer.filter_fn._kept.values())
    rows.append((size, "filters kept between calls, MB", "0", f"{kept / 1e6:.0f}", ""))
    rows.append((size, "largest difference of bins, of bases", "", f"{pooled:.1g}, {each:.1g}", ""))
    reached = [gflop / timed[name].median for name in (*SIDES, "products")]
    rows.append((size, "GFLOP/s of matrix products", *(f"{value:.0f}" for value in reached[:2]), ""))
    percent = [f"{100 * value / reached[2]:.0f} %" for value in reached[:2]]
    rows.append((size, f"of products alone, {reached[2]:.0f} GFLOP/s", *percent, ""))
    rows.append((size, "products / transforms / else, %", parts["plain"], parts["raygenex"], ""))
    rows.extend(
        (size, f"sequences/s, {name}", "", f"{value:.2f}", "")
        for name, value in rate(d_model, n_layer, length, few).items()
    )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=20000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for size in SIZES:
        found = compare(*size, options.length, options.repeats)
        print(*found, "", sep="\n", file=sys.stderr, flush=True)
        rows += found
    print_table(("d_model x layers", f"{options.length:,} bases", "plain", "raygenex", "plain / raygenex"), rows)
    for size, what, _, _, ratio in rows:
        if what.endswith(("time, 1 a call", "memory, 1 a call, MB")):
            print_ratio(f"hyenadna_{what.split(',')[0]}_{size.replace(' ', '')}", float(ratio))
    print(f"\n{torch.get_num_threads()} threads, {psutil.virtual_memory().total / 1e9:.0f} GB of memory")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(sys.argv[2], *map(int, sys.argv[3:]))
    elif sys.argv[1:2] == ["--work"]:
        work(*map(int, sys.argv[2:]))
    else:
        main()
