"""Agreement of methods."""

import numpy as np
from scipy.stats import spearmanr

from raygenex.explain.results.agreement import agreement


def test_spearman_of_absolute_values():
    one = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 1, 1, 1]], dtype=np.float32)
    other = np.array([[-10, 20, -30, 40], [4, -3, 2, 1], [1, 2, 3, 4]], dtype=np.float32)
    found = agreement(one, other)
    np.testing.assert_allclose(found.spearman, [1, -1, np.nan])
    assert (found.median, found.quartiles, found.genes) == (0, (-0.5, 0.5), 2)


def test_spearman_with_ties_and_missing_positions():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, (2, 3, 50)).astype(np.float32)
    other[:, :7] = np.nan
    expected = [spearmanr(a[7:], b[7:]).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(agreement(one, other).spearman, expected)


def test_nothing_in_common():
    found = agreement(np.full((1, 3), np.nan), np.ones((1, 3)))
    assert np.isnan(found.median)
    assert found.genes == 0
