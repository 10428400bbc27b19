"""Metrics of predicted quantities: correlations and errors, with their bootstrap intervals and paired tests.

A resample is a row of counts, how often each gene is drawn, and every metric is computed from counts: the estimate,
which counts each gene once, and all resamples share one implementation. Arrays that do not fit each other, or that are
not finite, fail an assertion: genes without a measured value are left out before.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from raygenex.errors import DataError
from raygenex.stats.resamples import (
    Comparison,
    Counts,
    Floats,
    Interval,
    draw_counts,
    percentile_comparison,
    percentile_intervals,
)

TITLES = {"pearson": "Pearson r", "spearman": "Spearman r", "r2": "R²", "mae": "Mean absolute error"}
"""The metrics as tables name them."""

METRICS = tuple(TITLES)

FEWEST = 3
"""Genes that a correlation needs to say anything."""


class _Pair(NamedTuple):
    """Measured and predicted values of genes, shape ``(N,)`` each, and what their weighted ranks are made of."""

    truth: Floats
    predicted: Floats
    truth_groups: Counts
    predicted_groups: Counts


def quantity_metrics(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return all of `METRICS` for measured ``truth`` (N,) and ``predicted`` (N,).

    ``r2`` is 1 minus the squared errors over those of the mean of ``truth``; it may be negative. A correlation, and
    ``r2``, is NaN where the values do not differ.
    """
    return {name: float(value[0]) for name, value in _measure(_pair(truth, predicted)).items()}


def quantity_intervals(
    truth: ArrayLike, predicted: ArrayLike, resamples: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """Return all of `METRICS` with percentile bootstrap intervals over genes (Efron 1979).

    A resample in which the measured or the predicted values do not differ is drawn again. The same seed gives the same
    interval whatever the order of the genes. Memory is bounded: resamples are measured in blocks.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` genes, or their values do not differ.
    """
    pair = _sorted_pair(truth, predicted)
    blocks = (_measure(pair, counts) for counts in _draw((pair,), resamples, seed))
    return percentile_intervals(_measure(pair), blocks, confidence)


def paired_quantity_bootstrap(
    truth: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    metric: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> Comparison:
    """Compare any metric of two models on the same genes; both are measured on each resample.

    Parameters
    ----------
    truth
        Measured values, shape ``(N,)``.
    predicted_a, predicted_b
        Predictions of the two models, shape ``(N,)``.
    metric
        One of `METRICS`.
    resamples
        Number of resamples, 1 or more.
    confidence
        Coverage of the interval, in (0, 1).
    seed
        Seed of the draws.

    Returns
    -------
    The metric of a minus the metric of b; p-value as `raygenex.stats.compare.paired_bootstrap`.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` genes, or the values of a column do not differ.
    """
    assert metric in METRICS, metric
    columns = [np.asarray(values, dtype=np.float64) for values in (truth, predicted_a, predicted_b)]
    # An order of its own, whatever the input's, makes a seeded draw repeatable.
    order = np.lexsort(columns[::-1])
    pairs = tuple(_varied(_pair(columns[0][order], column[order])) for column in columns[1:])

    def differences(counts: Counts | None) -> Floats:
        a, b = (_measure(pair, counts)[metric] for pair in pairs)
        return a - b

    drawn = np.concatenate([differences(counts) for counts in _draw(pairs, resamples, seed)])
    return percentile_comparison(float(differences(None)[0]), drawn, confidence)


def steiger(truth: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, confidence: float = 0.95) -> Comparison:
    """Compare the Pearson correlations of two models with the same measured values.

    The p-value is that of Steiger (1980), equation 14 with the mean of both correlations, in Fisher's z; the interval
    is that of Zou (2007), which keeps within [-2, 2] and need not be symmetric. Predictions that correlate perfectly
    with each other differ by 0 with p-value 1.

    Parameters
    ----------
    truth
        Measured values, shape ``(N,)``.
    predicted_a, predicted_b
        Predictions of the two models, shape ``(N,)``.
    confidence
        Coverage of the interval, in (0, 1).

    Returns
    -------
    Pearson's r of a minus that of b.

    Raises
    ------
    DataError
        If there are fewer than four genes, or the values of a column do not differ.
    """
    assert 0.0 < confidence < 1.0, confidence
    pairs = [_varied(_pair(truth, predicted)) for predicted in (predicted_a, predicted_b)]
    genes = pairs[0].truth.size
    if genes < FEWEST + 1:
        raise DataError(f"correlations are compared on four genes or more, not {genes}: use a larger split")
    a, b = (float(_measure(pair)["pearson"][0]) for pair in pairs)
    between = float(_measure(_pair(predicted_a, predicted_b))["pearson"][0])
    difference = a - b
    if between >= 1.0 - 1e-12:
        return Comparison(difference, difference, difference, 1.0)
    # Covariance of the two z values with the pooled correlation in both places.
    pooled = (a + b) / 2
    covariance = _covariance(pooled, pooled, between)
    z = (math.atanh(_inside(a)) - math.atanh(_inside(b))) * math.sqrt((genes - 3) / (2 - 2 * covariance))
    p_value = math.erfc(abs(z) / math.sqrt(2))
    half = NormalDist().inv_cdf(0.5 + confidence / 2) / math.sqrt(genes - 3)
    low_a, high_a, low_b, high_b = (math.tanh(math.atanh(_inside(r)) + step) for r in (a, b) for step in (-half, half))
    overlap = _covariance(a, b, between)
    below = (a - low_a) ** 2 + (high_b - b) ** 2 - 2 * overlap * (a - low_a) * (high_b - b)
    above = (high_a - a) ** 2 + (b - low_b) ** 2 - 2 * overlap * (high_a - a) * (b - low_b)
    return Comparison(
        difference, difference - math.sqrt(max(below, 0.0)), difference + math.sqrt(max(above, 0.0)), p_value
    )


def specificity(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return how well predictions tell a gene's targets apart: the correlation of deviations from the gene's own mean.

    Parameters
    ----------
    truth
        Measured values, shape ``(N, T)``, NaN where there is none, all in one unit.
    predicted
        Predictions, shape ``(N, T)``, finite.

    Returns
    -------
    Pearson's r over all measured values of genes with two or more; NaN if there are fewer than `FEWEST` of them, or
    they do not differ.
    """
    measured, scores = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    assert measured.shape == scores.shape, (measured.shape, scores.shape)
    assert measured.ndim == 2, measured.shape
    known = ~np.isnan(measured)
    # A gene with one measured value has no deviation from its mean.
    known &= known.sum(axis=1, keepdims=True) > 1
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    deviations = [
        (values - np.where(known, values, 0.0).sum(axis=1, keepdims=True) / counts)[known]
        for values in (measured, scores)
    ]
    if known.sum() < FEWEST:
        return math.nan
    return quantity_metrics(*deviations)["pearson"]


def _pair(truth: ArrayLike, predicted: ArrayLike) -> _Pair:
    a, b = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    assert a.shape == b.shape == (a.size,), (a.shape, b.shape)
    assert np.isfinite(a).all(), "measured values must be finite"
    assert np.isfinite(b).all(), "predictions must be finite"
    return _Pair(a, b, *(np.unique(values, return_inverse=True)[1] for values in (a, b)))


def _sorted_pair(truth: ArrayLike, predicted: ArrayLike) -> _Pair:
    a, b = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    order = np.lexsort((b, a))
    return _varied(_pair(a[order], b[order]))


def _varied(pair: _Pair) -> _Pair:
    """Return a pair of columns whose values differ.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` genes, or one column holds one value.
    """
    if pair.truth.size < FEWEST:
        raise DataError(f"a correlation needs {FEWEST} genes or more, not {pair.truth.size}: use a larger split")
    for groups, what in ((pair.truth_groups, "measured"), (pair.predicted_groups, "predicted")):
        if groups.max() == 0:
            raise DataError(f"a correlation needs {what} values that differ: all {groups.size} genes have the same")
    return pair


def _draw(pairs: tuple[_Pair, ...], resamples: int, seed: int) -> Iterator[Counts]:
    """Yield blocks of counts in which no column of any pair has one value alone."""
    columns = [groups for pair in pairs for groups in (pair.truth_groups, pair.predicted_groups)]

    def usable(counts: Counts) -> np.ndarray:
        return np.logical_and.reduce([_differs(counts, groups) for groups in columns])

    return draw_counts(columns[0].size, resamples, seed, usable)


def _differs(counts: Counts, groups: Counts) -> np.ndarray:
    drawn = counts > 0
    lowest = np.where(drawn, groups, groups.size).min(axis=1)
    return np.where(drawn, groups, -1).max(axis=1) > lowest


def _measure(pair: _Pair, counts: Counts | None = None) -> dict[str, Floats]:
    """Return every metric ``(R,)`` for the ``counts`` ``(R, N)``; by default each gene once."""
    weights = np.ones((1, pair.truth.size)) if counts is None else counts.astype(np.float64)
    errors = pair.truth - pair.predicted
    genes = weights.sum(axis=1)
    squared, spread = weights @ errors**2, _cross(weights, pair.truth, pair.truth)
    ranks = [_midranks(weights, groups) for groups in (pair.truth_groups, pair.predicted_groups)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "pearson": _correlation(weights, pair.truth, pair.predicted),
            "spearman": _correlation(weights, *ranks),
            "r2": np.where(spread > 0, 1 - squared / spread, np.nan),
            "mae": weights @ np.abs(errors) / genes,
        }


def _correlation(weights: Floats, a: Floats, b: Floats) -> Floats:
    """Return the weighted correlation ``(R,)`` of values, each of shape ``(N,)`` or ``(R, N)``."""
    spread = _cross(weights, a, a) * _cross(weights, b, b)
    found = np.where(spread > 0, _cross(weights, a, b) / np.sqrt(spread), np.nan)
    return np.clip(found, -1.0, 1.0)


def _cross(weights: Floats, a: Floats, b: Floats) -> Floats:
    """Return the weighted sums ``(R,)`` of products of deviations from the weighted means."""
    total = weights.sum(axis=1, keepdims=True)
    centred = [values - (weights * values).sum(axis=1, keepdims=True) / total for values in (a, b)]
    # One value alone leaves rounding errors of its size, which are no spread.
    for values, deviations in zip((a, b), centred, strict=True):
        deviations[np.abs(deviations) <= 1e-14 * np.abs(values).max()] = 0.0
    return (weights * centred[0] * centred[1]).sum(axis=1)


def _midranks(weights: Floats, groups: Counts) -> Floats:
    """Return the rank ``(R, N)`` of every gene in each resample; genes of one value share the mean of their ranks."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(groups.max() + 1))
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, groups]


def _covariance(a: float, b: float, between: float) -> float:
    """Return the correlation of two correlations with the same values, from theirs and that of the predictions."""
    # Pearson & Filon (1898), divided by the variances of both.
    wide = between * (1 - a * a - b * b) - a * b * (1 - a * a - b * b - between * between) / 2
    return wide / ((1 - a * a) * (1 - b * b)) if max(abs(a), abs(b)) < 1 else 1.0


def _inside(r: float) -> float:
    """Return a correlation that Fisher's z is finite for."""
    return min(max(r, -1 + 1e-15), 1 - 1e-15)
