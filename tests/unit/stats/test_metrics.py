"""Metrics against arithmetic done by hand, scikit-learn, brute force and simulation."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import sklearn.metrics as reference

from raygenex.errors import DataError, RaygenexError
from raygenex.stats import metrics, resamples

# In order of probability: 0.9 high, 0.8 low, 0.7 high, 0.4 high, 0.2 low.
LABELS = np.array([1, 0, 1, 0, 1], dtype=np.uint8)
PROBABILITY = np.array([0.9, 0.8, 0.4, 0.2, 0.7])


def _draw(seed, genes=200, decimals=None):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, genes).astype(np.uint8)
    probability = 1 / (1 + np.exp(-(labels + 1.5 * rng.normal(size=genes) - 0.5)))
    return labels, probability if decimals is None else np.round(probability, decimals)


def _sklearn_metrics(labels, probability, threshold):
    called = probability >= threshold
    return {
        "auroc": reference.roc_auc_score(labels, probability),
        "auprc": reference.average_precision_score(labels, probability),
        "accuracy": reference.accuracy_score(labels, called),
        "precision": reference.precision_score(labels, called, zero_division=0),
        "recall": reference.recall_score(labels, called),
        "f1": reference.f1_score(labels, called, zero_division=0),
        "mcc": reference.matthews_corrcoef(labels, called),
        "brier": reference.brier_score_loss(labels, probability),
    }


def test_by_hand():
    # At 0.5 three genes are predicted high: TP 0.9 and 0.7, FP 0.8, FN 0.4, TN 0.2.
    measured = metrics.binary_metrics(LABELS, PROBABILITY, 0.5)
    assert tuple(measured) == metrics.METRICS
    expected = {
        "auroc": 4 / 6,  # pairs high > low: 0.9 beats both, 0.7 and 0.4 beat 0.2 only
        "auprc": (1 / 1 + 2 / 3 + 3 / 4) / 3,  # precision where each high gene is reached
        "accuracy": 3 / 5,
        "precision": 2 / 3,
        "recall": 2 / 3,
        "f1": 4 / 6,  # 2 TP / (2 TP + FP + FN)
        "mcc": (2 * 1 - 1 * 1) / math.sqrt(3 * 3 * 2 * 2),
        "brier": (0.1**2 + 0.8**2 + 0.6**2 + 0.2**2 + 0.3**2) / 5,
    }
    assert measured == pytest.approx(expected, abs=1e-15)
    assert metrics.confusion(LABELS, PROBABILITY >= 0.5).tolist() == [[1, 1], [1, 2]]


def test_a_tie_counts_half():
    # Pairs: 0.5 ties 0.5 (1/2), 0.5 > 0.1, 0.8 > 0.5, 0.8 > 0.1: 3.5 of 4.
    labels, scores = [0, 1, 0, 1], [0.1, 0.5, 0.5, 0.8]
    assert metrics.auroc(labels, scores) == 3.5 / 4
    # Recall 1/2 at precision 1, then the tied pair adds 1/2 at precision 2/3.
    assert metrics.auprc(labels, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3, abs=1e-15)


def test_the_threshold_itself_is_high_in_double_precision():
    # In single precision 0.75 + 1e-9 rounds to 0.75, and genes at 0.75 would wrongly reach it.
    measured = metrics.binary_metrics([0, 1], np.array([0.1, 0.75], dtype=np.float32), 0.75)
    assert (measured["precision"], measured["recall"]) == (1.0, 1.0)
    below = metrics.binary_metrics([0, 1], np.array([0.75, 0.75], dtype=np.float32), 0.75 + 1e-9)
    assert below["recall"] == 0.0


@pytest.mark.parametrize("decimals", [None, 2, 1])
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_sklearn(seed, decimals):
    labels, probability = _draw(seed, decimals=decimals)
    assert metrics.binary_metrics(labels, probability, 0.6) == pytest.approx(
        _sklearn_metrics(labels, probability, 0.6), abs=1e-12
    )
    np.testing.assert_array_equal(
        metrics.confusion(labels, probability >= 0.6), reference.confusion_matrix(labels, probability >= 0.6)
    )


def test_scores_may_be_logits_of_any_size():
    labels, probability = _draw(0)
    logits = np.log(probability / (1 - probability))
    assert metrics.auroc(labels, logits) == metrics.auroc(labels, probability)
    assert metrics.auprc([0, 1], [-np.inf, np.inf]) == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class(label):
    labels, probability = np.full(4, label, dtype=np.uint8), np.array([0.1, 0.4, 0.6, 0.7])
    measured = metrics.binary_metrics(labels, probability, 0.5)
    assert np.isnan([measured["auroc"], measured["auprc"]]).all()
    assert (measured["accuracy"], measured["mcc"]) == (0.5, 0.0)
    for call in (
        lambda: metrics.choose_threshold(labels, probability, "mcc"),
        lambda: metrics.bootstrap_intervals(labels, probability, 0.5, 100, 0.95, 0),
        lambda: metrics.roc_curve(labels, probability),
        lambda: metrics.precision_recall_curve(labels, probability),
    ):
        with pytest.raises(DataError, match=f"all 4 have label {label}"):
            call()


def test_nothing_predicted_high():
    measured = metrics.binary_metrics(LABELS, PROBABILITY, 0.95)
    assert [measured[name] for name in ("precision", "recall", "f1", "mcc")] == [0.0, 0.0, 0.0, 0.0]
    assert measured["accuracy"] == 2 / 5


def test_refused_input():
    with pytest.raises(RaygenexError, match="1 of 2 scores are NaN"):
        metrics.auroc([0, 1], [0.5, np.nan])
    with pytest.raises(AssertionError, match=r"\[-1.0, 3.0\]"):
        metrics.binary_metrics([0, 1], [-1.0, 3.0], 0.5)
    with pytest.raises(AssertionError, match="labels must be 0 or 1"):
        metrics.auroc([0, 2], [0.1, 0.2])
    with pytest.raises(AssertionError):
        metrics.auroc([], [])


def test_threshold_by_hand():
    # Calling 0.9, 0.8, 0.7, 0.4 gives F1 = 6/7, the best; the cut is midway between 0.4 and 0.2.
    assert metrics.choose_threshold(LABELS, PROBABILITY, "f1") == pytest.approx(0.3)
    # Accuracy 4/5 there only.
    assert metrics.choose_threshold(LABELS, PROBABILITY, "accuracy") == pytest.approx(0.3)


def test_threshold_ties():
    assert metrics.choose_threshold([0, 1], [0.2, 0.9], "mcc") == pytest.approx(0.55)
    # Equally good cuts at 0.25 and 0.75, both 0.25 away from 0.5: the lower.
    assert metrics.choose_threshold([0, 1, 0, 1], [0.125, 0.375, 0.625, 0.875], "accuracy") == 0.25
    # Equally good cuts at 0.25, 0.55 (all called and none): the closest to 0.5.
    assert metrics.choose_threshold([1, 0], [0.1, 0.1], "accuracy") == pytest.approx(0.55)
    # One value at the very end of the range: no threshold in [0, 1] leaves every gene low.
    assert metrics.choose_threshold([1, 0, 0], [1.0, 1.0, 1.0], "accuracy") == 0.5
    assert metrics.choose_threshold([1, 0, 0], [0.0, 0.0, 0.0], "accuracy") == 0.5


def test_threshold_ties_survive_rounding():
    # Four high genes of ten. MCC is 1/sqrt(6) at 0.9 (TP 1, FP 0: 6/sqrt(216)), at 0.5 (TP 3, FP 2: 10/sqrt(600)) and
    # at 0.2 (TP 4, FP 4: 8/sqrt(384)), but not to the last bit.
    labels = [0, 0, 1, 0, 0, 1, 0, 1, 0, 1]
    assert metrics.choose_threshold(labels, (np.arange(10) + 0.5) / 10, "mcc") == pytest.approx(0.5)


def test_threshold_between_adjacent_numbers():
    # The middle of neighbouring doubles rounds down for one pair and up for the next.
    low = 0.3
    for _ in range(2):
        high = math.nextafter(low, 1.0)
        assert metrics.choose_threshold([0, 1], [low, high], "mcc") == high
        low = high


@pytest.mark.parametrize("metric", ["mcc", "f1", "accuracy"])
@pytest.mark.parametrize("decimals", [None, 1])
def test_threshold_is_the_best_of_all(metric, decimals):
    for seed in range(5):
        labels, probability = _draw(seed, genes=40, decimals=decimals)
        chosen = metrics.choose_threshold(labels, probability, metric)
        edges = np.unique(np.concatenate([[0.0], probability, [1.0]]))
        cuts = (edges[1:] + edges[:-1]) / 2
        scores = np.array([metrics.binary_metrics(labels, probability, cut)[metric] for cut in cuts])
        best = cuts[scores >= scores.max() - 1e-12]
        assert chosen == pytest.approx(min(best, key=lambda cut: (abs(cut - 0.5), cut)), abs=1e-15)


def _naive_bootstrap(labels, probability, threshold, resamples, seed):
    """Draw and measure one resample after the other, from genes in descending order of (probability, -label)."""
    order = np.lexsort((labels, -probability))
    labels, probability = labels[order], probability[order]
    rng = np.random.default_rng(seed)
    rows = []
    while len(rows) < resamples:
        drawn = rng.integers(labels.size, size=labels.size)
        if 0 < labels[drawn].sum() < labels.size:
            rows.append(_sklearn_metrics(labels[drawn], probability[drawn], threshold))
    return {name: np.array([row[name] for row in rows]) for name in metrics.METRICS}


@pytest.mark.parametrize("genes", [3, 30])
def test_bootstrap_equals_sklearn_on_every_resample(genes, monkeypatch):
    labels, probability = _draw(1, genes=genes, decimals=1)
    assert 0 < labels.sum() < genes
    naive = _naive_bootstrap(labels, probability, 0.5, 60, seed=7)
    intervals = metrics.bootstrap_intervals(labels, probability, 0.5, 60, 0.9, seed=7)
    assert tuple(intervals) == metrics.METRICS
    for name, (value, low, high) in intervals.items():
        assert value == pytest.approx(_sklearn_metrics(labels, probability, 0.5)[name], abs=1e-12)
        assert [low, high] == pytest.approx(np.quantile(naive[name], [0.05, 0.95]), abs=1e-12)
    # Extreme quantiles are the smallest and largest resample; seven resamples a block must change nothing.
    monkeypatch.setattr(resamples, "_BLOCK", 7 * genes)
    extremes = metrics.bootstrap_intervals(labels, probability, 0.5, 60, 1 - 1e-12, seed=7)
    for name in metrics.METRICS:
        assert list(extremes[name][1:]) == pytest.approx([naive[name].min(), naive[name].max()], abs=1e-9)


def test_resampled_counts_equal_repeated_genes():
    labels, probability = _draw(11, genes=25, decimals=1)
    ranking = metrics.rank(labels, probability)
    counts = np.random.default_rng(0).multinomial(25, np.full(25, 1 / 25), size=20)
    measured = metrics.measure(ranking, 0.5, counts)
    for row, count in enumerate(counts):
        expected = _sklearn_metrics(ranking.labels.repeat(count), ranking.scores.repeat(count), 0.5)
        assert {name: measured[name][row] for name in measured} == pytest.approx(expected, abs=1e-12)


def test_bootstrap_depends_on_the_seed_alone():
    labels, probability = _draw(3, decimals=1)
    first = metrics.bootstrap_intervals(labels, probability, 0.5, 200, 0.95, seed=1)
    shuffled = np.random.default_rng(0).permutation(labels.size)
    assert metrics.bootstrap_intervals(labels[shuffled], probability[shuffled], 0.5, 200, 0.95, seed=1) == first
    assert metrics.bootstrap_intervals(labels, probability, 0.5, 200, 0.95, seed=2) != first
    for value, low, high in first.values():
        assert low <= value <= high


def test_bootstrap_covers_the_truth():
    # Two unit normals one apart: AUROC = Phi(1 / sqrt 2) = 0.760. 300 studies: 0.95 +- 3 x 0.0126, and the percentile
    # interval is known to be a little too narrow at 100 genes.
    truth = NormalDist().cdf(1 / math.sqrt(2))
    rng = np.random.default_rng(0)
    covered = 0
    for study in range(300):
        labels = rng.integers(0, 2, 100)
        probability = np.array(1 / (1 + np.exp(-rng.normal(size=100) - labels)))
        interval = metrics.bootstrap_intervals(labels, probability, 0.5, 200, 0.95, seed=study)["auroc"]
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 300 <= 0.985


def test_bce():
    # -log(1/2) at logit 0; log(1 + e^-2) for a high gene at logit 2.
    assert metrics.bce_with_logits([0, 1], [0.0, 0.0]) == pytest.approx(math.log(2), abs=1e-15)
    assert metrics.bce_with_logits([1], [2.0]) == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-15)
    # Where exp overflows: a gene 1000 nats wrong, and one 1000 nats right.
    assert metrics.bce_with_logits([0, 1], np.array([1000.0, 1000.0], dtype=np.float32)) == 500.0
    labels, probability = _draw(0)
    logits = np.log(probability / (1 - probability))
    assert metrics.bce_with_logits(labels, logits) == pytest.approx(reference.log_loss(labels, probability), abs=1e-12)
    with np.errstate(invalid="ignore"):
        assert math.isnan(metrics.bce_with_logits([0, 1], [np.nan, 0.0]))


@pytest.mark.parametrize("decimals", [None, 1])
def test_curves_agree_with_sklearn(decimals):
    labels, probability = _draw(5, decimals=decimals)
    fpr, tpr, threshold = metrics.roc_curve(labels, probability)
    for ours, theirs in zip(
        (fpr, tpr, threshold), reference.roc_curve(labels, probability, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-15)
    assert np.trapezoid(tpr, fpr) == pytest.approx(metrics.auroc(labels, probability), abs=1e-12)

    curve = metrics.precision_recall_curve(labels, probability)
    precision, recall, cut = reference.precision_recall_curve(labels, probability)
    np.testing.assert_allclose(curve.precision[1:], precision[-2::-1], atol=1e-15)
    np.testing.assert_allclose(curve.recall[1:], recall[-2::-1], atol=1e-15)
    np.testing.assert_array_equal(curve.threshold[1:], cut[::-1])
    area = float(np.sum(np.diff(curve.recall) * curve.precision[1:]))
    assert area == pytest.approx(metrics.auprc(labels, probability), abs=1e-12)


def test_wilson_by_hand():
    # z = 1.959964, z^2 = 3.841459: (3 + 1.920729) / 13.841459 -+ 1.959964 / 13.841459 * sqrt(3 * 7 / 10 + 0.960365)
    # = 0.355507 -+ 0.141601 * 1.749390.
    low, high = metrics.wilson_interval([3, 0, 10], [10, 10, 10])
    np.testing.assert_allclose([low[0], high[0]], [0.107791, 0.603222], atol=1e-6)
    np.testing.assert_allclose([low[1], high[1]], [0.0, 3.841459 / 13.841459], atol=1e-7)
    np.testing.assert_allclose([low[2], high[2]], [10 / 13.841459, 1.0], atol=1e-7)


def test_calibration_by_hand():
    labels, probability = [0, 1, 0, 1, 1, 1], [0.1, 0.2, 0.4, 0.5, 0.8, 0.9]
    curve = metrics.calibration_curve(labels, probability, bins=3)
    np.testing.assert_allclose(curve.predicted, [0.15, 0.45, 0.85])
    np.testing.assert_allclose(curve.observed, [0.5, 0.5, 1.0])
    assert curve.genes.tolist() == [2, 2, 2]
    assert np.all((curve.low <= curve.observed) & (curve.observed <= curve.high))
    # Distances 0.35, 0.05 and 0.15, two genes each.
    assert metrics.calibration_error(labels, probability, bins=3) == pytest.approx((0.35 + 0.05 + 0.15) / 3)


def test_calibration_keeps_ties_together():
    labels, probability = _draw(6, decimals=1)
    curve = metrics.calibration_curve(labels, probability, bins=50)
    # Fifty bins of four genes are planned; the ties leave one bin a distinct probability.
    np.testing.assert_allclose(curve.predicted, np.unique(probability))
    assert curve.genes.sum() == labels.size
    assert metrics.calibration_curve([0, 1], [0.5, 0.5], bins=10).genes.tolist() == [2]


def test_calibration_of_more_bins_than_genes():
    curve = metrics.calibration_curve([0, 1, 1], [0.2, 0.6, 0.9], bins=10)
    np.testing.assert_array_equal(curve.predicted, [0.2, 0.6, 0.9])
    assert metrics.calibration_error([0, 1], [0.0, 1.0], bins=10) == 0.0
