"""What genes of one split give away about those of another: equal sequences, overlapping windows, near-duplicates.

A gene of valid or test leaks if train (or valid) holds its id, its very sequence, a window that shares a base with
its own, or a promoter that is nearly its own. Genes whose TSSs are close are counted apart and do not make a leak:
where the windows are longer than the distance they overlap and are counted already, and where they are shorter the
model sees different bases, though the chromatin around them may be shared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import CheckConfig
from raygenex.data.similarity import best_partners
from raygenex.data.windows import GeneWindows, chromosome_keys

LEAKS = {
    "same_id": "the same id",
    "identical": "the same sequence",
    "overlapping": "overlapping windows",
    "near_duplicate": "near-duplicate promoters",
}
"""The kinds of leak, and how they are called."""

EXAMPLES = 5

_Partners = tuple[NDArray[np.int64], NDArray[Any] | None]


@dataclass(frozen=True)
class Example:
    """A gene and its closest partner."""

    gene: str
    """A gene of the second split."""
    partner: str
    """A gene of the first split."""
    value: float | None
    """Bases that overlap, bases between the TSSs, or the Jaccard similarity; None where the two are equal."""


@dataclass(frozen=True)
class Leak:
    """Genes of the second split that have a partner in the first."""

    genes: int
    share: float
    """Of the genes of the second split, 0 to 1."""
    examples: tuple[Example, ...] = ()
    """The closest, up to 5, of different genes."""


@dataclass(frozen=True)
class PairLeaks:
    """What the first split gives away about the second; None for what could not be looked at."""

    first: str
    second: str
    genes: int
    """Genes of the second split."""
    same_id: Leak | None
    """Genes that are in both splits."""
    identical: Leak | None
    """Genes whose sequence is in the first split."""
    overlapping: Leak | None
    """Genes whose window shares a base with a window of the first split, whatever the strands."""
    near_duplicate: Leak | None
    """Genes whose promoter is alike one of the first split, `CheckConfig.promoter` or more."""
    neighbouring: Leak | None
    """Genes whose TSS is within `CheckConfig.neighbours` bases of one of the first split; not a leak by itself."""
    any: Leak
    """Genes of which one of the first four is true."""


@dataclass(frozen=True)
class LeakageReport:
    """The leaks between every two splits; `dataclasses.asdict` makes it fit for JSON."""

    neighbours: int
    """Greatest distance of neighbouring TSSs, in bases."""
    promoter: float
    """Least similarity of near-duplicates."""
    pairs: tuple[PairLeaks, ...]
    repeated: dict[str, int | None]
    """Genes of every split whose sequence another gene of the same split has; None if not looked at."""

    @property
    def worst(self) -> float:
        """The largest share of genes with a leak over all pairs of splits, 0 to 1; 0 for a single split."""
        return max((pair.any.share for pair in self.pairs), default=0.0)

    def exceeds(self, max_leaked: float) -> bool:
        """Whether more leaks than a share of the genes of some split."""
        return self.worst > max_leaked


def find_leaks(splits: Mapping[str, GeneWindows], config: CheckConfig) -> LeakageReport:
    """Look for what every split gives away about those after it.

    Parameters
    ----------
    splits
        By name, in the order train, valid, test; those that there are.
    config
        What counts as a neighbour and as a near-duplicate.
    """
    pairs = tuple(
        _compare(first, splits[first], second, splits[second], config) for first, second in combinations(splits, 2)
    )
    repeated = {name: _repeated(genes.digests) for name, genes in splits.items()}
    return LeakageReport(config.neighbours, config.promoter, pairs, repeated)


def sentence(report: LeakageReport, config: CheckConfig) -> str:
    """Say in one sentence how bad the worst pair of splits is, and what to do; the report has a pair."""
    pair = max(report.pairs, key=lambda pair: pair.any.share)
    leaks = [(text, getattr(pair, kind)) for kind, text in LEAKS.items()]
    leaks = [(text, leak) for text, leak in leaks if leak is not None and leak.genes]
    kinds = ", ".join(f"{leak.genes:,} by {text}" for text, leak in leaks)
    such = "".join(f", such as {leak.examples[0].gene} from {leak.examples[0].partner}" for _, leak in leaks[:1])
    return (
        f"{pair.any.genes:,} of the {pair.genes:,} genes of {pair.second} ({pair.any.share:.1%}) leak from "
        f"{pair.first} ({kinds}{such}), and check.max_leaked is {config.max_leaked:.1%}: split by chromosome or by "
        "similarity with `raygenex data split`, or raise check.max_leaked"
    )


def render(report: LeakageReport) -> list[str]:
    """Return the lines of a table, at most 100 characters wide."""
    kinds = {
        "same_id": "same gene id",
        "identical": "identical sequence",
        "overlapping": "overlapping window",
        "near_duplicate": f"alike promoter (J >= {report.promoter:g})",
        "any": "any of these",
        "neighbouring": f"TSS within {report.neighbours:,} bp",
    }
    titles = [f"{pair.second} in {pair.first}" for pair in report.pairs]
    lines = [f"{'genes with a partner':<28}" + "".join(f"{title:>20}" for title in titles)]
    for kind, text in kinds.items():
        cells = (_cell(getattr(pair, kind)) for pair in report.pairs)
        lines.append(f"{text:<28}" + "".join(f"{cell:>20}" for cell in cells))
    repeated = (f"{name} {'-' if count is None else f'{count:,}'}" for name, count in report.repeated.items())
    return [*(lines if titles else []), f"{'identical within a split':<28}  {', '.join(repeated)}"]


def _cell(leak: Leak | None) -> str:
    return "-" if leak is None else f"{leak.genes:,} {f'({leak.share:.1%})':>8}"


def _compare(
    first_name: str, first: GeneWindows, second_name: str, second: GeneWindows, config: CheckConfig
) -> PairLeaks:
    partners: dict[str, _Partners | None] = {
        "same_id": _equal(first.gene_id.astype(str), second.gene_id.astype(str)),
        "identical": None,
        "near_duplicate": None,
    }
    if first.digests is not None and second.digests is not None:
        partners["identical"] = _equal(first.digests, second.digests)
    partners["overlapping"], partners["neighbouring"] = _close(first, second, config.neighbours)
    if first.promoter_sketch is not None and second.promoter_sketch is not None:
        partners["near_duplicate"] = best_partners(second.promoter_sketch, first.promoter_sketch, config.promoter)
    leaked = [part[0] >= 0 for kind in LEAKS if (part := partners[kind]) is not None]
    leaking = int(np.logical_or.reduce(leaked).sum())
    count = len(second.gene_id)
    leaks = {kind: _leak(first, second, part, kind == "neighbouring") for kind, part in partners.items()}
    return PairLeaks(first_name, second_name, count, **leaks, any=Leak(leaking, leaking / count))


def _leak(first: GeneWindows, second: GeneWindows, partners: _Partners | None, ascending: bool) -> Leak | None:
    if partners is None:
        return None
    partner, value = partners
    rows = np.flatnonzero(partner >= 0)
    closest = rows if value is None else rows[np.argsort(value[rows] if ascending else -value[rows], kind="stable")]
    examples = tuple(
        Example(second.gene_id[row], first.gene_id[partner[row]], None if value is None else value[row].item())
        for row in closest[:EXAMPLES]
    )
    return Leak(len(rows), len(rows) / len(partner), examples)


def _equal(first: NDArray[Any], second: NDArray[Any]) -> _Partners:
    """Return the first row of ``first`` that equals each of ``second``, -1 if none."""
    known, row = np.unique(first, return_index=True)
    place = np.searchsorted(known, second).clip(max=len(known) - 1)
    return np.where(known[place] == second, row[place], -1), None


def _repeated(digests: NDArray[np.bytes_] | None) -> int | None:
    if digests is None:
        return None
    counts = np.unique(digests, return_counts=True)[1]
    return int(counts[counts > 1].sum())


def _close(first: GeneWindows, second: GeneWindows, neighbours: int) -> tuple[_Partners | None, _Partners | None]:
    """Return overlapping windows, with the bases they share, and neighbouring TSSs, with their distance."""
    if first.chrom is None or second.chrom is None or first.tss is None or second.tss is None:
        return None, None
    keys = np.split(chromosome_keys(np.concatenate([first.chrom, second.chrom])), [len(first.chrom)])
    if (keys[0] < 0).all() or (keys[1] < 0).all():
        return None, None
    row, distance = _nearest(keys[0], first.tss, keys[1], second.tss)
    near = (row >= 0) & (distance <= neighbours)
    neighbouring = (np.where(near, row, -1), distance)
    if (first_bounds := first.bounds()) is None or (second_bounds := second.bounds()) is None:
        return None, neighbouring
    (start, end), (from_, to) = first_bounds, second_bounds
    # All windows of a split are of one length, so the window that shares most is the one with the nearest middle.
    row, _ = _nearest(keys[0], start + end, keys[1], from_ + to)
    shared = np.minimum(end[row], to) - np.maximum(start[row], from_)
    return (np.where((row >= 0) & (shared > 0), row, -1), shared), neighbouring


def _nearest(
    key: NDArray[np.int64], position: NDArray[np.int64], other_key: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each of ``other``, the nearest row on its chromosome and the distance; the row is -1 if none."""
    placed = np.flatnonzero(key >= 0)
    order = placed[np.argsort((key + position)[placed], kind="stable")]
    right = np.searchsorted((key + position)[order], other_key + other).clip(max=len(order) - 1)
    left = (right - 1).clip(min=0)
    distances = [np.abs((key + position)[order[side]] - (other_key + other)) for side in (left, right)]
    row = np.where(distances[0] <= distances[1], order[left], order[right])
    return np.where((other_key >= 0) & (key[row] == other_key), row, -1), np.minimum(*distances)
