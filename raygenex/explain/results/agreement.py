"""Whether two attributions agree."""

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
