"""Strongest positions beside planted sites, as benchmarks/planted_motifs.py counts them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "planted_motifs.py"


@pytest.fixture(scope="module")
def share_in_sites():
    spec = importlib.util.spec_from_file_location("planted_motifs", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks for its own module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module.share_in_sites
    del sys.modules[spec.name]


def test_share_in_sites(share_in_sites):
    values = np.array([[0, -9, 8, 1, 0, 7], [5, 4, 3, np.nan, 0, 0], [1, 2, 3, 4, 5, 6]], dtype=np.float32)
    sites = [[(1, 3)], [(0, 1), (3, 5)], []]
    found = share_in_sites(values, sites, k=3)
    # 1 and 2 of 1, 2, 5; 0 of 0, 1, 2; the third gene has no site.
    np.testing.assert_allclose(found.share, [2 / 3, 1 / 3, np.nan])
    np.testing.assert_allclose(found.chance, [2 / 6, 2 / 5, np.nan])


def test_sites_are_clipped_to_the_window_and_few_positions_are_all_taken(share_in_sites):
    found = share_in_sites(np.array([[1.0, 2, 3]]), [[(-4, 1), (2, 9), (-5, -2)]], k=20)
    assert (found.share[0], found.chance[0]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
