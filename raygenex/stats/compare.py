"""Statistics that compare models scored on the same genes, and sum up a model trained with several seeds.

Two models that score the same genes are compared in pairs: what the genes have in common drops out, so a difference
is known far better than either value. These tests speak of other genes of the same kind, scored by the models as
they were trained; `seed_summary` speaks of other trainings.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from raygenex.errors import DataError
from raygenex.stats import metrics
from raygenex.stats.resamples import Comparison, Counts, Floats, percentile_comparison


class Summary(NamedTuple):
    """Mean, standard deviation (n - 1 in the denominator; NaN for one value) and number of values."""

    mean: float
    sd: float
    n: int


def delong(labels: ArrayLike, scores_a: ArrayLike, scores_b: ArrayLike, confidence: float = 0.95) -> Comparison:
    """Compare the AUROCs of two models on the same genes.

    The variance is that of DeLong et al. (1988), from midranks in O(N log N) as Sun & Xu (2014) compute it; tied
    pairs count one half. Scores that rank the genes alike differ by 0 with p-value 1. Where every gene says the
    same of a difference, such as one model that separates the classes and one that reverses them, the variance is 0
    and so is the p-value.

    Parameters
    ----------
    labels
        0 or 1, shape ``(N,)``.
    scores_a, scores_b
        Scores of the two models, any real numbers, shape ``(N,)``.
    confidence
        Coverage of the interval, in (0, 1).

    Returns
    -------
    AUROC of a minus AUROC of b. The interval is normal, and may leave [-1, 1].

    Raises
    ------
    DataError
        If a class has fewer than two genes.
    RaygenexError
        If a score is NaN.
    """
    assert 0.0 < confidence < 1.0, confidence
    # Ranking refuses NaN, and arrays that do not fit each other.
    ranked, _ = (metrics.rank(labels, scores).labels for scores in (scores_a, scores_b))
    positives = int(ranked.sum())
    negatives = ranked.size - positives
    if min(positives, negatives) < 2:
        raise DataError(
            f"AUROCs are compared on two high and two low genes or more, not {positives} and {negatives}: "
            "use a larger split"
        )
    truth = np.asarray(labels) == 1
    (high_a, low_a), (high_b, low_b) = placements(truth, scores_a), placements(truth, scores_b)
    of_high, of_low = high_a - high_b, low_a - low_b
    difference = float(of_high.mean())
    error = math.sqrt(of_high.var(ddof=1) / positives + of_low.var(ddof=1) / negatives)
    if error == 0.0:
        return Comparison(difference, difference, difference, 1.0 if difference == 0.0 else 0.0)
    # Twice the normal tail beyond |z|, exact where it is tiny.
    p_value = math.erfc(abs(difference) / error / math.sqrt(2))
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    return Comparison(difference, difference - half, difference + half, p_value)


def paired_bootstrap(
    labels: ArrayLike,
    probability_a: ArrayLike,
    probability_b: ArrayLike,
    metric: str,
    resamples: int,
    confidence: float,
    seed: int,
    thresholds: tuple[float, float] = (0.5, 0.5),
) -> Comparison:
    """Compare any metric of two models on the same genes by a percentile bootstrap (Efron 1979).

    Both models are measured on each resample. Genes are drawn as in `metrics.bootstrap_intervals`: with replacement
    and without stratification, a resample that lacks a class again. The result does not depend on the order of the
    genes. The p-value is that of `percentile_comparison`.

    Parameters
    ----------
    labels
        0 or 1, shape ``(N,)``.
    probability_a, probability_b
        Probabilities of the two models in [0, 1], shape ``(N,)``.
    metric
        One of `metrics.METRICS`.
    resamples
        Number of resamples, 1 or more.
    confidence
        Coverage of the interval, in (0, 1).
    seed
        Seed of the draws.
    thresholds
        The probability from which each model calls a gene high; it stays fixed.

    Returns
    -------
    The metric of a minus the metric of b.

    Raises
    ------
    DataError
        If a class is absent.
    RaygenexError
        If a probability is NaN.
    """
    assert metric in metrics.METRICS, metric
    truth = np.asarray(labels)
    pair = [np.asarray(probability, dtype=np.float64) for probability in (probability_a, probability_b)]
    assert truth.shape == pair[0].shape == pair[1].shape, (truth.shape, pair[0].shape, pair[1].shape)
    # An order of its own, whatever the input's, makes a seeded draw repeatable.
    order = np.lexsort((pair[1], pair[0], truth))
    truth, pair = truth[order], [probability[order] for probability in pair]
    rankings = [metrics.both_classes(metrics.rank_probability(truth, values), "a bootstrap") for values in pair]
    # The place of each gene of a ranking in the common order.
    places = [np.lexsort((truth, -values)) for values in pair]

    def differences(counts: Counts) -> Floats:
        a, b = (
            metrics.measure(ranking, threshold, counts[:, place])[metric]
            for ranking, threshold, place in zip(rankings, thresholds, places, strict=True)
        )
        return a - b

    drawn = [differences(counts) for counts in metrics.draw_resamples(truth.astype(np.int64), resamples, seed)]
    observed = float(differences(np.ones((1, truth.size), dtype=np.int64))[0])
    return percentile_comparison(observed, np.concatenate(drawn), confidence)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values, in any order, for the number of comparisons by the step-down rule of Holm (1979).

    Rejecting what is at most alpha keeps the chance of any false rejection at alpha, however the tests depend on
    each other.

    Returns
    -------
    Adjusted p-values in [0, 1], in the order given.
    """
    values = np.asarray(p_values, dtype=np.float64)
    assert ((values >= 0.0) & (values <= 1.0)).all(), p_values
    order = np.argsort(values, kind="stable")
    steps = np.minimum(values[order] * np.arange(values.size, 0, -1), 1.0)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(steps)
    return tuple(adjusted.tolist())


def seed_summary(values: Sequence[float]) -> Summary:
    """Sum up one number of a model over its seeds, at least one.

    Returns
    -------
    Mean, sample standard deviation and count; NaN values make both NaN.
    """
    assert len(values) > 0, "no seed to sum up"
    array = np.asarray(values, dtype=np.float64)
    return Summary(float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else math.nan, array.size)


def mean_probability(probabilities: Sequence[ArrayLike]) -> Floats:
    """Average the probabilities that several trainings give the same genes: the ensemble of the seeds.

    Parameters
    ----------
    probabilities
        At least one array of shape ``(N,)`` in [0, 1], all in the same order of genes.

    Returns
    -------
    Shape ``(N,)``, in [0, 1].
    """
    arrays = [np.asarray(probability, dtype=np.float64) for probability in probabilities]
    assert arrays, "no seed to average"
    assert all(array.shape == arrays[0].shape for array in arrays), [array.shape for array in arrays]
    return np.mean(arrays, axis=0)


def placements(truth: np.ndarray, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Return the share of low genes below each high gene, and the share of high genes above each low gene."""
    from scipy.stats import rankdata

    values = np.asarray(scores, dtype=np.float64)
    ranks = rankdata(values)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    below = (ranks[truth] - rankdata(values[truth])) / negatives
    above = 1.0 - (ranks[~truth] - rankdata(values[~truth])) / positives
    return below, above
