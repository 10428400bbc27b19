import numpy as np
import pytest

from raygenex.explain.permutation import permutation_importance


def genes(n=400):
    rng = np.random.default_rng(0)
    halflife = rng.normal(size=(n, 8))
    return halflife, (halflife[:, 2] > 0).astype(int)


def test_only_the_feature_that_matters_is_important():
    halflife, label = genes()
    found = permutation_importance(lambda given: given[:, 2], halflife, label, 20, 0)
    assert found.drop.shape == found.low.shape == found.high.shape == (8,)
    np.testing.assert_array_equal(np.delete(found.drop, 2), 0)
    # From 1 to a half, but for chance.
    assert found.drop[2] == pytest.approx(0.5, abs=0.03)
    assert 0.4 < found.low[2] < found.drop[2] < found.high[2] < 0.6


def test_three_genes_by_hand():
    # The feature separates the genes; each permutation's AUROC is 1, a half or 0.
    halflife = np.repeat(np.array([[0.0], [1.0], [2.0]]), 8, axis=1)
    found = permutation_importance(lambda given: given[:, 0], halflife, np.array([0, 0, 1]), 300, 1)
    # The high gene gets each of the three values equally often.
    assert found.drop[0] == pytest.approx(0.5, abs=0.1)
    assert (found.low[0], found.high[0]) == (0.0, 1.0)
    np.testing.assert_array_equal(found.drop[1:], 0)


def test_the_seed_decides_and_the_data_are_left_alone():
    halflife, label = genes(50)
    before = halflife.copy()

    def score(given):
        return given @ np.arange(8.0)

    first, again, other = (permutation_importance(score, halflife, label, 3, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first.drop != other.drop).any()
    np.testing.assert_array_equal(halflife, before)
