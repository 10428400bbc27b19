"""Binary classification metrics, their bootstrap intervals, the choice of a threshold, and calibration.

Every metric is a function of weighted cumulative counts over the genes in descending order of score, so the point
estimate, each bootstrap resample and each cut point share one implementation and one sort. Labels are 0 (low) or
1 (high); a gene is predicted high when its probability reaches the threshold. Scores or probabilities that are NaN
raise RaygenexError everywhere but in `bce_with_logits`; arrays that do not fit each other fail an assertion.

What scikit-learn and SciPy have of this is ours all the same: their curves take one resample at a time and no infinite
scores, the calibration curve gives no numbers of genes, the log loss starts from probabilities, which round to 0 and 1,
and Wilson's interval takes one proportion at a time.
"""

from collections.abc import Iterator
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raygenex.errors import DataError, RaygenexError
from raygenex.stats.resamples import Counts, Floats, Interval, draw_counts, percentile_intervals

TITLES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "mcc": "MCC",
    "brier": "Brier score",
}
"""The metrics as tables name them."""

METRICS = tuple(TITLES)


class RocCurve(NamedTuple):
    """False and true positive rates in [0, 1], from (0, 0) to (1, 1), and the score where each point is reached."""

    fpr: Floats
    tpr: Floats
    threshold: Floats


class PrecisionRecallCurve(NamedTuple):
    """Recall in [0, 1], rising from 0 to 1, the precision there, and the score where each point is reached."""

    recall: Floats
    precision: Floats
    threshold: Floats


class Calibration(NamedTuple):
    """Mean prediction, observed fraction of high genes, number of genes and Wilson interval of every bin."""

    predicted: Floats
    observed: Floats
    genes: Counts
    low: Floats
    high: Floats


class Ranking(NamedTuple):
    """Labels and scores of genes in descending order of score, and the index of the last gene of each score."""

    labels: Counts
    scores: Floats
    ends: Counts


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve, tied pairs counting one half.

    ``labels`` (N,) are 0 or 1 and ``scores`` (N,) any real numbers, such as logits. NaN when a class is absent.
    """
    return float(_auroc(*_cumulate(rank(labels, scores)))[0])


def auprc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the average precision: precision at each distinct score, weighted by the recall gained there.

    Takes what `auroc` takes. There is no linear interpolation, which is too optimistic (Davis & Goadrich 2006).
    NaN when a class is absent.
    """
    return float(_auprc(*_cumulate(rank(labels, scores)))[0])


def confusion(labels: ArrayLike, predictions: ArrayLike) -> Counts:
    """Return the counts (2, 2) of genes, rows the label and columns the prediction: [[TN, FP], [FN, TP]]."""
    truth, called = _binary(labels), _binary(predictions)
    assert truth.shape == called.shape, (truth.shape, called.shape)
    return np.bincount(2 * truth + called, minlength=4).reshape(2, 2)


def binary_metrics(labels: ArrayLike, probability: ArrayLike, threshold: float) -> dict[str, float]:
    """Return all of `METRICS` for ``labels`` (N,) and ``probability`` (N,) in [0, 1].

    With one class only, ``auroc`` and ``auprc`` are NaN. A ratio without a denominator is 0: precision and F1 when no
    gene is predicted high, recall without high genes, and MCC (Matthews 1975) whenever a row or a column of the
    confusion matrix is empty.
    """
    ranking = rank_probability(labels, probability)
    return {name: float(value[0]) for name, value in measure(ranking, threshold).items()}


def choose_threshold(labels: ArrayLike, probability: ArrayLike, metric: Literal["mcc", "f1", "accuracy"]) -> float:
    """Return the threshold in [0, 1] that maximises a metric over every way to cut the genes in two.

    A cut lies midway between neighbouring distinct probabilities; the outermost neighbours are 0 and 1. Of equally good
    cuts the one closest to 0.5 is taken, then the lower. Raises DataError when a class is absent.
    """
    ranking = both_classes(rank_probability(labels, probability), "choosing a threshold")
    tp, fp = (np.append(0, count) for count in np.concatenate(_cumulate(ranking)))
    score = _cut_metrics(tp, fp, tp[-1], fp[-1])[metric]
    distinct = ranking.scores[ranking.ends]
    above, below = np.append(1.0, distinct), np.append(distinct, 0.0)
    middle = (above + below) / 2
    # Between adjacent floating-point numbers the middle rounds to one of them; the upper one still separates them.
    cuts = np.where(middle > below, middle, above)
    # A gene at probability 1 is predicted high by any threshold in [0, 1], so the empty prediction does not exist.
    score[0] = score[0] if distinct[0] < 1.0 else -np.inf
    # Equal fractions may differ in the last bits after the square root of the MCC.
    best = cuts[score >= score.max() - 1e-12]
    return float(best[np.lexsort((best, np.abs(best - 0.5)))[0]])


def bootstrap_intervals(
    labels: ArrayLike, probability: ArrayLike, threshold: float, resamples: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """Return all of `METRICS` with percentile bootstrap intervals over genes (Efron 1979).

    Genes are drawn with replacement without stratification, so the share of high genes varies; a resample that lacks a
    class is drawn again. The threshold stays fixed. The same seed gives the same interval whatever the order of the
    genes. Memory is bounded: resamples are measured in blocks. Raises DataError when a class is absent.
    """
    ranking = both_classes(rank_probability(labels, probability), "a bootstrap")
    blocks = (measure(ranking, threshold, counts) for counts in draw_resamples(ranking.labels, resamples, seed))
    return percentile_intervals(measure(ranking, threshold), blocks, confidence)


def draw_resamples(labels: Counts, resamples: int, seed: int) -> Iterator[Counts]:
    """Yield how often each gene is drawn, in blocks of shape ``(some, N)`` that add up to ``resamples`` rows.

    Genes are drawn with replacement without stratification; a draw that lacks a class is made again. ``labels`` (N,)
    hold both classes.
    """

    def both(counts: Counts) -> NDArray[np.bool_]:
        positives = counts @ labels
        return (positives > 0) & (positives < labels.size)

    return draw_counts(labels.size, resamples, seed, both)


def bce_with_logits(labels: ArrayLike, logits: ArrayLike) -> float:
    """Return the mean binary cross-entropy in nats per gene, from ``logits`` (N,), without overflow at any size."""
    truth, values = _binary(labels), np.asarray(logits, dtype=np.float64)
    assert truth.shape == values.shape, (truth.shape, values.shape)
    return float(np.logaddexp(0.0, np.where(truth == 1, -values, values)).mean())


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """Return the ROC curve with one point for each distinct score, after (0, 0) at threshold infinity.

    Raises DataError when a class is absent.
    """
    ranking = both_classes(rank(labels, scores), "a ROC curve")
    tp, fp = (np.append(0, count) for count in np.concatenate(_cumulate(ranking)))
    return RocCurve(fp / fp[-1], tp / tp[-1], np.append(np.inf, ranking.scores[ranking.ends]))


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> PrecisionRecallCurve:
    """Return the precision-recall curve with one point for each distinct score.

    A point at recall 0 repeats the first precision, so that the steps that hold each precision back to the recall
    before it enclose exactly `auprc`. Raises DataError when a class is absent.
    """
    ranking = both_classes(rank(labels, scores), "a precision-recall curve")
    tp, fp = np.concatenate(_cumulate(ranking))
    precision = tp / (tp + fp)
    recall, precision = np.append(0.0, tp / tp[-1]), np.append(precision[0], precision)
    return PrecisionRecallCurve(recall, precision, np.append(np.inf, ranking.scores[ranking.ends]))


def wilson_interval(successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Return the score interval (low, high) of a binomial proportion, within [0, 1] (Wilson 1927).

    ``successes`` and ``trials`` are counts of one shape; every trial count is at least 1.
    """
    k, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    assert (n >= 1).all(), n
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    # At 0 or n successes one end is exactly 0 or 1, up to rounding.
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def calibration_curve(
    labels: ArrayLike, probability: ArrayLike, bins: int = 10, confidence: float = 0.95
) -> Calibration:
    """Compare predicted with observed fractions in ``bins`` bins of nearly equal numbers of genes.

    Equal probabilities always share a bin, so there are fewer bins when many genes tie. Intervals are Wilson's.
    """
    assert bins >= 1, bins
    ranking = rank_probability(labels, probability)
    rising, truth = ranking.scores[::-1], ranking.labels[::-1]
    planned = rising[np.arange(bins) * rising.size // bins]
    starts = np.unique(np.searchsorted(rising, planned, side="left"))
    genes = np.diff(np.append(starts, rising.size))
    successes = np.add.reduceat(truth, starts)
    low, high = wilson_interval(successes, genes, confidence)
    return Calibration(np.add.reduceat(rising, starts) / genes, successes / genes, genes, low, high)


def calibration_error(labels: ArrayLike, probability: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error in [0, 1] over the bins of `calibration_curve` (Guo et al. 2017).

    It is the mean over genes of the distance between the predicted and the observed fraction of the gene's bin.
    """
    curve = calibration_curve(labels, probability, bins)
    return float(np.average(np.abs(curve.predicted - curve.observed), weights=curve.genes))


def _binary(values: ArrayLike) -> Counts:
    array = np.asarray(values)
    assert len(array) == array.size > 0, array.shape
    assert ((array == 0) | (array == 1)).all(), "labels must be 0 or 1"
    # Small unsigned integers would wrap around in sums and products.
    return array.astype(np.int64)


def rank(labels: ArrayLike, scores: ArrayLike) -> Ranking:
    """Rank genes by score, any real numbers; raises RaygenexError if one is NaN."""
    truth, values = _binary(labels), np.asarray(scores, dtype=np.float64)
    assert truth.shape == values.shape, (truth.shape, values.shape)
    if np.isnan(values).any():
        raise RaygenexError(f"{np.isnan(values).sum()} of {values.size} scores are NaN; lower train.learning_rate")
    # The label as second key makes the order, and with it a seeded bootstrap, independent of the order of the input.
    order = np.lexsort((truth, -values))
    truth, values = truth[order], values[order]
    return Ranking(truth, values, np.flatnonzero(np.append(values[1:] != values[:-1], True)))


def rank_probability(labels: ArrayLike, probability: ArrayLike) -> Ranking:
    """Rank genes by a probability, which must lie in [0, 1]."""
    ranking = rank(labels, probability)
    highest, lowest = ranking.scores[[0, -1]]
    assert 0.0 <= lowest <= highest <= 1.0, f"probabilities must lie in [0, 1], not [{lowest}, {highest}]"
    return ranking


def both_classes(ranking: Ranking, what: str) -> Ranking:
    """Return a ranking with genes of both classes; raises DataError for another, naming what needs them."""
    if ranking.labels.min() == ranking.labels.max():
        raise DataError(f"{what} needs high and low genes; all {ranking.labels.size} have label {ranking.labels[0]}")
    return ranking


def _cumulate(ranking: Ranking, counts: Counts | None = None) -> tuple[Counts, Counts]:
    """Return true and false positives (R, cuts) for ``counts`` (R, N) in ranked order; by default each gene once."""
    counts = np.ones((1, ranking.labels.size), dtype=np.int64) if counts is None else counts
    tp = np.cumsum(counts * ranking.labels, axis=1)[:, ranking.ends]
    return tp, np.cumsum(counts, axis=1)[:, ranking.ends] - tp


def _auroc(tp: Counts, fp: Counts) -> Floats:
    # Trapezoids in whole numbers: twice the area, exact until the division.
    twice = tp[:, 0] * fp[:, 0] + (np.diff(fp) * (tp[:, 1:] + tp[:, :-1])).sum(axis=1)
    pairs = tp[:, -1] * fp[:, -1]
    return np.where(pairs > 0, twice / np.maximum(2 * pairs, 1), np.nan)


def _auprc(tp: Counts, fp: Counts) -> Floats:
    # The first scores may be absent from a resample: no gene, no recall gained, any denominator will do.
    precision = tp / np.maximum(tp + fp, 1)
    total = (np.diff(tp, prepend=0) * precision).sum(axis=1)
    return np.where(tp[:, -1] * fp[:, -1] > 0, total / np.maximum(tp[:, -1], 1), np.nan)


def _cut_metrics(tp: Counts, fp: Counts, positives: Counts, negatives: Counts) -> dict[str, Floats]:
    called, genes = tp + fp, positives + negatives
    # A product of four counts outgrows 64 bits beyond 100,000 genes.
    spread = called.astype(np.float64) * (genes - called) * positives * negatives
    return {
        "accuracy": (tp + negatives - fp) / genes,
        "precision": tp / np.maximum(called, 1),
        "recall": tp / np.maximum(positives, 1),
        "f1": 2 * tp / np.maximum(called + positives, 1),
        "mcc": (tp * negatives - fp * positives) / np.sqrt(np.maximum(spread, 1.0)),
    }


def measure(ranking: Ranking, threshold: float, counts: Counts | None = None) -> dict[str, Floats]:
    """Return every metric (R,) for the ``counts`` (R, N) that `_cumulate` takes."""
    tp, fp = _cumulate(ranking, counts)
    positives, negatives = tp[:, -1], fp[:, -1]
    cut = int((ranking.scores[ranking.ends] >= threshold).sum())
    called = (tp[:, cut - 1], fp[:, cut - 1]) if cut else (np.zeros_like(positives), np.zeros_like(negatives))
    errors = (ranking.scores - ranking.labels) ** 2
    brier = np.atleast_1d(errors.mean()) if counts is None else counts @ errors / errors.size
    cut_metrics = _cut_metrics(*called, positives, negatives)
    return {"auroc": _auroc(tp, fp), "auprc": _auprc(tp, fp), **cut_metrics, "brier": brier}
