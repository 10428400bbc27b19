import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from raygenex.data.hdf5 import chunks
from raygenex.data.hdf5.chunks import ChunkReader, NotPlainError, is_plain
from raygenex.data.hdf5.read import inspect, iter_rows, read_rows
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.errors import DataError
from raygenex.sequence import to_one_hot

WINDOW = 3000


@pytest.fixture(autouse=True, params=["zlib", "isal"])
def inflater(request, monkeypatch):
    """Run every test with ISA-L's inflate, and again with zlib's, which must give the same."""
    module = zlib if request.param == "zlib" else isal_zlib
    monkeypatch.setattr(chunks, "inflater", module)
    return module


@pytest.fixture
def store(tmp_path):
    """Return a function that writes promoters as they are asked for, and returns their path and base indices."""

    def make(n=20, dtype=bool, change=None, **options):
        bases = np.random.default_rng(n).integers(0, 5, (n, WINDOW)).astype(np.uint8)
        one_hot = to_one_hot(bases).astype(dtype)
        if change is not None:
            change(one_hot)
        options = {"chunks": (8, WINDOW, 4), "compression": "gzip"} | options
        path = str(tmp_path / "a.h5")
        with h5py.File(path, "w") as handle:
            handle["gene_id"] = [f"G{i}" for i in range(n)]
            handle["halflife"] = np.zeros((n, 8))
            handle["label"] = np.arange(n) % 2
            handle.create_dataset("promoter", data=one_hot, **options)
        return path, bases

    return make


def plain(path):
    with h5py.File(path, "r") as handle:
        return is_plain(handle["promoter"])


@pytest.mark.parametrize(
    "layout",
    [(8, WINDOW, 4), (20, WINDOW, 4), (7, 1500, 4), (5, 2000, 4), (8, 3000, 2), (9, 2048, 3), (25, 1400, 1)],
)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_layout_gives_the_bases(store, layout, dtype, shuffle):
    path, bases = store(30, dtype, chunks=layout, shuffle=shuffle)
    with h5py.File(path, "r") as handle:
        assert is_plain(handle["promoter"])
        for first, window in ((0, WINDOW), (0, 1), (1499, 2), (700, 2001), (2999, 1)):
            reader = ChunkReader(handle["promoter"], first, window)
            for start, stop in ((0, 30), (3, 4), (8, 16), (8, 17), (17, 23), (23, 30), (30, 30)):
                found = reader.read(start, stop)
                assert found.dtype == np.uint8
                np.testing.assert_array_equal(found, bases[start:stop, first : first + window])


@pytest.mark.parametrize("rows", [1, 3, 8, 11, 100])
@pytest.mark.parametrize("window", [WINDOW, 60, 1])
def test_blocks_are_the_rows_of_the_file(store, rows, window):
    path, bases = store(20)
    first = WINDOW // 2 - window // 2
    found = [block["sequence"] for block in iter_rows(inspect(path), 2, 19, rows, window)]
    np.testing.assert_array_equal(np.concatenate(found), bases[2:19, first : first + window])


def test_no_chunk_is_inflated_twice(store, monkeypatch, inflater):
    path, _ = store(20)
    asked = []

    class Counting:
        error = inflater.error

        @staticmethod
        def decompressobj():
            asked.append(1)
            return inflater.decompressobj()

    monkeypatch.setattr(chunks, "inflater", Counting)
    assert sum(len(block["label"]) for block in iter_rows(inspect(path), 0, 20, 3)) == 20
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (np.float32, {}),
        (np.float64, {"shuffle": True}),
        (np.int64, {}),
        (bool, {"compression": "lzf"}),
        (bool, {"compression": None}),
        (bool, {"compression": None, "chunks": None}),
        (bool, {"fletcher32": True}),
        (bool, {"chunks": (1, 100, 4)}),
    ],
)
def test_what_is_stored_otherwise_is_read_through_hdf5(store, dtype, options):
    path, bases = store(12, dtype, **options)
    assert not plain(path)
    np.testing.assert_array_equal(read_rows(inspect(path), 1, 11)["sequence"], bases[1:11])


def test_chunks_that_were_never_written_are_unknown(store):
    path, _ = store(20)
    with h5py.File(path, "r+") as handle:
        del handle["promoter"]
        promoter = handle.create_dataset("promoter", (20, WINDOW, 4), bool, chunks=(8, WINDOW, 4), compression="gzip")
        promoter[0:8, :, 2] = True
    assert plain(path)
    found = read_rows(inspect(path), 0, 20)["sequence"]
    assert (found[:8] == 2).all()
    assert (found[8:] == 4).all()


def test_chunks_stored_past_their_filter_are_read(store):
    path, bases = store(16)
    with h5py.File(path, "r+") as handle:
        handle["promoter"].id.write_direct_chunk((8, 0, 0), to_one_hot(bases[8:16]).tobytes(), filter_mask=1)
    np.testing.assert_array_equal(read_rows(inspect(path), 0, 16)["sequence"], bases)


@pytest.mark.parametrize("layout", [(8, WINDOW, 4), (25, 1400, 1), (8, 3000, 2)])
@pytest.mark.parametrize(
    ("values", "text"),
    [([1, 0, 0, 1], "two bases"), ([1, 1, 1, 1], "four bases"), ([0, 2, 0, 0], "the value 2"), ([1, 9, 0, 0], "9")],
)
def test_a_wrong_position_is_named_where_it_is_read_and_nowhere_else(store, sentence, layout, values, text):
    def spoil(one_hot):
        one_hot[9, 1501] = values

    path, bases = store(30, np.uint8, spoil, chunks=layout)
    file = inspect(path)
    with pytest.raises(DataError) as info:
        read_rows(file, 8, 20)
    sentence(info, path, "gene G9 at position 1501", text)
    # Neighbours in the same chunk are none of its business.
    np.testing.assert_array_equal(read_rows(file, 10, 30)["sequence"], bases[10:])
    np.testing.assert_array_equal(read_rows(file, 8, 30, 2)["sequence"], bases[8:, 1499:1501])


def test_a_byte_that_is_neither_true_nor_false(store, sentence):
    path, bases = store(8)
    raw = to_one_hot(bases).view(np.uint8)
    raw[3, 7] = [0, 0, 7, 0]
    with h5py.File(path, "r+") as handle:
        handle["promoter"].id.write_direct_chunk((0, 0, 0), zlib.compress(raw.tobytes()))
    with pytest.raises(DataError) as info:
        read_rows(inspect(path), 0, 8)
    sentence(info, path, "gene G3 at position 7", "the value 7")


@pytest.mark.parametrize(
    "spoil", [lambda raw: raw[:-8], lambda raw: raw[:100] + b"\0" * (len(raw) - 100), lambda raw: b"x"]
)
def test_a_damaged_chunk_is_said_to_be_damaged(store, sentence, spoil):
    path, bases = store(16)
    with h5py.File(path, "r+") as handle:
        promoter = handle["promoter"].id
        promoter.write_direct_chunk((8, 0, 0), spoil(promoter.read_direct_chunk((8, 0, 0))[1]))
    file = inspect(path)
    np.testing.assert_array_equal(read_rows(file, 0, 8)["sequence"], bases[:8])
    with pytest.raises(DataError) as info:
        read_rows(file, 7, 9)
    sentence(info, path, "rows 7 to 8", "damaged")


def test_a_chunk_that_inflates_to_more_than_it_should_takes_no_memory(store):
    path, _ = store(8)
    with h5py.File(path, "r+") as handle:
        handle["promoter"].id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(2**28)))
        reader = ChunkReader(handle["promoter"], 0, WINDOW)
        tracemalloc.start()
        with pytest.raises(NotPlainError):
            reader.read(0, 8)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**22


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_both_ways_are_one(tmp_path_factory, data):
    """Whatever is stored, and however, the rows and the refusals are those of HDF5's own way."""
    n, length = data.draw(st.integers(1, 12)), data.draw(st.integers(2100, 2600))
    dtype = data.draw(st.sampled_from([bool, np.uint8, np.int8, np.int64, np.float32]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    one_hot = to_one_hot(rng.integers(0, 5, (n, length)).astype(np.uint8)).astype(dtype)
    if data.draw(st.booleans()):
        values = [0, 1] if dtype is bool else [0, 1, 2, -1] if dtype in (np.int8, np.int64) else [0, 1, 2]
        values += [np.nan, 0.5] if dtype is np.float32 else []
        for _ in range(data.draw(st.integers(1, 3))):
            one_hot[rng.integers(n), rng.integers(length)] = rng.choice(values, 4)
    layout = (data.draw(st.integers(1, n)), data.draw(st.integers(2048, length)), data.draw(st.integers(1, 4)))
    path = tmp_path_factory.mktemp("both") / "a.h5"
    with h5py.File(path, "w") as handle:
        handle["gene_id"] = [f"G{i}" for i in range(n)]
        handle["halflife"] = np.zeros((n, 8))
        handle.create_dataset(
            "promoter", data=one_hot, chunks=layout, compression="gzip", shuffle=data.draw(st.booleans())
        )
    file = inspect(str(path), require_label=False)
    start = data.draw(st.integers(0, n - 1))
    stop, window = data.draw(st.integers(start + 1, n)), data.draw(st.integers(1, length))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "LEAST_CHUNK_BYTES", 1)
        direct = outcome(file, start, stop, window)
        patch.setattr("raygenex.data.hdf5.read.is_plain", lambda dataset: False)
        assert outcome(file, start, stop, window) == direct
    middle = one_hot[start:stop, length // 2 - window // 2 :][:, :window]
    right = np.isin(middle, (0, 1)).all() and ((middle == 1).sum(axis=-1) <= 1).all()
    expected = np.where((middle == 1).any(axis=-1), (middle == 1).argmax(axis=-1), 4).tolist() if right else None
    assert direct == expected if right else "the promoter of gene G" in direct


def outcome(file, start, stop, window):
    try:
        return read_rows(file, start, stop, window)["sequence"].tolist()
    except DataError as error:
        return str(error)


def test_the_writer_makes_plain_files(tmp_path):
    path = tmp_path / "a.h5"
    with PromoterWriter(path, window=WINDOW) as writer:
        writer.append(["a", "b"], np.full((2, WINDOW), 3, np.uint8), np.zeros((2, 8)), np.array([0, 1]))
    assert plain(path)
