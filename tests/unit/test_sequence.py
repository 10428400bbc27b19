import re

import numpy as np
import pytest

from raygenex.sequence import (
    centre_crop,
    composition,
    from_one_hot,
    from_string,
    reverse_complement,
    to_one_hot,
    to_string,
)


def random_indices(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.uint8)


def test_from_string_by_hand():
    indices = from_string("ACGTNacgtn")
    assert indices.dtype == np.uint8
    assert indices.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


def test_ambiguity_codes_are_unknown():
    assert set(from_string("RYSWKMBDHVryswkmbdhv").tolist()) == {4}


def test_empty_string():
    assert from_string("").shape == (0,)
    assert to_string(from_string("")) == ""


@pytest.mark.parametrize(("text", "letter", "position"), [("ACGX", "X", 3), ("A CG", " ", 1), ("ACé", "é", 2)])
def test_other_letters_are_named(text, letter, position):
    with pytest.raises(ValueError, match=f"'{letter}' at position {position} is not a DNA letter"):
        from_string(text)


@pytest.mark.parametrize("seed", range(5))
def test_string_round_trip(seed):
    indices = random_indices(101, seed=seed)
    np.testing.assert_array_equal(from_string(to_string(indices)), indices)


def test_to_string_of_a_view():
    assert to_string(from_string("ACGTN")[::-1]) == "NTGCA"


def test_one_hot_by_hand():
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    one_hot = to_one_hot(from_string("ACGTN"))
    assert one_hot.dtype == np.bool_
    np.testing.assert_array_equal(one_hot, expected)
    np.testing.assert_array_equal(from_one_hot(np.array(expected)), [0, 1, 2, 3, 4])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(9,), (3, 9), (2, 3, 9), (0, 9), (3, 0)])
def test_one_hot_round_trip(dtype, shape):
    indices = random_indices(*shape)
    back = from_one_hot(to_one_hot(indices).astype(dtype))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, indices)


def test_one_hot_view_that_is_not_contiguous():
    indices = random_indices(4, 20)
    np.testing.assert_array_equal(from_one_hot(to_one_hot(indices)[::2, 3:11]), indices[::2, 3:11])


@pytest.mark.parametrize("hot", [(0, 1), (2, 3), (0, 3), (0, 1, 2), (0, 1, 2, 3)])
def test_two_bases_hot(hot):
    one_hot = to_one_hot(random_indices(3, 5))
    one_hot[2, 4] = False
    one_hot[2, 4, list(hot)] = True
    with pytest.raises(ValueError, match=rf"{len(hot)} bases are hot at index \(2, 4\)"):
        from_one_hot(one_hot)


@pytest.mark.parametrize("value", [0.5, 2, -1, np.nan])
def test_value_that_is_no_bit(value):
    one_hot = np.zeros((2, 3, 4), np.float32)
    one_hot[1, 0, 2] = value
    with pytest.raises(ValueError, match=r"at index \(1, 0, 2\) is neither 0 nor 1"):
        from_one_hot(one_hot)


def test_one_hot_of_five_letters():
    with pytest.raises(ValueError, match=re.escape("(..., length, 4), not (3, 5)")):
        from_one_hot(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=re.escape("(..., length, 4), not (4,)")):
        from_one_hot(np.zeros(4))


def test_reverse_complement_by_hand():
    assert to_string(reverse_complement(from_string("AACGTN"))) == "NACGTT"


def test_reverse_complement_twice_is_the_sequence():
    indices = random_indices(6, 33)
    np.testing.assert_array_equal(reverse_complement(reverse_complement(indices)), indices)


def test_unknown_stays_unknown():
    indices = random_indices(6, 33)
    np.testing.assert_array_equal(reverse_complement(indices) == 4, (indices == 4)[:, ::-1])


def test_reverse_complement_of_one_hot_is_both_axes_reversed():
    indices = random_indices(6, 33)
    np.testing.assert_array_equal(to_one_hot(reverse_complement(indices)), to_one_hot(indices)[:, ::-1, ::-1])


@pytest.mark.parametrize(
    ("text", "window", "expected"),
    [("ACGTN", 3, "CGT"), ("ACGTN", 2, "CG"), ("ACGT", 2, "CG"), ("ACGT", 3, "CGT"), ("ACGT", 4, "ACGT")],
)
def test_centre_crop_by_hand(text, window, expected):
    assert to_string(centre_crop(from_string(text), window)) == expected


@pytest.mark.parametrize("length", [20, 21])
@pytest.mark.parametrize("window", [1, 2, 7, 8, 20])
def test_centre_crop_keeps_the_tss_in_the_middle(length, window):
    indices = np.zeros((2, length), np.uint8)
    indices[:, length // 2] = 3
    cropped = centre_crop(indices, window)
    assert cropped.shape == (2, window)
    assert np.flatnonzero(cropped[0]).tolist() == [window // 2]


def test_centre_crop_longer_than_the_sequence():
    with pytest.raises(ValueError, match="cannot crop 5 bases to 6"):
        centre_crop(from_string("ACGTN"), 6)


@pytest.mark.parametrize(
    ("text", "content", "ratio"),
    [
        # Two pairs where 3 C and 2 G among 8 bases make 3 * 2 / 8 of them.
        ("CGACGTCA", 5 / 8, 2 / (3 * 2 / 8)),
        ("CCGGNNNN", 1.0, 1 / (2 * 2 / 4)),
        ("GCGCATAT", 4 / 8, 1 / (2 * 2 / 8)),
        ("CNGACCGA", 5 / 7, 1 / (3 * 2 / 7)),
        ("ATATAATT", 0.0, 0.0),
        ("CCCCAAAA", 0.5, 0.0),
        ("NNNNNNNN", 0.0, 0.0),
    ],
)
def test_composition_by_hand(text, content, ratio):
    assert composition(from_string(text)[None]).tolist() == [pytest.approx([content, ratio], rel=1e-6)]
