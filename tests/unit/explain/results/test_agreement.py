"""Agreement of methods and of the strongest positions with known sites."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from raygenex.explain.results.agreement import agreement, share_in_sites


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


def test_share_in_sites():
    values = np.array([[0, -9, 8, 1, 0, 7], [5, 4, 3, np.nan, 0, 0], [1, 2, 3, 4, 5, 6]], dtype=np.float32)
    sites = [[(1, 3)], [(0, 1), (3, 5)], []]
    found = share_in_sites(values, sites, k=3)
    # 1 and 2 of 1, 2, 5; 0 of 0, 1, 2; the third gene has no site.
    np.testing.assert_allclose(found.share, [2 / 3, 1 / 3, np.nan])
    np.testing.assert_allclose(found.chance, [2 / 6, 2 / 5, np.nan])


def test_sites_are_clipped_to_the_window_and_few_positions_are_all_taken():
    found = share_in_sites(np.array([[1.0, 2, 3]]), [[(-4, 1), (2, 9), (-5, -2)]], k=20)
    assert (found.share[0], found.chance[0]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
