from typing import get_args

import pytest
import torch

from raygenex.config.embed import Pooling
from raygenex.embed.hyenadna.pooling import bin_count, pool_bins

# Two channels over five positions: 0 2 4 6 8 and 10 9 8 7 6.
HIDDEN = torch.tensor([[[0.0, 10.0], [2.0, 9.0], [4.0, 8.0], [6.0, 7.0], [8.0, 6.0]]])


@pytest.mark.parametrize(
    ("length", "bin_size", "bins"), [(20000, 128, 157), (256, 128, 2), (257, 128, 3), (5, 1, 5), (3, 10, 1), (1, 1, 1)]
)
def test_bin_count_rounds_up(length, bin_size, bins):
    assert bin_count(length, bin_size) == bins
    assert pool_bins(torch.zeros(2, length, 3), bin_size, "mean").shape == (2, bins, 3)


def test_mean_of_a_partial_bin_is_weighted_by_what_it_holds():
    pooled = pool_bins(HIDDEN, 2, "mean")
    assert pooled.tolist() == [[[1.0, 9.5], [5.0, 7.5], [4.0, 3.0]]]


def test_unweighted_mean_of_a_partial_bin_counts_only_its_own_positions():
    pooled = pool_bins(HIDDEN, 2, "unweighted_mean")
    assert pooled.tolist() == [[[1.0, 9.5], [5.0, 7.5], [8.0, 6.0]]]


def test_whole_bins_are_the_same_by_both_means():
    assert torch.equal(pool_bins(HIDDEN[:, :4], 2, "mean"), pool_bins(HIDDEN[:, :4], 2, "unweighted_mean"))


def test_max_of_each_bin():
    pooled = pool_bins(HIDDEN, 2, "max")
    assert pooled.tolist() == [[[2.0, 10.0], [6.0, 8.0], [8.0, 6.0]]]


def test_max_of_a_partial_bin_sees_no_padding():
    assert pool_bins(-HIDDEN - 1, 4, "max").tolist() == [[[-1.0, -8.0], [-9.0, -7.0]]]


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_one_bin_covers_a_shorter_sequence(pooling):
    expected = {"mean": [[[2.0, 4.0]]], "unweighted_mean": [[[4.0, 8.0]]], "max": [[[8.0, 10.0]]]}
    assert pool_bins(HIDDEN, 10, pooling).tolist() == expected[pooling]


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_bins_of_one_base_are_the_input_itself(pooling):
    assert pool_bins(HIDDEN, 1, pooling) is HIDDEN


def test_means_are_accumulated_in_float32():
    # In bfloat16 a running sum of ones stops growing at 256, and the mean of 1024 ones would be 0.25.
    ones = torch.ones(1, 2048, 1, dtype=torch.bfloat16)
    pooled = pool_bins(ones, 1024, "mean")
    assert pooled.dtype == torch.bfloat16
    assert pooled.tolist() == [[[1.0], [1.0]]]


@pytest.mark.parametrize(("pooling", "last"), [("mean", 0.5), ("unweighted_mean", 1.0)])
def test_gradient_is_shared_by_the_bases_of_a_bin(pooling, last):
    hidden = HIDDEN.clone().requires_grad_()
    pool_bins(hidden, 2, pooling).sum().backward()
    assert hidden.grad[0, :, 0].tolist() == [0.5, 0.5, 0.5, 0.5, last]
