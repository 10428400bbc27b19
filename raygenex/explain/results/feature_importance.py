"""Permutation importance: what AUROC or Pearson's r loses when a feature is shuffled among the genes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.results.saving import write_table
from raygenex.stats.compare import placements

FEWEST = 2
"""Genes that each class needs for an interval."""

FEWEST_MEASURED = 3
"""Genes with a value that a quantity needs for one."""


@dataclass(frozen=True)
class Importance:
    """What a model's AUROC, or Pearson's r of a quantity, owes to each feature, in their order."""

    features: tuple[str, ...]
    """Names, ``f`` of them."""
    drop: NDArray[np.float64]
    """The metric minus its mean with the feature shuffled, shape ``(f,)``."""
    low: NDArray[np.float64]
    """Lower ends of the intervals, shape ``(f,)``."""
    high: NDArray[np.float64]
    """Upper ends, shape ``(f,)``."""

    @property
    def largest(self) -> str:
        """The feature with the largest drop, the first if several have it."""
        return self.features[int(np.argmax(self.drop))]


def measurable(label: NDArray[np.int8]) -> bool:
    """Whether labels, 1, 0 or -1 for unknown, are all known, with enough genes of each class."""
    return bool((label >= 0).all()) and min(int((label == 1).sum()), int((label == 0).sum())) >= FEWEST


def permutation_importance(
    label: NDArray[np.int8],
    logit: NDArray[np.float64],
    permuted: NDArray[np.float64],
    features: Sequence[str],
    confidence: float,
) -> Importance:
    """Measure the loss of AUROC, averaged over shuffles (Breiman, Machine Learning 45:5, 2001).

    The intervals are those of other genes of the same kind, with these shuffles: the normal ones of DeLong et al.,
    Biometrics 44:837 (1988), for the difference of AUROCs on the same genes, of which a mean over shuffles is one too.

    Parameters
    ----------
    label
        0 or 1, shape ``(n,)``, see `measurable`.
    logit
        Shape ``(n,)``.
    permuted
        Logits with one feature taken from another gene, shape ``(n, shuffles, f)``.
    features
        Their names.
    confidence
        Coverage of each interval, in (0, 1).
    """
    assert measurable(label), "checked by the caller"
    truth = label == 1
    of_high, of_low = placements(truth, logit)
    shuffles, count = permuted.shape[1:]
    drop, half = np.empty(count), np.empty(count)
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    for feature in range(count):
        others = [placements(truth, permuted[:, number, feature]) for number in range(shuffles)]
        high = of_high - np.mean([found for found, _ in others], axis=0)
        low = of_low - np.mean([found for _, found in others], axis=0)
        drop[feature] = high.mean()
        half[feature] = quantile * math.sqrt(high.var(ddof=1) / len(high) + low.var(ddof=1) / len(low))
    return Importance(tuple(features), drop, drop - half, drop + half)


def quantity_importance(
    measured: NDArray[np.float64],
    predicted: NDArray[np.float64],
    permuted: NDArray[np.float64],
    features: Sequence[str],
    confidence: float,
) -> Importance | None:
    """Measure the loss of Pearson's r, averaged over shuffles, as `permutation_importance` does that of AUROC.

    The intervals are normal ones by the infinitesimal jackknife (Efron, 1982): r moves by the mean over genes of
    ``u v - r (u^2 + v^2) / 2``, with u and v the standardised values, so the variance of a difference of such numbers
    over the number of genes is that of the loss.

    Parameters
    ----------
    measured
        Shape ``(n,)``; genes where it is NaN are left out.
    predicted
        On the same scale, shape ``(n,)``.
    permuted
        Predictions with one feature taken from another gene, shape ``(n, shuffles, f)``.
    features
        Their names.
    confidence
        Coverage of each interval, in (0, 1).

    Returns
    -------
    None if fewer than three genes were measured, or their values do not differ.
    """
    known = np.isfinite(measured)
    truth, own, others = measured[known], predicted[known], permuted[known]
    if len(truth) < FEWEST_MEASURED or np.ptp(truth) == 0 or np.ptp(own) == 0:
        return None
    shuffles, count = others.shape[1:]
    r, moves = _pearson(truth, own)
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    drop, half = np.empty(count), np.empty(count)
    for feature in range(count):
        found = [_pearson(truth, others[:, number, feature]) for number in range(shuffles)]
        drop[feature] = r - np.mean([value for value, _ in found])
        moved = moves - np.mean([move for _, move in found], axis=0)
        half[feature] = quantile * math.sqrt(moved.var(ddof=1) / len(truth))
    return Importance(tuple(features), drop, drop - half, drop + half)


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return Pearson's r, and how much each gene moves it; both 0 where predictions do not differ."""
    if np.ptp(other) == 0:
        return 0.0, np.zeros(len(one))
    u, v = ((values - values.mean()) / values.std() for values in (one, other))
    r = float((u * v).mean())
    return r, u * v - r * (u**2 + v**2) / 2


def write_importance(path: Path, found: Importance) -> None:
    """Write ``feature, drop, low, high``, the largest drop first."""
    rows = [
        (
            found.features[number],
            *(f"{value:.6f}" for value in (found.drop[number], found.low[number], found.high[number])),
        )
        for number in np.argsort(-found.drop, kind="stable")
    ]
    write_table(path, ("feature", "drop", "low", "high"), rows)
