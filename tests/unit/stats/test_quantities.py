"""Metrics of quantities against SciPy, arithmetic done by hand, brute force and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from raygenex.errors import DataError
from raygenex.stats import quantities, resamples


def _draw(seed, genes=60, decimals=None, gains=(1.0, 0.6)):
    """Return measured values and two models' predictions, which have errors in common."""
    rng = np.random.default_rng(seed)
    truth, common = rng.normal(size=(2, genes))
    columns = [truth, *(gain * truth + 0.5 * common + 0.5 * rng.normal(size=genes) for gain in gains)]
    return columns if decimals is None else [np.round(column, decimals) for column in columns]


def _by_scipy(truth, predicted):
    spread = ((truth - truth.mean()) ** 2).sum()
    return {
        "pearson": stats.pearsonr(truth, predicted).statistic,
        "spearman": stats.spearmanr(truth, predicted).statistic,
        "r2": 1 - ((truth - predicted) ** 2).sum() / spread,
        "mae": np.abs(truth - predicted).mean(),
    }


def test_by_hand():
    # Deviations -1, 0, 1 and -1, 1, 0: products 1; both squares 2; ranks are the values. Errors 0, -1, 1.
    found = quantities.quantity_metrics([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    assert found == pytest.approx({"pearson": 0.5, "spearman": 0.5, "r2": 0.0, "mae": 2 / 3}, abs=1e-15)


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("seed", range(5))
def test_equals_scipy_with_and_without_ties(seed, decimals):
    truth, predicted, _ = _draw(seed, decimals=decimals)
    assert quantities.quantity_metrics(truth, predicted) == pytest.approx(_by_scipy(truth, predicted), abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 0])
def test_bootstrap_equals_scipy_on_every_resample(decimals, monkeypatch):
    """The same draws, measured gene by gene; blocks of any size."""
    truth, predicted, _ = _draw(3, genes=17, decimals=decimals)
    drawn = np.random.default_rng(5).integers(17, size=(40, 17))
    order = np.lexsort((predicted, truth))
    rows = [_by_scipy(truth[order][row], predicted[order][row]) for row in drawn]
    monkeypatch.setattr(resamples, "_BLOCK", 7 * 17)
    found = quantities.quantity_intervals(truth, predicted, 40, 0.8, 5)
    for name, interval in found.items():
        expected = np.quantile([row[name] for row in rows], [0.1, 0.9])
        assert interval[1:] == pytest.approx(tuple(expected), abs=1e-12)
        assert interval.value == pytest.approx(_by_scipy(truth, predicted)[name], abs=1e-12)


def test_the_order_of_genes_does_not_matter():
    truth, predicted, other = _draw(1, decimals=1)
    turned = np.random.default_rng(0).permutation(truth.size)
    first = quantities.quantity_intervals(truth, predicted, 50, 0.95, 0)
    assert quantities.quantity_intervals(truth[turned], predicted[turned], 50, 0.95, 0) == first
    pair = quantities.paired_quantity_bootstrap(truth, predicted, other, "spearman", 50, 0.95, 0)
    again = quantities.paired_quantity_bootstrap(
        truth[turned], predicted[turned], other[turned], "spearman", 50, 0.95, 0
    )
    assert again == pair
    assert pair.difference > 0


def test_values_that_do_not_differ():
    found = quantities.quantity_metrics([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])
    assert math.isnan(found["pearson"])
    assert math.isnan(found["spearman"])
    assert found["r2"] < 0
    with pytest.raises(DataError, match="predicted values that differ"):
        quantities.quantity_intervals([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], 5, 0.95, 0)
    with pytest.raises(DataError, match="measured values that differ"):
        quantities.quantity_intervals([0.1] * 3, [1.0, 2.0, 3.0], 5, 0.95, 0)
    with pytest.raises(DataError, match="3 genes or more, not 2"):
        quantities.quantity_intervals([0.1, 1.0], [1.0, 2.0], 5, 0.95, 0)


def test_a_resample_of_one_value_is_drawn_again():
    """Two of four genes carry all that differs; one draw in sixteen misses both."""
    found = quantities.quantity_intervals([0.0, 0.0, 1.0, 2.0], [0.5, 0.5, 1.0, 3.0], 300, 0.95, 0)
    assert all(math.isfinite(end) for interval in found.values() for end in interval)


def test_steiger_by_hand():
    """Example 7 of the formulas: r of 0.6 and 0.4 with each other at 0.5, 103 genes."""
    a, b, between, genes = 0.6, 0.4, 0.5, 103
    # Columns that have exactly these correlations.
    rng = np.random.default_rng(0)
    factor = np.linalg.cholesky([[1, a, b], [a, 1, between], [b, between, 1]])
    raw = rng.normal(size=(genes, 3))
    raw -= raw.mean(axis=0)
    columns = np.linalg.qr(raw)[0] @ factor.T
    found = quantities.steiger(*columns.T)
    # The pooled r is 0.5: psi = 0.5 * (1 - 0.5) - 0.125 * (1 - 0.5 - 0.25) = 0.21875, over 0.75 squared 0.388889.
    z = (math.atanh(0.6) - math.atanh(0.4)) * math.sqrt(100 / (2 - 2 * 0.21875 / 0.5625))
    assert found.difference == pytest.approx(0.2, abs=1e-12)
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), abs=1e-12)
    assert found.low < 0.2 < found.high


def test_steiger_holds_its_level_and_its_coverage():
    """Of 400 pairs of equally good models about 5 % are told apart, and about 95 % of intervals hold 0."""
    found = [quantities.steiger(*_draw(seed, genes=80, gains=(0.8, 0.8))) for seed in range(400)]
    rejected = np.mean([one.p_value < 0.05 for one in found])
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.02 <= rejected <= 0.08
    assert 0.92 <= covered <= 0.98


def test_paired_tests_agree():
    truth, a, b = _draw(9, genes=400)
    by_formula = quantities.steiger(truth, a, b)
    by_draws = quantities.paired_quantity_bootstrap(truth, a, b, "pearson", 2000, 0.95, 0)
    assert by_draws.difference == pytest.approx(by_formula.difference, abs=1e-12)
    assert by_draws.low == pytest.approx(by_formula.low, abs=0.02)
    assert by_draws.high == pytest.approx(by_formula.high, abs=0.02)


def test_a_model_does_not_differ_from_itself():
    truth, a, _ = _draw(2)
    assert quantities.steiger(truth, a, 2 * a + 1).p_value == 1.0
    assert quantities.paired_quantity_bootstrap(truth, a, a, "mae", 20, 0.95, 0).p_value == 1.0


def test_specificity_by_hand():
    # The first gene's deviations are -1, 0, 1 against -1, 1, 0; the second has one value, the third two: -1, 1.
    truth = [[1.0, 2.0, 3.0], [5.0, math.nan, math.nan], [0.0, math.nan, 2.0]]
    predicted = [[4.0, 6.0, 5.0], [9.0, 0.0, 0.0], [7.0, 100.0, 7.0]]
    # Products 1 + 0 + 0 + 0 + 0 over the root of 4 times 2.
    assert quantities.specificity(truth, predicted) == pytest.approx(1 / math.sqrt(8), abs=1e-15)
    assert math.isnan(quantities.specificity([[1.0, math.nan]], [[1.0, 2.0]]))
    # What a gene has in common in all targets does not count.
    shifted = np.add(predicted, [[10.0], [20.0], [30.0]])
    assert quantities.specificity(truth, shifted) == pytest.approx(1 / math.sqrt(8), abs=1e-12)
