"""Whether two attributions agree, and whether the strongest positions lie where a truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How alike two methods rank the positions of a gene."""

    spearman: Floats
    """Rank correlation of every gene, shape ``(n,)``, -1 to 1; NaN where a method is constant."""

    @property
    def median(self) -> float:
        """Median over the genes that have one; NaN if none has."""
        return self._quantile(0.5)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile over the same genes."""
        return self._quantile(0.25), self._quantile(0.75)

    @property
    def genes(self) -> int:
        """Genes that have a correlation."""
        return int(np.isfinite(self.spearman).sum())

    def _quantile(self, share: float) -> float:
        known = self.spearman[np.isfinite(self.spearman)]
        return float(np.quantile(known, share)) if len(known) else float("nan")


def agreement(one: NDArray[np.floating], other: NDArray[np.floating]) -> Agreement:
    """Correlate the absolute attributions of two methods by rank (Spearman), gene by gene.

    Parameters
    ----------
    one, other
        Shape ``(n, L)``, the same genes and positions; positions that either lacks (NaN) are left out.
    """
    assert one.shape == other.shape, (one.shape, other.shape)
    pairs = zip(one, other, strict=True)
    return Agreement(np.array([_spearman(np.abs(a), np.abs(b)) for a, b in pairs], dtype=np.float64))


def _spearman(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    from scipy.stats import rankdata

    known = np.isfinite(one) & np.isfinite(other)
    ranks = [rankdata(values[known]) for values in (one, other)]
    if known.sum() < 2 or any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


@dataclass(frozen=True)
class SiteOverlap:
    """How many of a gene's strongest positions lie in known sites."""

    share: Floats
    """Share of them that do, shape ``(n,)``; NaN for a gene without sites or attributions."""
    chance: Floats
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
        Positions a gene, all if it has fewer.
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
