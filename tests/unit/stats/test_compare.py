"""Comparisons of models against arithmetic done by hand, brute force and simulation."""

import math

import numpy as np
import pytest

from raygenex.errors import DataError, RaygenexError
from raygenex.stats import compare, metrics, resamples

# High genes 0.9 and 0.4, low genes 0.5 and 0.1; the second model separates them.
LABELS = np.array([1, 1, 0, 0], dtype=np.uint8)
FIRST = np.array([0.9, 0.4, 0.5, 0.1])
SECOND = np.array([0.8, 0.6, 0.2, 0.3])


def _draw(seed, genes=80, decimals=None, correlation=0.7, gain=(1.0, 1.0)):
    """Return labels and two models' probabilities; equal gains mean equal AUROCs."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, genes).astype(np.uint8)
    noise = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], genes).T
    pair = 1 / (1 + np.exp(-(labels * np.array(gain)[:, None] + noise)))
    return labels, *(pair if decimals is None else np.round(pair, decimals))


def _brute_delong(labels, a, b):
    """Return the difference and its standard error from every pair of genes, as DeLong et al. (1988) write them."""

    def components(scores):
        pairs = np.array(
            [
                [1.0 if high > low else 0.5 if high == low else 0.0 for low in scores[labels == 0]]
                for high in scores[labels == 1]
            ]
        )
        return pairs.mean(axis=1), pairs.mean(axis=0), pairs.mean()

    (a10, a01, area_a), (b10, b01, area_b) = components(a), components(b)
    s10, s01 = np.cov(a10, b10), np.cov(a01, b01)
    covariance = s10 / len(a10) + s01 / len(a01)
    contrast = np.array([1, -1])
    return area_a - area_b, math.sqrt(contrast @ covariance @ contrast)


def test_delong_by_hand():
    # Of the first model's pairs 0.4 > 0.5 alone fails: 3/4 against 1. Its high genes win 1 and 1/2 of the low, the
    # second model's 1 and 1: differences 0 and -1/2, variance 1/8. Likewise for the low genes. 1/8 / 2 + 1/8 / 2 =
    # 1/8.
    difference, low, high, p_value = compare.delong(LABELS, FIRST, SECOND)
    assert difference == -0.25
    error = math.sqrt(1 / 8)
    assert [low, high] == pytest.approx([-0.25 - 1.959964 * error, -0.25 + 1.959964 * error], abs=1e-6)
    # z = -0.25 / 0.353553 = -0.707107, and Phi(-0.707107) = 0.239750.
    assert p_value == pytest.approx(2 * 0.239750, abs=1e-6)


@pytest.mark.parametrize("decimals", [None, 2, 1])
@pytest.mark.parametrize("seed", range(6))
def test_delong_equals_brute_force(seed, decimals):
    labels, a, b = _draw(seed, decimals=decimals, gain=(1.5, 0.8))
    difference, error = _brute_delong(labels, a, b)
    found = compare.delong(labels, a, b, confidence=0.9)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.difference == pytest.approx(metrics.auroc(labels, a) - metrics.auroc(labels, b), abs=1e-12)
    assert (found.high - found.low) / 2 == pytest.approx(1.6448536 * error, abs=1e-7)
    assert found.p_value == pytest.approx(math.erfc(abs(difference) / error / math.sqrt(2)), rel=1e-9)


def test_delong_sees_ranks_alone_and_is_antisymmetric():
    labels, a, b = _draw(1)
    found = compare.delong(labels, a, b)
    assert compare.delong(labels, np.log(a / (1 - a)), b**3) == found
    other = compare.delong(labels, b, a)
    assert other == pytest.approx((-found.difference, -found.high, -found.low, found.p_value))
    shuffled = np.random.default_rng(0).permutation(labels.size)
    assert compare.delong(labels[shuffled], a[shuffled], b[shuffled]) == pytest.approx(found)


def test_delong_of_equal_scores():
    labels, a, _ = _draw(2, decimals=1)
    assert compare.delong(labels, a, a) == (0.0, 0.0, 0.0, 1.0)
    assert compare.delong(labels, a, 2 * a - 7) == (0.0, 0.0, 0.0, 1.0)


def test_delong_without_variance():
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    assert compare.delong(LABELS, scores, -scores) == (1.0, 1.0, 1.0, 0.0)


def test_delong_keeps_its_level_under_the_null():
    # 300 studies of two equally good models: 5 % +- 3 x 1.26 %.
    rejected = sum(compare.delong(*_draw(seed, genes=200)).p_value < 0.05 for seed in range(300))
    assert 0.012 <= rejected / 300 <= 0.088


def test_delong_finds_a_better_model():
    found = compare.delong(*_draw(0, genes=1000, gain=(2.0, 1.0)))
    assert found.low > 0.0
    assert found.p_value < 1e-6


@pytest.mark.parametrize(("labels", "counts"), [([1, 0, 0, 0], "1 and 3"), ([1, 1, 1, 0], "3 and 1")])
def test_delong_needs_two_genes_of_a_class(labels, counts):
    with pytest.raises(DataError, match=f"two high and two low genes or more, not {counts}: use a larger split"):
        compare.delong(labels, FIRST, SECOND)


def test_refused_scores():
    with pytest.raises(RaygenexError, match="1 of 4 scores are NaN"):
        compare.delong(LABELS, FIRST, [0.1, math.nan, 0.2, 0.3])
    with pytest.raises(RaygenexError, match="1 of 4 scores are NaN"):
        compare.paired_bootstrap(LABELS, FIRST, [0.1, math.nan, 0.2, 0.3], "auroc", 10, 0.95, 0)
    with pytest.raises(AssertionError):
        compare.delong(LABELS, FIRST, SECOND[:3])
    with pytest.raises(AssertionError):
        compare.paired_bootstrap(LABELS, FIRST, SECOND[:3], "auroc", 10, 0.95, 0)
    with pytest.raises(DataError, match="all 4 have label 1"):
        compare.paired_bootstrap([1] * 4, FIRST, SECOND, "auroc", 10, 0.95, 0)


def _naive_differences(labels, a, b, metric, resamples, seed, thresholds):
    order = np.lexsort((b, a, labels))
    labels, a, b = labels[order], a[order], b[order]
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < resamples:
        drawn = rng.integers(labels.size, size=labels.size)
        if 0 < labels[drawn].sum() < labels.size:
            first, second = (
                metrics.binary_metrics(labels[drawn], values[drawn], threshold)[metric]
                for values, threshold in zip((a, b), thresholds, strict=True)
            )
            found.append(first - second)
    return np.array(found)


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_bootstrap_equals_one_resample_after_the_other(metric, monkeypatch):
    labels, a, b = _draw(4, genes=12, decimals=1)
    thresholds = (0.4, 0.6)
    naive = _naive_differences(labels, a, b, metric, 60, 7, thresholds)
    found = compare.paired_bootstrap(labels, a, b, metric, 60, 0.9, 7, thresholds)
    expected = (
        metrics.binary_metrics(labels, a, 0.4)[metric] - metrics.binary_metrics(labels, b, 0.6)[metric],
        *np.quantile(naive, [0.05, 0.95]),
    )
    assert found[:3] == pytest.approx(expected, abs=1e-12)
    # Rounding may move a difference of nothing to either side of 0.
    least = min((naive <= -1e-12).sum(), (naive >= 1e-12).sum())
    most = min((naive <= 1e-12).sum(), (naive >= -1e-12).sum())
    assert 2 * (1 + least) / 61 <= found.p_value <= min(1.0, 2 * (1 + most) / 61)
    # Seven resamples a block change nothing.
    monkeypatch.setattr(resamples, "_BLOCK", 7 * labels.size)
    again = compare.paired_bootstrap(labels, a, b, metric, 60, 0.9, 7, thresholds)
    assert again == pytest.approx(found, abs=1e-12)


def test_bootstrap_depends_on_the_seed_alone():
    labels, a, b = _draw(5, decimals=1)
    first = compare.paired_bootstrap(labels, a, b, "auprc", 200, 0.95, seed=1)
    shuffled = np.random.default_rng(0).permutation(labels.size)
    assert compare.paired_bootstrap(labels[shuffled], a[shuffled], b[shuffled], "auprc", 200, 0.95, seed=1) == first
    assert compare.paired_bootstrap(labels, a, b, "auprc", 200, 0.95, seed=2) != first


def test_bootstrap_of_equal_scores():
    labels, a, _ = _draw(6)
    assert compare.paired_bootstrap(labels, a, a, "brier", 50, 0.95, 0) == (0.0, 0.0, 0.0, 1.0)


def test_bootstrap_agrees_with_delong():
    labels, a, b = _draw(7, genes=500, gain=(1.4, 1.0))
    exact, drawn = compare.delong(labels, a, b), compare.paired_bootstrap(labels, a, b, "auroc", 2000, 0.95, 0)
    # The ends of the two intervals lie within a tenth of their width.
    assert drawn[:3] == pytest.approx(exact[:3], abs=0.1 * (exact.high - exact.low))
    assert drawn.p_value >= 2 / 2001


def test_holm_by_hand():
    # Sorted 0.01 0.02 0.03 0.04: times 4, 3, 2, 1 is 0.04 0.06 0.06 0.04, and no adjusted value falls: 0.06.
    assert compare.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert compare.holm([0.5, 0.9]) == (1.0, 1.0)
    assert compare.holm([0.03]) == (0.03,)
    assert compare.holm([]) == ()
    with pytest.raises(AssertionError):
        compare.holm([0.5, math.nan])


def test_seed_summary_by_hand():
    assert compare.seed_summary([0.8, 0.9, 1.0]) == pytest.approx((0.9, 0.1, 3))
    mean, sd, n = compare.seed_summary([0.7])
    assert (mean, n) == (0.7, 1)
    assert math.isnan(sd)
    with pytest.raises(AssertionError, match="no seed"):
        compare.seed_summary([])


def test_mean_probability():
    np.testing.assert_allclose(compare.mean_probability([[0.2, 0.4], [0.6, 0.4], [0.1, 1.0]]), [0.3, 0.6])
    with pytest.raises(AssertionError):
        compare.mean_probability([[0.2, 0.4], [0.6]])
    with pytest.raises(AssertionError, match="no seed"):
        compare.mean_probability([])
