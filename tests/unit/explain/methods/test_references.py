from collections import Counter

import numpy as np
import pytest

from raygenex.explain.methods.logit import EVEN
from raygenex.explain.methods.references import references, shuffle_dinucleotides, shuffled, uniform, unknown

CODES = np.array([[0, 1, 4, 3]], np.uint8)


def pairs(codes):
    return Counter(zip(codes[:-1].tolist(), codes[1:].tolist(), strict=True))


def test_unknown_and_uniform():
    assert unknown(CODES).tolist() == [[[4, 4, 4, 4]]]
    assert uniform(CODES).tolist() == [[[EVEN, EVEN, 4, EVEN]]]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 50, 2000])
@pytest.mark.parametrize("letters", [1, 2, 4])
def test_dinucleotides_are_kept(length, letters):
    rng = np.random.default_rng(length)
    codes = rng.integers(0, letters, length).astype(np.uint8)
    found = shuffle_dinucleotides(codes, rng)
    assert pairs(found) == pairs(codes)
    assert np.bincount(found, minlength=4).tolist() == np.bincount(codes, minlength=4).tolist()
    if length:
        assert (found[0], found[-1]) == (codes[0], codes[-1])
    if length >= 50 and letters == 4:
        assert (found != codes).mean() > 0.5


def test_every_sequence_with_the_same_dinucleotides_is_equally_likely():
    codes = np.array([0, 1, 0, 2, 0, 1, 1, 0, 3], np.uint8)
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(shuffle_dinucleotides(codes, rng).tolist()) for _ in range(6000))
    # A: exits C, G, C and then T; C: exits A, C, A. The walk visits A four times, and the run of C is at one of the two
    # visits: G takes one of 3 places among the exits of A, and CC one of 2, which are 6 sequences.
    assert len(drawn) == 6
    expected = 1000
    assert sum((count - expected) ** 2 / expected for count in drawn.values()) < 20.5  # 99.9 % of chi-square, 5 d.f.


def test_unknown_bases_stay_where_they_are():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 300).astype(np.uint8)
    codes[[0, 100, 101, 200]] = 4
    for found in shuffled(codes, "gene", 3, 0):
        assert ((found == 4) == (codes == 4)).all()
        for first, stop in ((1, 100), (102, 200), (201, 300)):
            assert pairs(found[first:stop]) == pairs(codes[first:stop])


def test_shuffles_depend_on_the_gene_and_the_seed_alone():
    rng = np.random.default_rng(0)
    codes = np.repeat(rng.integers(0, 4, (1, 200)), 2, axis=0).astype(np.uint8)
    names = np.array(["a", "b"])
    found = references("shuffled", codes, names, 3, 5)
    assert found.shape == (2, 3, 200)
    np.testing.assert_array_equal(references("shuffled", codes[1:], names[1:], 2, 5)[0], found[1, :2])
    different = [found[0, 0], found[0, 1], found[0, 2], found[1, 0], shuffled(codes[0], "a", 1, 6)[0]]
    assert len({row.tobytes() for row in different}) == 5


def test_all_unknown():
    codes = np.full((1, 5), 4, np.uint8)
    assert references("shuffled", codes, np.array(["a"]), 2, 0).tolist() == [[[4] * 5] * 2]
