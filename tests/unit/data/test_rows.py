import pickle
from itertools import pairwise

import numpy as np
import pytest
from toy_models import columns, write_promoters

from raygenex.data.hdf5.read import inspect
from raygenex.data.rows import PromoterRows, shard_bounds

WINDOW = 12
SIZES = (7, 1, 10)
CHUNKS = (3, 1, 5)
TOTAL = sum(SIZES)


def genes():
    return columns(TOTAL, WINDOW)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Return the rows of three files with 7, 1 and 10 genes, in chunks of 3, 1 and 5."""
    folder = tmp_path_factory.mktemp("rows")
    files, start = [], 0
    for number, (size, chunk) in enumerate(zip(SIZES, CHUNKS, strict=True)):
        part = {name: column[start : start + size] for name, column in genes().items()}
        files.append(inspect(write_promoters(folder / f"{number}.h5", part, chunk)))
        start += size
    assert [file.chunk_rows for file in files] == list(CHUNKS)
    return PromoterRows(tuple(files), WINDOW, "train")


def check(found, start, stop):
    """Check that columns hold exactly the genes of a range."""
    expected = {name: column[start:stop] for name, column in genes().items()}
    assert found["row"].tolist() == list(range(start, stop))
    assert found["row"].dtype == np.int64
    assert set(found["split"]) == {"train"}
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)


def test_the_table_knows_its_size(rows):
    assert rows.count == 18
    assert rows.row_bytes == WINDOW + 8 * 4 + 48
    assert rows.has_label


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 100])
@pytest.mark.parametrize(
    ("start", "stop"), [(0, 18), (0, 1), (17, 18), (7, 8), (6, 9), (0, 7), (8, 18), (2, 17), (5, 11), (9, 10)]
)
def test_pieces_hold_every_row_once_in_order(rows, start, stop, size):
    pieces = rows.pieces(start, stop, size)
    parts = [piece.read() for piece in pieces]
    assert [len(part["row"]) for part in parts] == [piece.rows for piece in pieces]
    assert all(1 <= piece.rows <= size for piece in pieces)
    check({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, start, stop)


def test_every_range_is_covered(rows):
    for size in (1, 3, 4, 6, 9):
        for start in range(TOTAL):
            for stop in range(start + 1, TOTAL + 1):
                covered = [row for piece in rows.pieces(start, stop, size) for row in range(*piece.read.args)]
                assert covered == list(range(start, stop))


def test_a_piece_takes_only_its_files_along(rows):
    (first, second, third) = (file.path for file in rows.files)
    taken = {span: pickle.dumps(rows.piece(*span)).decode("latin-1") for span in ((0, 7), (7, 8), (6, 8), (8, 18))}
    for span, paths in {(0, 7): [first], (7, 8): [second], (6, 8): [first, second], (8, 18): [third]}.items():
        assert [path for path in (first, second, third) if path in taken[span]] == paths


def test_no_rows_are_no_pieces(rows):
    assert rows.pieces(5, 5, 3) == []


@pytest.mark.parametrize(
    ("start", "stop", "size", "bounds"),
    [
        (0, 7, 3, [0, 3, 6, 7]),
        (0, 7, 4, [0, 3, 6, 7]),
        (0, 7, 6, [0, 6, 7]),
        (0, 7, 100, [0, 7]),
        (2, 7, 3, [2, 3, 6, 7]),
        (0, 7, 2, [0, 2, 4, 6, 7]),
        (0, 9, 100, [0, 7, 8, 9]),
    ],
)
def test_pieces_end_on_chunks_where_they_can(rows, start, stop, size, bounds):
    pieces = rows.pieces(start, stop, size)
    assert [piece.read.args for piece in pieces] == list(pairwise(bounds))


@pytest.mark.parametrize(("start", "size"), [(8, 5), (8, 9), (10, 5)])
def test_pieces_of_a_later_file_end_on_its_chunks(rows, start, size):
    # The third file starts at row 8 and has two chunks of five rows, which end at 13 and 18.
    pieces = rows.pieces(start, 18, size)
    assert [piece.read.args for piece in pieces] == [(start, 13), (13, 18)]


@pytest.mark.parametrize(("start", "stop"), [(0, 18), (6, 9), (5, 8), (7, 8), (7, 18), (0, 7), (17, 18)])
def test_a_piece_may_span_files(rows, start, stop):
    piece = rows.piece(start, stop)
    assert piece.rows == stop - start
    assert piece.size_bytes == piece.rows * rows.row_bytes
    check(piece.read(), start, stop)


def test_a_piece_over_files_is_the_parts_joined(rows):
    whole = rows.piece(0, 18).read()
    parts = [rows.piece(start, start + 1).read() for start in range(18)]
    for name, column in whole.items():
        np.testing.assert_array_equal(column, np.concatenate([part[name] for part in parts]))
        assert column.dtype == parts[0][name].dtype


def test_the_window_is_cut_around_the_centre(rows):
    narrow = PromoterRows(rows.files, 4, "train").piece(0, 18).read()
    np.testing.assert_array_equal(narrow["sequence"], genes()["sequence"][:, 4:8])


def test_a_label_that_one_file_lacks_is_left_out(rows, tmp_path):
    part = {name: column[:2] for name, column in genes().items()}
    bare = inspect(write_promoters(tmp_path / "bare.h5", part, label=False), require_label=False)
    for files in ((bare, *rows.files), (*rows.files, bare)):
        mixed = PromoterRows(files, WINDOW, "predict")
        assert not mixed.has_label
        assert all(
            "label" not in piece.read() for piece in (mixed.piece(0, 20), mixed.piece(0, 1), mixed.piece(19, 20))
        )
        assert mixed.piece(0, 20).read()["split"].tolist() == ["predict"] * 20


def test_pieces_travel_between_processes(rows):
    piece = pickle.loads(pickle.dumps(rows.piece(6, 9)))
    check(piece.read(), 6, 9)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("count", [0, 1, 5, 16, 17, 16215])
def test_shard_bounds_cut_all_rows_into_almost_equal_parts(count, world_size):
    bounds = [shard_bounds(count, rank, world_size) for rank in range(world_size)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == count
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    sizes = [stop - start for start, stop in bounds]
    assert min(sizes) >= 0
    assert max(sizes) - min(sizes) <= 1


def test_shard_bounds_by_hand():
    assert [shard_bounds(10, rank, 4) for rank in range(4)] == [(0, 2), (2, 5), (5, 7), (7, 10)]
