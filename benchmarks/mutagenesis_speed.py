"""Mutagenesis of a long promoter: what a substitution does not change is computed once, against whole passes.

    python benchmarks/mutagenesis_speed.py
    python benchmarks/mutagenesis_speed.py --backbone 128 2 --some 60

One gene and the default CNN of half-life and bases, or of a HyenaDNA of some width and layers, with random weights.
Whole passes are timed on some substitutions and multiplied. In a CNN these are spread over the window, and all of them
pass in their receptive field. Behind a HyenaDNA they are those in the middle of the window, where what follows is half
of it, as it is on average; they pass by the beginning that they share with the gene, and are multiplied as well. One
gradient of the same network is timed beside them: integrated gradients take one a step. The logits are compared.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import print_ratio, print_table
from untrained import save_untrained

from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.receptive_field import sees_little, substitution_logits
from raygenex.explain.methods.shared_prefix import prefix_logits
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import BACKBONE, InputInfo

BIN = 128


def untrained(folder: Path, window: int, backbone: list[int] | None) -> LogitFunction:
    """Write and load a model of random weights, of bases or of a HyenaDNA of (width, layers)."""
    inputs, digest = InputInfo(kind="bases", length=window, channels=4, window=window), None
    if backbone:
        network = random_hyenadna(*backbone, window + 2, seed=0)
        digest = weights_sha256(network)
        save_backbone(network, folder / BACKBONE)
        inputs = inputs.model_copy(update={"kind": "embedding", "length": -(-window // BIN), "channels": backbone[0]})
    save_untrained(folder, {"embed": {"bin_size": BIN}}, inputs, digest)
    return LogitFunction(Predictor(folder))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=20_000)
    parser.add_argument("--some", type=int, default=300, help="substitutions that pass as a whole")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backbone", type=int, nargs=2, metavar=("WIDTH", "LAYERS"), help="of a HyenaDNA")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, options.window).astype(np.uint8)
    halflife = rng.normal(size=8).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        function = untrained(Path(folder), options.window, options.backbone)
    places, bases = (array.ravel() for array in np.meshgrid(np.arange(options.window), np.arange(4), indexing="ij"))
    other = bases != codes[places]
    places, bases = places[other], bases[other]
    if function.embeds:
        some = np.arange(options.some) + (len(places) - options.some) // 2
        name, route, passed = "the beginning shared", prefix_logits, some
    else:
        assert sees_little(function)
        some = np.linspace(0, len(places) - 1, options.some).astype(int)
        name, route, passed = "receptive field", substitution_logits, np.arange(len(places))
    changed = np.repeat(codes[None], len(some), axis=0)
    changed[np.arange(len(some)), places[some]] = bases[some]
    found: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {"whole": [], name: [], "gradient": []}

    def timed(side: str, of: int, call: Callable[[], np.ndarray]) -> None:
        started = time.perf_counter()
        found[side] = call()
        seconds[side].append((time.perf_counter() - started) * len(places) / of)

    for _ in range(options.repeats):
        timed("whole", len(some), lambda: function.logits_of_codes(changed, np.tile(halflife, (len(some), 1))))
        timed(name, len(passed), lambda: route(function, codes, halflife, places[passed], bases[passed]))
        timed(
            "gradient", len(places), lambda: function.gradient(function.one_hot(codes[None]), halflife[None])[1].numpy()
        )
    whole, fast, gradient = (statistics.median(times) for times in seconds.values())
    rows = [
        ("whole passes", f"{whole:,.0f}", f"{len(some)} of {len(places)} substitutions, multiplied"),
        (name, f"{fast:,.1f}", f"{len(passed)} of {len(places)} substitutions"),
        ("a gradient", f"{gradient:.2f}", "the gene"),
    ]
    print_table(("a gene", "seconds", "of"), rows)
    wanted, got = found["whole"], found[name][some if len(passed) == len(places) else slice(None)]
    largest = np.abs(got - wanted).max()
    print_ratio("mutagenesis_hyenadna" if function.embeds else "mutagenesis", whole / fast)
    print(f"the logits differ by {largest:.1e} at most, and range over {np.ptp(wanted):.1e}")


if __name__ == "__main__":
    main()
