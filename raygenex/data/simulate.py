"""Simulated promoters and half-life features whose labels follow a known rule.

A gene has a CpG island of some strength, motifs at known places and eight half-life features. Two scores add up to the
log-odds of label 1, so that the best AUROC any model can reach is known, and so is every base that matters.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex import __version__
from raygenex.config import SPLITS, SimulateConfig
from raygenex.data.hdf5 import fingerprint
from raygenex.data.motifs import MOTIFS, Motif
from raygenex.data.writer import PromoterWriter
from raygenex.errors import DataError

SCORE_SD = 1.5
"""Standard deviation of both scores: with effects of 1.5 log-odds a unit, the best possible AUROC is about 0.92."""

ISLAND_EFFECT = 1.6
"""What one standard deviation of CpG island strength adds to the raw DNA score."""

BLOCK_BASES = 2**20

HALFLIFE_EFFECTS = np.array([-0.4, -0.3, 0.3, -0.6, -0.5, 0.3, -0.4, 0.9])
"""What one standard deviation of each half-life feature adds to the raw half-life score, in their order."""

INTERACTION_EFFECT = 0.4
"""What the product of UTR3LEN and ORFEXONDENSITY, both in standard deviations, adds."""

GC_MEAN, GC_SD = np.array([0.62, 0.53, 0.44]), np.array([0.16, 0.09, 0.11])
"""Mean and standard deviation of UTR5GC, CDSGC, UTR3GC: those of human genes, rounded."""

_PLACING_ATTEMPTS = 20
_FILES = {**{name: f"{name}.h5" for name in SPLITS}, "truth": "truth.tsv"}


@dataclass(frozen=True)
class SimulationResult:
    """A simulated data set."""

    folder: str
    """Absolute path of the folder."""
    files: dict[str, str]
    """Absolute path of ``train``, ``valid``, ``test`` (HDF5) and ``truth`` (one line a gene)."""
    rows: dict[str, int]
    """Genes of each split."""
    bayes_auroc: dict[str, float | None]
    """AUROC of the true probability, by split: what a perfect model reaches; None if a split has one class only."""
    reused: bool
    """Whether the folder held this data set already, and nothing was done."""


@dataclass(frozen=True)
class _Site:
    motif: Motif
    position: int
    strand: str


@dataclass(frozen=True)
class _Plan:
    """Everything about the genes but their background bases; arrays of one value (or row) a gene."""

    island: NDArray[np.float64]
    sites: list[list[_Site]]
    halflife: NDArray[np.float32]
    dna_score: NDArray[np.float64]
    halflife_score: NDArray[np.float64]
    probability: NDArray[np.float64]
    label: NDArray[np.uint8]


def simulate(config: SimulateConfig, folder: str | Path, overwrite: bool = False) -> SimulationResult:
    """Write ``train.h5``, ``valid.h5``, ``test.h5``, ``truth.tsv`` and ``simulation.json``.

    The label of a gene is drawn with probability ``sigmoid(dna_effect * dna_score + halflife_effect *
    halflife_score)``, both scores centred and scaled to `SCORE_SD` over all genes. The same configuration gives the
    same values. Promoters are made and written block by block.

    ``truth.tsv`` has one line a gene: ``gene_id``, ``split``, ``dna_score``, ``halflife_score``, ``probability``,
    ``label`` and ``motifs``, a list ``name:position:strand;...`` in which a position is that of a site's leftmost base
    from the TSS, base ``window // 2``.

    Parameters
    ----------
    config
        Sizes, effects and seed.
    folder
        Where to write; made if needed.
    overwrite
        Whether a data set made otherwise is replaced.

    Returns
    -------
    Paths, counts and the best possible AUROC. A folder that holds this very data set is left as it is.

    Raises
    ------
    DataError
        If the folder holds other data and ``overwrite`` is false, or cannot be written.
    """
    folder = Path(folder).absolute()
    values = config.model_dump(mode="json")
    if not overwrite and (found := find_simulation(config, folder)) is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".simulate-", dir=folder) as partial:
            record = _write(config, values, Path(partial))
            # The record goes first and comes last: it never stands beside files that it does not describe.
            (folder / "simulation.json").unlink(missing_ok=True)
            for name in _FILES.values():
                os.replace(Path(partial) / name, folder / name)
            text = json.dumps(record, indent=2) + "\n"
            (Path(partial) / "simulation.json").write_text(text, encoding="utf-8")
            os.replace(Path(partial) / "simulation.json", folder / "simulation.json")
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}); choose another folder") from None
    return _result(folder, record, reused=False)


def find_simulation(config: SimulateConfig, folder: Path) -> SimulationResult | None:
    """Return the data set of this configuration that a folder holds already; None if it holds none.

    Raises
    ------
    DataError
        If it holds other data.
    """
    if (record := _reusable(folder, config.model_dump(mode="json"))) is not None:
        return _result(folder, record, reused=True)
    if present := [name for name in (*_FILES.values(), "simulation.json") if (folder / name).exists()]:
        raise DataError(
            f"{folder} holds {present[0]} of another data set or configuration: "
            "give --force to replace it, or choose another folder"
        )
    return None


def _write(config: SimulateConfig, values: dict[str, Any], folder: Path) -> dict[str, Any]:
    sizes = {name: getattr(config, name) for name in SPLITS}
    # Seeds of numpy's generators are not negative; any integer maps to one.
    plan_seed, *split_seeds = np.random.SeedSequence(config.seed % 2**64).spawn(1 + len(SPLITS))
    plan = _draw_plan(config, sum(sizes.values()), np.random.default_rng(plan_seed))
    genes = np.array([f"SIM{i + 1:08d}" for i in range(len(plan.label))], dtype=object)
    auroc: dict[str, float | None] = {}
    with open(folder / _FILES["truth"], "w", encoding="utf-8") as truth:
        truth.write("gene_id\tsplit\tdna_score\thalflife_score\tprobability\tlabel\tmotifs\n")
        start = 0
        for (name, size), seed in zip(sizes.items(), split_seeds, strict=True):
            rows = slice(start, start + size)
            with PromoterWriter(folder / _FILES[name], config.window) as writer:
                for first, block in _promoters(config.window, plan, rows, np.random.default_rng(seed)):
                    here = slice(first, first + len(block))
                    writer.append(genes[here], block, plan.halflife[here], plan.label[here])
            truth.writelines(_truth_line(plan, genes, i, name) for i in range(rows.start, rows.stop))
            auroc[name] = _auroc(plan.label[rows], plan.probability[rows])
            start += size
    return {
        "config": values,
        "version": __version__,
        "rows": sizes,
        "bayes_auroc": auroc,
        "sha256": {name: fingerprint(str(folder / name)) for name in _FILES.values()},
    }


def _draw_plan(config: SimulateConfig, n: int, rng: np.random.Generator) -> _Plan:
    island = rng.standard_normal(n)
    sites = [_place_motifs(config.window, rng) for _ in range(n)]
    dna = ISLAND_EFFECT * island + [sum(site.motif.effect for site in placed) for placed in sites]
    features = rng.standard_normal((n, len(HALFLIFE_EFFECTS)))
    halflife = features.copy()
    halflife[:, 4:7] = np.clip(GC_MEAN + GC_SD * features[:, 4:7], 0, 1)
    # Exon density is positive with a long tail: log-normal, its median that of human genes.
    halflife[:, 7] = 6 * np.exp(0.45 * features[:, 7])
    stability = features @ HALFLIFE_EFFECTS + INTERACTION_EFFECT * features[:, 3] * features[:, 7]
    dna_score, halflife_score = _standardised(dna), _standardised(stability)
    logit = config.dna_effect * dna_score + config.halflife_effect * halflife_score
    probability = 1 / (1 + np.exp(-logit))
    label = (rng.random(n) < probability).astype(np.uint8)
    return _Plan(island, sites, halflife.astype(np.float32), dna_score, halflife_score, probability, label)


def _place_motifs(window: int, rng: np.random.Generator) -> list[_Site]:
    """Give one promoter its sites, none over another; a site that finds no room is left out, of the truth too."""
    taken = np.zeros(window, dtype=bool)
    placed = []
    for motif in MOTIFS:
        if rng.random() >= motif.share:
            continue
        low, high = max(motif.first, -(window // 2)), min(motif.last, window - window // 2 - motif.length)
        for _ in range(_PLACING_ATTEMPTS):
            position = int(rng.integers(low, high + 1))
            strand = "-" if motif.both_strands and rng.random() < 0.5 else "+"
            start = window // 2 + position
            if not taken[start : start + motif.length].any():
                taken[start : start + motif.length] = True
                placed.append(_Site(motif, position, strand))
                break
    return placed


def _promoters(
    window: int, plan: _Plan, rows: slice, rng: np.random.Generator
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the number of a block's first gene and its base indices, shape ``(n, window)``."""
    tss = window // 2
    distance = np.arange(window) - tss
    # A CpG island of about 1 kb around the TSS; in a shorter window, one that fades within it.
    shape = np.exp(-0.5 * (distance / min(400, window / 3)) ** 2)
    step = max(1, BLOCK_BASES // window)
    for first in range(rows.start, rows.stop, step):
        stop = min(first + step, rows.stop)
        strength = 1 / (1 + np.exp(-1.5 * plan.island[first:stop, None]))
        gc = 0.40 + rng.normal(0, 0.02, (stop - first, 1)) + 0.35 * strength * shape
        is_gc = rng.random((stop - first, window)) < gc
        second = rng.random((stop - first, window)) < 0.5
        block = np.where(is_gc, np.where(second, 2, 1), np.where(second, 3, 0)).astype(np.uint8)
        _deplete_cpg(block, 0.75 * (1 - strength * shape), rng)
        for row, placed in enumerate(plan.sites[first:stop]):
            for site in placed:
                start = tss + site.position
                block[row, start : start + site.motif.length] = site.motif.sample(site.strand, rng)
        yield first, block


def _deplete_cpg(block: NDArray[np.uint8], chance: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Turn CG into TG or CA in place, as methylation does outside CpG islands; ``chance`` has the block's shape."""
    row, position = np.nonzero((block[:, :-1] == 1) & (block[:, 1:] == 2))
    lost = rng.random(len(row)) < chance[row, position]
    row, position = row[lost], position[lost]
    on_sense = rng.random(len(row)) < 0.5
    block[row[on_sense], position[on_sense]] = 3
    block[row[~on_sense], position[~on_sense] + 1] = 0


def _standardised(score: NDArray[np.float64]) -> NDArray[np.float64]:
    sd = score.std()
    # Few enough genes may all score alike.
    return SCORE_SD * (score - score.mean()) / sd if sd > 0 else np.zeros_like(score)


def _auroc(label: NDArray[np.uint8], score: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve as the Mann-Whitney statistic over all pairs, ties counted half."""
    positive = label == 1
    pairs = int(positive.sum()) * int((~positive).sum())
    if pairs == 0:
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / pairs)


def _truth_line(plan: _Plan, genes: NDArray[np.object_], i: int, split: str) -> str:
    motifs = ";".join(f"{site.motif.name}:{site.position}:{site.strand}" for site in plan.sites[i])
    scores = f"{plan.dna_score[i]:.6f}\t{plan.halflife_score[i]:.6f}\t{plan.probability[i]:.6f}"
    return f"{genes[i]}\t{split}\t{scores}\t{plan.label[i]}\t{motifs}\n"


def _reusable(folder: Path, values: dict[str, Any]) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / "simulation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(record, dict) and record.get("config") == values
    return record if same and all((folder / name).exists() for name in _FILES.values()) else None


def _result(folder: Path, record: dict[str, Any], reused: bool) -> SimulationResult:
    files = {name: str(folder / file) for name, file in _FILES.items()}
    return SimulationResult(str(folder), files, record["rows"], record["bayes_auroc"], reused)
