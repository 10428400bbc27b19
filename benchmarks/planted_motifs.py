"""Do attributions find planted motifs? Trains `jobs/motifs.yaml` with several seeds, and once with shuffled labels.

Run ``python benchmarks/planted_motifs.py FOLDER [SEEDS]``; FOLDER keeps data, models and attributions, and what is
there is used again. Of the 20 positions with the largest absolute attributions of a test gene, the table counts those
inside planted sites (median over the genes predicted high), beside what chance would give, and says how well each
method ranks the positions as mutagenesis does (Spearman, median over the same genes).
"""

import csv
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.data.simulate.motifs import MOTIFS
from raygenex.explain.parts import folder_of, read_manifest, read_parts
from raygenex.explain.results.agreement import agreement
from raygenex.stats.metrics import auroc

JOB = Path(__file__).parents[1] / "jobs" / "motifs.yaml"
METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "mutagenesis")
TOP = 20


def raygenex(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "raygenex", *words], check=True, stdout=sys.stderr)


def shuffle_labels(source: Path, target: Path) -> None:
    """Copy a data set; labels of train and valid change places at random, so that nothing can be learned from them."""
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("simulation.json"))
    for split in ("train", "valid"):
        with h5py.File(target / f"{split}.h5", "r+") as file:
            file["label"][:] = np.random.default_rng(0).permutation(file["label"][:])


def sites(truth: Path, window: int) -> dict[str, list[tuple[int, int]]]:
    """Read the first index and the one after the last of every planted site, by gene."""
    lengths = {motif.name: motif.length for motif in MOTIFS}
    found = {}
    with truth.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            placed = [site.split(":") for site in row["motifs"].split(";") if site]
            starts = [(window // 2 + int(position), lengths[name]) for name, position, *_ in placed]
            found[row["gene_id"]] = [(start, start + length) for start, length in starts]
    return found


def explained(folder: Path, data: Path, name: str, seed: int) -> RunConfig:
    """Train and explain one model; return its configuration."""
    overrides = [f"output={folder}", f"name={name}", f"seed={seed}", *files(data)]
    for verb in ("train", "explain"):
        raygenex(verb, str(JOB), *options(overrides))
    return load_config(JOB, overrides)


def files(data: Path) -> list[str]:
    return [f"data.{split}={data}/{split}.h5" for split in ("train", "valid", "test")]


def options(overrides: list[str]) -> list[str]:
    return [part for override in overrides for part in ("-o", override)]


@dataclass(frozen=True)
class SiteOverlap:
    """How many of a gene's strongest positions lie in known sites."""

    share: NDArray[np.float64]
    """Share of them that do, shape ``(n,)``; NaN for a gene without sites or attributions."""
    chance: NDArray[np.float64]
    """Share of all positions that do, shape ``(n,)``: what positions drawn at random would give."""


def share_in_sites(
    attribution: NDArray[np.floating], sites: Sequence[Sequence[tuple[int, int]]], k: int = 20
) -> SiteOverlap:
    """Find how many of the ``k`` positions with the largest absolute attributions lie in known sites.

    Parameters
    ----------
    attribution
        Shape ``(n, L)``; NaN is passed over; of equal values the leftmost are taken.
    sites
        For every gene the first index and the one after the last of each site, clipped to the window.
    k
        Positions per gene, all if it has fewer.
    """
    assert len(attribution) == len(sites), (len(attribution), len(sites))
    share, chance = np.full((2, len(sites)), np.nan)
    for row, (values, intervals) in enumerate(zip(attribution, sites, strict=True)):
        inside = np.zeros(len(values), dtype=bool)
        for start, stop in intervals:
            inside[max(start, 0) : max(stop, 0)] = True
        known = np.flatnonzero(np.isfinite(values))
        if not inside[known].any():
            continue
        top = known[np.argsort(-np.abs(values[known]), kind="stable")[:k]]
        share[row], chance[row] = inside[top].mean(), inside[known].mean()
    return SiteOverlap(share, chance)


def report(config: RunConfig, truth: dict[str, list[tuple[int, int]]]) -> None:
    folder = folder_of(config)
    manifest = read_manifest(folder)
    assert manifest is not None, "it was just made"
    scores = read_parts(folder / "scores", names=("gene_id", "label", "probability"))
    high = np.flatnonzero(scores["probability"] >= manifest.threshold)
    start = f"{config.name:<12}{auroc(scores['label'], scores['probability']):>8.3f}{high.size:>7}"
    if not high.size:
        print(f"{start}   no gene is predicted high", flush=True)
        return
    values = {name: read_parts(folder / name, names=("attribution",))["attribution"][high] for name in METHODS}
    planted = [truth[gene] for gene in scores["gene_id"][high]]
    for name in METHODS:
        overlap = share_in_sites(values[name], planted, TOP)
        inside, chance = np.nanmedian(overlap.share) * TOP, np.nanmedian(overlap.chance) * TOP
        alike = agreement(values[name], values["mutagenesis"])
        print(f"{start}   {name:<22}{inside:>9.1f}{chance:>8.1f}{alike.median:>10.2f}", flush=True)


def main() -> None:
    folder, seeds = Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    data, shuffled = folder / "motifs-data", folder / "shuffled-data"
    raygenex("data", "simulate", str(JOB), *options([f"output={folder}", *files(data)]))
    if not shuffled.exists():
        shuffle_labels(data, shuffled)
    truth = sites(data / "truth.tsv", load_config(JOB, ()).simulate.window)
    print(f"{'model':<12}{'AUROC':>8}{'high':>7}   {'method':<22}{'in sites':>9}{'chance':>8}{'Spearman':>10}")
    for seed in range(seeds):
        report(explained(folder, data, f"seed{seed}", seed), truth)
    report(explained(folder, shuffled, "shuffled", 0), truth)


if __name__ == "__main__":
    main()
