"""Bootstrap over genes: how often each is drawn, and the interval and the comparison that resamples give."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Entries of one block of bootstrap counts: 8 MiB an array, whatever the number of genes and resamples.
_BLOCK = 2**20


class Interval(NamedTuple):
    """A point estimate and the two ends of its confidence interval."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """A metric of model a minus that of model b, its confidence interval, and the two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def draw_counts(
    genes: int, resamples: int, seed: int, usable: Callable[[Counts], NDArray[np.bool_]]
) -> Iterator[Counts]:
    """Yield how often each gene is drawn, in blocks of shape ``(some, genes)`` that add up to ``resamples`` rows.

    Genes are drawn with replacement without stratification; a draw that is not ``usable(counts)``, shape ``(some,)``,
    is made again. Some draw must be usable.
    """
    assert resamples >= 1, resamples
    rng = np.random.default_rng(seed)
    missing = resamples
    while missing:
        rows = min(missing, max(1, _BLOCK // genes))
        drawn = rng.integers(genes, size=(rows, genes)) + genes * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * genes).reshape(rows, genes)
        counts = counts[usable(counts)]
        yield counts
        missing -= len(counts)


def percentile_interval(value: float, resampled: Floats, confidence: float) -> Interval:
    """Return an estimate with the percentile interval of its resamples, shape ``(R,)`` (Efron 1979)."""
    assert 0.0 < confidence < 1.0, confidence
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))


def percentile_intervals(
    estimates: Mapping[str, Floats], blocks: Iterable[Mapping[str, Floats]], confidence: float
) -> dict[str, Interval]:
    """Return several estimates, shape ``(1,)`` each, with the percentile intervals of blocks of their resamples."""
    resampled = list(blocks)
    return {
        name: percentile_interval(float(value[0]), np.concatenate([block[name] for block in resampled]), confidence)
        for name, value in estimates.items()
    }


def percentile_comparison(difference: float, resampled: Floats, confidence: float) -> Comparison:
    """Return a difference with the percentile interval of its resamples, shape ``(R,)``, and its p-value.

    The p-value is twice the smaller share of resamples on either side of 0, with one added to the counts, so that it is
    never 0 (Davison & Hinkley 1997, section 4.2).
    """
    _, low, high = percentile_interval(difference, resampled, confidence)
    beyond = min((resampled <= 0.0).sum(), (resampled >= 0.0).sum())
    return Comparison(difference, low, high, min(1.0, 2 * (1 + int(beyond)) / (resampled.size + 1)))
