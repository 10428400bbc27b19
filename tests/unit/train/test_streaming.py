"""Shards that are read in every pass: every row once, in an order that the seed alone decides, and mixed."""

import threading
from functools import partial

import numpy as np
import pytest

from raygenex.data.rows import Piece
from raygenex.errors import DataError
from raygenex.train import streaming
from raygenex.train.streaming import piece_stream


def read(start, stop):
    """Return rows whose every column tells their number."""
    rows = np.arange(start, stop)
    halflife = np.tile(rows[:, None], (1, 8)).astype(np.float32)
    columns = {"sequence": rows[:, None].astype(np.uint8), "halflife": halflife, "label": rows.astype(np.uint8)}
    return columns | {"row": rows}


class Numbers:
    """A table of rows that are numbers, cut into pieces of seven."""

    def __init__(self, count=100, reading=read):
        self.count, self.row_bytes, self.reading = count, 2**23 // 7, reading

    def pieces(self, start, stop, rows_per_piece):
        bounds = [(low, min(low + rows_per_piece, stop)) for low in range(start, stop, rows_per_piece)]
        return [Piece("", high - low, 1, partial(self.reading, low, high)) for low, high in bounds]


def passed(stream, batch_size, seed):
    batches = list(stream(batch_size, seed))
    for batch in batches:
        assert set(batch) == {"sequence", "halflife", "label"}
        np.testing.assert_array_equal(batch["sequence"][:, 0], batch["label"])
        np.testing.assert_array_equal(batch["halflife"][:, 3], batch["label"])
    assert [len(batch["label"]) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    return np.concatenate([batch["label"] for batch in batches]).tolist()


@pytest.mark.parametrize("buffer", [1, 5, 30, 1000])
@pytest.mark.parametrize("batch_size", [1, 8, 33, 200])
def test_every_row_comes_once(batch_size, buffer):
    stream = piece_stream(Numbers(), 3, 98, buffer)
    assert passed(stream, batch_size, None) == list(range(3, 98))
    assert sorted(passed(stream, batch_size, 5)) == list(range(3, 98))


def test_the_seed_alone_decides_the_order():
    stream = piece_stream(Numbers(), 0, 100, 20)
    first = passed(stream, 8, 5)
    assert passed(stream, 8, 5) == first
    assert passed(piece_stream(Numbers(), 0, 100, 20), 8, 5) == first
    assert passed(stream, 8, 6) != first


def test_rows_are_mixed_beyond_their_pieces():
    """Batches of eight hold rows of many pieces once the buffer is full, and the first rows come from anywhere."""
    passes = [passed(piece_stream(Numbers(), 0, 100, 50), 8, seed) for seed in range(200)]
    assert abs(np.mean([rows[:8] for rows in passes]) - 49.5) < 5
    pieces = [len({row // 7 for row in rows[64:72]}) for rows in passes]
    assert np.mean(pieces) > 4


def test_what_is_wrong_with_a_file_is_raised_where_it_is_read():
    def damaged(start, stop):
        if start <= 50 < stop:
            raise DataError("a.h5 is damaged")
        return read(start, stop)

    with pytest.raises(DataError, match=r"a\.h5 is damaged"):
        list(piece_stream(Numbers(reading=damaged), 0, 100, 10)(8, 0))


def test_a_pass_that_ends_early_leaves_no_thread_and_reads_little_ahead():
    asked = []

    def counted(start, stop):
        asked.append(start)
        return read(start, stop)

    batches = piece_stream(Numbers(700, counted), 0, 700, 10)(8, 0)
    next(batches)
    batches.close()
    assert len(asked) <= 10 // 7 + 3 + streaming.AHEAD
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading")]
