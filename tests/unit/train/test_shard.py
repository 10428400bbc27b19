from itertools import pairwise

import numpy as np
import pytest
import torch
from toy_models import columns

from raygenex.train.shard import GeneBatch, WorkerShard, derive_seed, ray_stream

WINDOW = 6


class Stream:
    """What Ray Data is to a shard: batches of columns, in row order or shuffled; counts how often it is read."""

    def __init__(self, n):
        self.columns = columns(n, WINDOW) | {"row": np.arange(n)}
        for column in self.columns.values():
            column.flags.writeable = False
        self.calls = []

    def __call__(self, batch_size, seed):
        self.calls.append((batch_size, seed))
        n = len(self.columns["row"])
        order = np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)
        for start in range(0, n, batch_size):
            yield {name: column[order[start : start + batch_size]] for name, column in self.columns.items()}


def rows_of(batches, stream):
    """Return the row of every gene of some batches, found by its half-life features."""
    known = {tuple(features): row for row, features in enumerate(stream.columns["halflife"].tolist())}
    return [known[tuple(features)] for batch in batches for features in batch.halflife.tolist()]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (10, 3), (10, 10), (10, 64), (9, 3)])
def test_every_row_comes_once_a_pass(keep, n, batch_size):
    stream = Stream(n)
    shard = WorkerShard(stream, n, keep)
    for batches in (list(shard.shuffled(batch_size, 5)), list(shard.in_order(batch_size))):
        assert sorted(rows_of(batches, stream)) == list(range(n))
        assert [len(batch.label) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert rows_of(shard.in_order(batch_size), stream) == list(range(n))


@pytest.mark.parametrize("keep", [True, False])
def test_columns_stay_together_and_have_the_types_of_a_step(keep):
    stream = Stream(8)
    for batch in WorkerShard(stream, 8, keep).shuffled(3, 0):
        rows = rows_of([batch], stream)
        assert batch.sequence.dtype == torch.uint8
        assert batch.halflife.dtype == batch.label.dtype == torch.float32
        np.testing.assert_array_equal(batch.sequence, stream.columns["sequence"][rows])
        np.testing.assert_array_equal(batch.label, stream.columns["label"][rows])


@pytest.mark.parametrize("keep", [True, False])
def test_the_order_depends_on_the_seed_alone(keep):
    stream = Stream(30)
    shard = WorkerShard(stream, 30, keep)
    torch.manual_seed(1)
    first = rows_of(shard.shuffled(4, 7), stream)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert rows_of(shard.shuffled(4, 7), stream) == first
    assert rows_of(WorkerShard(stream, 30, keep).shuffled(4, 7), stream) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert rows_of(shard.shuffled(4, 8), stream) != first
    assert first != list(range(30))


def test_the_order_of_a_kept_shard_does_not_depend_on_the_batch_size():
    stream = Stream(30)
    shard = WorkerShard(stream, 30, keep=True)
    assert rows_of(shard.shuffled(4, 7), stream) == rows_of(shard.shuffled(30, 7), stream)


def test_a_kept_shard_is_read_once_and_a_streamed_one_every_pass():
    kept, streamed = Stream(10), Stream(10)
    for stream, keep in ((kept, True), (streamed, False)):
        shard = WorkerShard(stream, 10, keep)
        for seed in (3, 2**40 + 3):
            list(shard.shuffled(4, seed))
        list(shard.in_order(4))
    assert len(kept.calls) == 1
    # Seeds for Ray must fit 31 bits.
    assert streamed.calls == [(4, 3), (4, 3), (4, None)]


@pytest.mark.parametrize("count", [9, 11])
def test_a_kept_shard_must_hold_what_it_was_promised(count):
    with pytest.raises(AssertionError, match="a shard must hold the rows it was promised"):
        WorkerShard(Stream(10), count, keep=True)


def test_a_batch_owns_its_memory():
    stream = Stream(4)
    (batch,) = WorkerShard(stream, 4, keep=False).in_order(4)
    expected = stream.columns["halflife"].copy()
    batch.halflife.zero_()
    np.testing.assert_array_equal(stream.columns["halflife"], expected)


def test_a_batch_moves_whole():
    moved = GeneBatch(torch.zeros(1, 2), torch.zeros(1, 8), torch.zeros(1)).to(torch.device("meta"))
    assert {part.device.type for part in (moved.sequence, moved.halflife, moved.label)} == {"meta"}


def test_ray_reads_in_order():
    asked = []

    class Iterator:
        def iter_batches(self, **options):
            asked.append(options)
            return [1, 2]

    assert list(ray_stream(Iterator())(8, None)) == [1, 2]
    assert asked == [{"batch_size": 8, "batch_format": "numpy"}]


def test_derived_seeds_are_distinct_and_fit_63_bits():
    seeds = [derive_seed(seed, epoch, rank) for seed in range(8) for epoch in range(8) for rank in range(8)]
    assert len(set(seeds)) == 512
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len({seed % 2**31 for seed in seeds}) == 512
    assert derive_seed(1, 2) != derive_seed(2, 1)


@pytest.mark.parametrize(("first", "second"), [((3,), (3, 0, 0)), ((3, 1), (3, 1, 0))])
def test_derived_seeds_of_other_length_are_distinct(first, second):
    # The weights are drawn from (seed,) and the first epoch's dropout from (seed, 0, 0).
    assert derive_seed(*first) != derive_seed(*second)


def test_derived_seeds_are_golden():
    # A checkpoint made by one version must be continued alike by the next.
    found = [derive_seed(0), derive_seed(0, 0, 1), derive_seed(7, 3, 2)]
    assert found == [5254295370254170289, 7689317563719528146, 1134889303386469391]


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_neighbouring_epochs_and_ranks_shuffle_differently(world_size):
    orders = [
        torch.randperm(50, generator=torch.Generator().manual_seed(derive_seed(0, epoch, rank))).tolist()
        for epoch in range(3)
        for rank in range(world_size)
    ]
    assert all(first != second for first, second in pairwise(orders))
