"""Mutagenesis of a long promoter: substitutions in their receptive field against whole passes.

    python benchmarks/mutagenesis_speed.py

One gene and the default CNN of half-life and bases, with random weights. Whole passes are timed on some substitutions,
spread over the window, and multiplied; all substitutions pass in their receptive field. The logits of the some are
compared.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure import print_ratio, print_table
from untrained import save_untrained

from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.receptive_field import sees_little, substitution_logits
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import InputInfo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, default=20_000)
    parser.add_argument("--some", type=int, default=300, help="substitutions that pass as a whole")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, options.window).astype(np.uint8)
    halflife = rng.normal(size=8).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        inputs = InputInfo(kind="bases", length=options.window, channels=4, window=options.window)
        save_untrained(Path(folder), {}, inputs)
        function = LogitFunction(Predictor(folder))
    assert sees_little(function)
    places, bases = (array.ravel() for array in np.meshgrid(np.arange(options.window), np.arange(4), indexing="ij"))
    other = bases != codes[places]
    places, bases = places[other], bases[other]
    some = np.linspace(0, len(places) - 1, options.some).astype(int)

    def whole() -> np.ndarray:
        changed = np.repeat(codes[None], len(some), axis=0)
        changed[np.arange(len(some)), places[some]] = bases[some]
        return function.logits_of_codes(changed, np.repeat(halflife[None], len(some), axis=0))

    seconds: dict[str, list[float]] = {"whole": [], "local": []}
    for _ in range(options.repeats):
        started = time.perf_counter()
        wanted = whole()
        seconds["whole"].append((time.perf_counter() - started) * len(places) / len(some))
        started = time.perf_counter()
        found = substitution_logits(function, codes, halflife, places, bases)
        seconds["local"].append(time.perf_counter() - started)
    slow, fast = (statistics.median(times) for times in seconds.values())
    print_table(
        ("a gene", "seconds", "of"),
        [
            ("whole passes", f"{slow:.0f}", f"{len(some)} of {len(places)} substitutions, multiplied"),
            ("receptive field", f"{fast:.1f}", f"{len(places)} substitutions"),
        ],
    )
    largest = np.abs(found[some] - wanted).max()
    print_ratio("mutagenesis", slow / fast)
    print(f"the logits differ by {largest:.1e} at most, and range over {np.ptp(wanted):.1e}")


if __name__ == "__main__":
    main()
