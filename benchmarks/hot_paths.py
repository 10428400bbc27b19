"""The paths that touch every gene, against the same arithmetic gene by gene, and their calls of Python a gene.

    python benchmarks/hot_paths.py

Each path is checked to give what the plain loop gives. Calls a gene are Python functions entered (C functions and
generators' turns among them) by twice the genes less those by the genes, divided by the genes: 0 means that no loop
over genes is left, and a path that cuts its genes into batches has a small fraction. Variants are built window by
window: see benchmarks/variants_speed.py for their speed.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import print_ratio, print_table, side_by_side
from untrained import save_untrained

from raygenex.config.model import HalflifeConfig, KmerConfig
from raygenex.data.sketches import sketch
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.mutagenesis import mutagenesis
from raygenex.models.halflife import triplet_loss
from raygenex.models.kmers import feature_names, kmer_features
from raygenex.predict.predictor import Predictor
from raygenex.sequence import from_one_hot, to_one_hot, to_string
from raygenex.stats.metrics import binary_metrics, bootstrap_intervals, both_classes, draw_resamples, rank_probability
from raygenex.train.checkpoint import InputInfo
from raygenex.train.network import contrastive

WINDOW = 60
RESAMPLES = 100


def bases(genes: int, window: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.choice(5, (genes, window), p=[0.249, 0.249, 0.249, 0.249, 0.004]).astype(np.uint8)


def python_calls(call: Callable[[int], Any], genes: int) -> float:
    """Return the calls of Python a gene."""

    def count(n: int) -> int:
        found = 0

        def see(frame: Any, event: str, argument: Any) -> None:
            nonlocal found
            found += event in ("call", "c_call")

        sys.setprofile(see)
        try:
            call(n)
        finally:
            sys.setprofile(None)
        return found

    call(genes)
    return (count(2 * genes) - count(genes)) / genes


# One-hot to base indices


def indices(genes: int) -> np.ndarray:
    return from_one_hot(to_one_hot(bases(genes, 2000)))


def indices_by_gene(genes: int) -> np.ndarray:
    found = []
    for one_hot in to_one_hot(bases(genes, 2000)):
        found.append([4 if not row.any() else int(row.argmax()) for row in one_hot])
    return np.array(found)


# Half-life pretraining


def pretraining(genes: int) -> float:
    halflife = torch.randn(genes, 8, generator=torch.Generator().manual_seed(0))
    losses: list[float] = []
    options = HalflifeConfig(channels=(32, 64, 32), epochs=2, batch_size=128)
    contrastive.pretrain_encoder(halflife, options, 0, lambda numbers: losses.append(numbers["triplet_loss"]))
    return losses[-1]


def step_by_gene(encoder: torch.nn.Module, inputs: torch.Tensor, margin: float) -> tuple[float, float]:
    code, positive = (torch.cat([encoder(gene[None]) for gene in half]) for half in inputs.chunk(2))
    found = [triplet_loss(code[i : i + 1], positive[i : i + 1], code[i - 1][None], margin) for i in range(len(code))]
    loss = torch.stack([loss for loss, _ in found]).mean()
    loss.backward()
    return loss.item(), torch.stack([satisfied for _, satisfied in found]).mean().item()


def pretraining_by_gene(genes: int) -> float:
    before = contrastive._step, contrastive._sparse_step
    contrastive._step = contrastive._sparse_step = step_by_gene
    try:
        return pretraining(genes)
    finally:
        contrastive._step, contrastive._sparse_step = before


# k-mers

KMERS = KmerConfig(k=(1, 2, 3, 4), halflife=False)


def kmers(genes: int) -> np.ndarray:
    return kmer_features(bases(genes, 2000), None, KMERS)


def kmers_by_gene(genes: int) -> np.ndarray:
    places = {name: column for column, name in enumerate(feature_names(KMERS, 2000))}
    table = np.zeros((genes, len(places)), dtype=np.float32)
    bounds = [region * 2000 // KMERS.regions for region in range(KMERS.regions + 1)]
    for gene, row in zip(map(to_string, bases(genes, 2000)), table, strict=True):
        for k in KMERS.k:
            for at in range(2000 - k + 1):
                word = gene[at : at + k]
                if "N" in word:
                    continue
                row[places[word]] += 1
                if k <= KMERS.region_k:
                    first, stop = next(pair for pair in itertools.pairwise(bounds) if pair[0] <= at < pair[1])
                    row[places[f"{word}[{first}:{stop}]"]] += 1
        for at in range(KMERS.onehot_bases):
            letter = gene[1000 - KMERS.onehot_bases // 2 + at]
            if letter != "N":
                row[places[f"{letter}@{at - KMERS.onehot_bases // 2:+d}"]] = 1
    return table


# Bootstrap


def scored(genes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(genes) % 2
    return labels, np.round((0.3 * labels + 0.7 * rng.random(genes)), 3)


def bootstrap(genes: int) -> np.ndarray:
    found = bootstrap_intervals(*scored(genes), 0.5, RESAMPLES, 0.95, 0)
    return np.array([found["auroc"], found["f1"]])


def bootstrap_by_gene(genes: int) -> np.ndarray:
    labels, probability = scored(genes)
    ranking = both_classes(rank_probability(labels, probability), "a bootstrap")
    drawn = []
    for counts in itertools.chain.from_iterable(draw_resamples(ranking.labels, RESAMPLES, 0)):
        rows = [gene for gene, times in enumerate(counts) for _ in range(times)]
        found = binary_metrics(ranking.labels[rows], ranking.scores[rows], 0.5)
        drawn.append([found["auroc"], found["f1"]])
    whole = binary_metrics(labels, probability, 0.5)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return np.stack([[whole["auroc"], whole["f1"]], low, high], axis=1)


# Mutagenesis


def explained(folder: Path) -> LogitFunction:
    inputs = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
    save_untrained(folder, {"model": {"width": 16, "channels": [16, 16], "dense": [16]}}, inputs)
    return LogitFunction(Predictor(folder), 256)


def mutants_by_gene(function: LogitFunction, codes: np.ndarray, halflife: np.ndarray) -> np.ndarray:
    found = np.full(codes.shape, np.nan)
    for gene in range(len(codes)):
        own = function.logits_of_codes(codes[gene : gene + 1], halflife[gene : gene + 1])[0]
        for place in range(codes.shape[1]):
            if codes[gene, place] == 4:
                continue
            changes = []
            for base in {0, 1, 2, 3} - {int(codes[gene, place])}:
                changed = codes[gene : gene + 1].copy()
                changed[0, place] = base
                changes.append(function.logits_of_codes(changed, halflife[gene : gene + 1])[0] - own)
            found[gene, place] = -sum(changes) / 3
    return found


# Sketches, by which leaks are found


def sketches(genes: int) -> np.ndarray:
    return sketch(bases(genes, 2000))


def sketches_by_gene(genes: int) -> np.ndarray:
    return np.concatenate([sketch(row[None]) for row in bases(genes, 2000)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        function = explained(Path(folder))
        zeros = np.zeros((1024, 8), np.float32)
        paths = {
            "one-hot to base indices, 2,000 bp": (200, indices, indices_by_gene),
            "half-life pretraining, 2 epochs": (512, pretraining, pretraining_by_gene),
            "k-mer features, k 1 to 4, 2,000 bp": (100, kmers, kmers_by_gene),
            f"bootstrap, {RESAMPLES} resamples": (1000, bootstrap, bootstrap_by_gene),
            f"mutagenesis, CNN, {WINDOW} bp": (
                8,
                lambda n: mutagenesis(function, bases(n, WINDOW), zeros[:n]).attribution,
                lambda n: mutants_by_gene(function, bases(n, WINDOW), zeros[:n]),
            ),
            "sketches of promoters, 2,000 bp": (100, sketches, sketches_by_gene),
        }
        for name, (genes, whole, by_gene) in paths.items():
            np.testing.assert_allclose(whole(genes), by_gene(genes), rtol=1e-4, atol=1e-5)
            sides = {"whole": lambda: whole(genes), "loop": lambda: by_gene(genes)}  # noqa: B023
            timings = side_by_side(sides, options.repeats, warmups=0)
            ratio = timings["loop"].median / timings["whole"].median
            calls = python_calls(whole, genes), python_calls(by_gene, genes)
            rows.append(
                (name, genes, timings["whole"], timings["loop"], f"{ratio:.1f}", *(f"{count:.3g}" for count in calls))
            )
    print_table(("path", "genes", "raygenex", "gene by gene", "times", "calls a gene", "calls a gene, loop"), rows)
    for name, _, _, _, ratio, *_ in rows:
        print_ratio(f"hot_{name.split(',')[0].replace(' ', '_')}", float(ratio))


if __name__ == "__main__":
    main()
