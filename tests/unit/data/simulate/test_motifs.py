"""Motifs of simulated promoters."""

import numpy as np
import pytest

from raygenex.data.simulate.motifs import MOTIFS, Motif
from raygenex.sequence import from_string, reverse_complement, to_string

TOY = Motif("TOY", "ACRN", ((0, 3),), True, 0.5, 1.0, 2)


def test_consensus_letters_are_known():
    for motif in MOTIFS:
        assert len(from_string(motif.consensus)) == motif.length
        assert motif.allowed().shape == (motif.length, 4)
        assert motif.mismatches <= (~motif.allowed().all(axis=1)).sum()


def test_allowed_letters_by_hand():
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]]
    np.testing.assert_array_equal(TOY.allowed(), np.array(expected, dtype=bool))


def test_strength_falls_with_mismatches():
    assert [TOY.strength(n) for n in (0, 1, 2)] == [1.0, 0.75, 0.5]
    with pytest.raises(AssertionError):
        TOY.strength(3)


def test_sites_have_as_many_mismatches_as_asked():
    rng = np.random.default_rng(0)
    for mismatches in (0, 1, 2):
        for _ in range(50):
            site = TOY.sample(mismatches, "+", rng)
            assert (~TOY.allowed()[np.arange(4), site]).sum() == mismatches


def test_a_site_on_the_other_strand_is_the_reverse_complement():
    plus = TOY.sample(1, "+", np.random.default_rng(3))
    minus = TOY.sample(1, "-", np.random.default_rng(3))
    np.testing.assert_array_equal(reverse_complement(minus), plus)


def test_a_perfect_site_reads_as_the_consensus():
    tata = next(motif for motif in MOTIFS if motif.name == "TATA")
    found = {to_string(tata.sample(0, "+", np.random.default_rng(seed))) for seed in range(60)}
    assert found == {f"TATA{w}AA{r}" for w in "AT" for r in "AG"}


@pytest.mark.parametrize("motif", MOTIFS, ids=lambda motif: motif.name)
def test_weights_are_those_of_sampled_sites(motif):
    weights = motif.weights()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    rng = np.random.default_rng(1)
    sites = np.stack([motif.sample(int(rng.integers(motif.mismatches + 1)), "+", rng) for _ in range(4000)])
    shares = np.stack([(sites == base).mean(axis=0) for base in range(4)], axis=1)
    np.testing.assert_allclose(shares, weights, atol=0.04)
