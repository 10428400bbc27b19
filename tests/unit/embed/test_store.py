import contextlib
import errno
import json
import os
import resource
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy_embed import store_manifest as manifest
from toy_models import columns, sentence

from raygenex.embed import shards as shards_module
from raygenex.embed.run import _remove_damaged as remove_damaged
from raygenex.embed.shards import read_gene_ids, write_shard
from raygenex.embed.store import (
    EmbeddingRows,
    damaged_shards,
    list_shards,
    missing_ranges,
    open_store,
    read_manifest,
    remove_leftovers,
)
from raygenex.errors import CheckpointError
from raygenex.files.parts import MANIFEST, Part, write_manifest

BINS, WIDTH = 3, 4


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "store")


def embeddings(start, stop, dtype=np.float16):
    """Return embeddings whose values tell where they belong: 100 times the row, plus the number in the gene."""
    values = np.arange(BINS * WIDTH).reshape(1, BINS, WIDTH) + 100 * np.arange(start, stop)[:, None, None]
    return values.astype(dtype)


def write_rows(store, start, stop, split="train", dtype=np.float16, embedding=None):
    genes = {name: column[start:stop] for name, column in columns(100, 6).items()} | {"row": np.arange(start, stop)}
    write_shard(store, split, genes, embeddings(start, stop, dtype) if embedding is None else embedding)


def complete_store(store, *bounds, dtype="float16"):
    """Write a complete store whose training split has shards with these bounds."""
    for start, stop in pairwise(bounds):
        write_rows(store, start, stop, dtype=np.dtype(dtype))
    write_manifest(store, manifest(rows={"train": bounds[-1]}, dtype=dtype))
    return open_store(store, "train")


def read_all(pieces):
    parts = [piece.read() for piece in pieces]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


# Shards


@pytest.mark.parametrize("block_bytes", [1, 250])
@pytest.mark.parametrize(("start", "stop", "size"), [(0, 10, 1), (3, 9, 2), (4, 5, 4), (0, 10, 100)])
def test_a_piece_reads_its_row_groups_alone(store, monkeypatch, block_bytes, start, stop, size):
    monkeypatch.setattr(shards_module, "BLOCK_BYTES", block_bytes)
    rows = complete_store(store, 0, 4, 10)
    groups = pq.ParquetFile(rows.shards[1].path).num_row_groups
    assert groups == (6 if block_bytes == 1 else 3)
    found = read_all(rows.pieces(start, stop, size))
    assert found["row"].tolist() == list(range(start, stop))
    np.testing.assert_array_equal(found["sequence"], embeddings(start, stop))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_written_reads_back_exactly(store, dtype):
    rows = complete_store(store, 0, 4, 10, dtype=dtype)
    found = read_all(rows.pieces(0, 10, 100))
    genes = columns(100, 6)
    assert set(found) == {"gene_id", "row", "halflife", "label", "sequence"}
    assert found["sequence"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found["sequence"], embeddings(0, 10, dtype))
    np.testing.assert_array_equal(found["row"], np.arange(10))
    np.testing.assert_array_equal(found["halflife"], genes["halflife"][:10])
    np.testing.assert_array_equal(found["label"], genes["label"][:10])
    assert found["gene_id"].tolist() == [f"G{i}" for i in range(10)]
    assert (found["halflife"].dtype, found["label"].dtype) == (np.float32, np.uint8)
    assert (rows.count, rows.shape, rows.itemsize) == (10, (BINS, WIDTH), np.dtype(dtype).itemsize)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_shard_is_plain_parquet(store, dtype):
    write_rows(store, 2, 5, dtype=dtype)
    (path,) = Path(store, "split=train").iterdir()
    assert path.name == "rows-00000002-00000005.parquet"
    table = pq.read_table(path, partitioning=None)
    assert table.column_names == ["gene_id", "row", "halflife", "label", "embedding"]
    kind = table.schema.field("embedding").type
    assert (kind.extension_name, kind.shape) == ("arrow.fixed_shape_tensor", [BINS, WIDTH])
    assert kind.value_type == {np.float16: "halffloat", np.float32: "float"}[dtype]
    (chunk,) = table["embedding"].chunks
    np.testing.assert_array_equal(chunk.to_numpy_ndarray(), embeddings(2, 5, dtype))


def test_a_view_that_is_not_contiguous_is_written_right(store):
    write_rows(store, 0, 3, embedding=embeddings(0, 3).transpose(2, 1, 0).copy().transpose(2, 1, 0))
    write_manifest(store, manifest(rows={"train": 3}))
    found = read_all(open_store(store, "train").pieces(0, 3, 2))
    np.testing.assert_array_equal(found["sequence"], embeddings(0, 3))


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_a_value_that_does_not_fit_names_its_gene(store, bad):
    embedding = embeddings(4, 8)
    embedding[2, 1, 3] = bad
    with pytest.raises(CheckpointError) as info:
        write_rows(store, 4, 8, embedding=embedding)
    sentence(info, "gene G6 is not finite in float16", "embed.dtype to float32")
    assert not Path(store).exists()


def test_a_nan_in_float32_is_not_blamed_on_the_format(store):
    embedding = embeddings(0, 2, np.float32)
    embedding[0] = np.nan
    with pytest.raises(CheckpointError) as info:
        write_rows(store, 0, 2, embedding=embedding)
    assert "set embed.dtype to float32" not in str(info.value)


def test_a_shard_holds_consecutive_rows(store):
    genes = {name: column[:3] for name, column in columns(100, 6).items()} | {"row": np.array([0, 1, 3])}
    with pytest.raises(AssertionError, match="consecutive rows"):
        write_shard(store, "train", genes, embeddings(0, 3))


def test_writing_a_shard_again_replaces_it(store):
    write_rows(store, 0, 3, embedding=embeddings(5, 8))
    rows = complete_store(store, 0, 3)
    np.testing.assert_array_equal(read_all(rows.pieces(0, 3, 3))["sequence"], embeddings(0, 3))


@pytest.mark.parametrize("failing", ["replace", "open"])
def test_a_shard_that_could_not_be_finished_is_not_there(store, monkeypatch, failing):
    write_rows(store, 0, 2)

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_rows(store, 2, 4)
    monkeypatch.undo()
    assert [(shard.start, shard.stop) for shard in list_shards(store, "train")] == [(0, 2)]
    assert missing_ranges(store, "train", 4) == [(2, 4)]


def test_a_manifest_that_could_not_be_finished_leaves_the_old_one(store, monkeypatch):
    write_manifest(store, manifest(complete=False))

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(store, manifest(complete=True))
    monkeypatch.undo()
    assert read_manifest(store).complete is False


def test_whole_files_alone_carry_a_shards_name(store):
    write_rows(store, 0, 2)
    write_manifest(store, manifest())
    assert sorted(os.listdir(store)) == [MANIFEST, "split=train"]
    assert os.listdir(Path(store, "split=train")) == ["rows-00000000-00000002.parquet"]


# Which rows are there


def touch(store, *ranges, split="train"):
    folder = Path(store, f"split={split}")
    folder.mkdir(parents=True, exist_ok=True)
    for start, stop in ranges:
        (folder / f"rows-{start:08d}-{stop:08d}.parquet").touch()


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([], [(0, 10)]),
        ([(0, 10)], []),
        ([(0, 4)], [(4, 10)]),
        ([(4, 10)], [(0, 4)]),
        ([(2, 4), (6, 8)], [(0, 2), (4, 6), (8, 10)]),
        ([(0, 4), (4, 8), (8, 10)], []),
        ([(0, 1), (9, 10)], [(1, 9)]),
    ],
)
def test_missing_ranges(store, there, missing):
    touch(store, *there)
    assert missing_ranges(store, "train", 10) == missing
    assert missing_ranges(store, "valid", 10) == [(0, 10)]


def test_shards_are_listed_in_row_order_and_other_files_are_not(store):
    touch(store, (100000000, 100000001), (64, 128), (0, 64))
    for name in (".rows-00000128-00000192.parquet.77", "rows-1-2.parquet.tmp", "notes.txt", "rows-a-b.parquet"):
        Path(store, "split=train", name).touch()
    assert [(shard.start, shard.stop) for shard in list_shards(store, "train")] == [
        (0, 64),
        (64, 128),
        (100000000, 100000001),
    ]


@pytest.mark.parametrize("second", [(3, 8), (0, 3), (1, 2), (0, 8), (5, 9)])
def test_rows_that_are_there_twice_are_refused(store, second):
    touch(store, (0, 4), (8, 9), second)
    with pytest.raises(CheckpointError) as info:
        list_shards(store, "train")
    sentence(info, "repeats rows of", "remove the store")


# Pieces


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(("start", "stop"), [(0, 10), (0, 1), (3, 9), (4, 5), (9, 10), (2, 8)])
def test_pieces_hold_each_row_once(store, size, start, stop):
    rows = complete_store(store, 0, 4, 5, 10)
    pieces = rows.pieces(start, stop, size)
    assert all(1 <= piece.rows <= size for piece in pieces)
    assert [len(piece.read()["row"]) for piece in pieces] == [piece.rows for piece in pieces]
    found = read_all(pieces)
    assert found["row"].tolist() == list(range(start, stop))
    assert found["gene_id"].tolist() == [f"G{i}" for i in range(start, stop)]
    np.testing.assert_array_equal(found["sequence"], embeddings(start, stop))


def test_pieces_are_cut_at_the_borders_of_shards(store):
    pieces = complete_store(store, 0, 4, 5, 10).pieces(1, 10, 3)
    assert [piece.rows for piece in pieces] == [3, 1, 3, 2]
    names = [Path(piece.path).name[5:13] for piece in pieces]
    assert names == ["00000000", "00000004", "00000005", "00000005"]
    assert [piece.size_bytes for piece in pieces] == [piece.rows * (BINS * WIDTH * 2 + 8 * 4 + 48) for piece in pieces]


def test_small_shards_share_a_piece(store):
    rows = complete_store(store, 0, 2, 3, 5, 6, 10)
    pieces = rows.pieces(1, 10, 5)
    assert [piece.rows for piece in pieces] == [5, 4]
    assert [len(piece.read.args[0]) for piece in pieces] == [4, 1]
    found = read_all(pieces)
    assert found["row"].tolist() == list(range(1, 10))
    np.testing.assert_array_equal(found["sequence"], embeddings(1, 10))


def test_no_rows_are_no_pieces(store):
    assert complete_store(store, 0, 4).pieces(2, 2, 3) == []


def test_gene_ids_in_order(store):
    complete_store(store, 0, 4, 10)
    genes = [gene for shard in list_shards(store, "train") for gene in read_gene_ids(shard)]
    assert genes == [f"G{i}" for i in range(10)]


def test_a_shard_with_another_number_of_rows_is_refused(store):
    write_rows(store, 0, 4)
    folder = Path(store, "split=train")
    (folder / "rows-00000000-00000004.parquet").rename(folder / "rows-00000000-00000005.parquet")
    (shard,) = list_shards(store, "train")
    with pytest.raises(CheckpointError) as info:
        read_gene_ids(shard)
    sentence(info, shard.path, "holds 4 rows, not 5")
    rows = EmbeddingRows((shard,), (BINS, WIDTH), 2)
    with pytest.raises(CheckpointError, match="holds 4 rows, not 5"):
        rows.pieces(0, 2, 2)[0].read()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"nothing of the kind"])
def test_a_damaged_shard_is_named(store, content):
    touch(store, (0, 2))
    (shard,) = list_shards(store, "train")
    Path(shard.path).write_bytes(content)
    with pytest.raises(CheckpointError) as info:
        read_gene_ids(shard)
    assert shard.path in str(info.value)
    assert "remove that file and embed again" in str(info.value)


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_truncated_shard_is_named(store, keep):
    write_rows(store, 0, 4)
    (shard,) = list_shards(store, "train")
    content = Path(shard.path).read_bytes()
    Path(shard.path).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_gene_ids(shard)


def test_a_flipped_bit_in_the_numbers_is_found(store):
    """Compressed bytes of embeddings, most of which decompress to other numbers without a complaint."""
    write_rows(store, 0, 64)
    (shard,) = list_shards(store, "train")
    whole = Path(shard.path).read_bytes()
    with pq.ParquetFile(shard.path) as file:
        column = file.metadata.row_group(0).column(4)
        assert column.path_in_schema.startswith("embedding")
        first = column.data_page_offset if column.dictionary_page_offset is None else column.dictionary_page_offset
        last = first + column.total_compressed_size - 1
    rows = EmbeddingRows((shard,), (BINS, WIDTH), 2)
    for place in (first + 40, (first + last) // 2, last):
        Path(shard.path).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CheckpointError) as info:
            rows.pieces(0, 64, 64)[0].read()
        sentence(info, shard.path, "remove that file and embed again")


def test_shards_that_cannot_be_opened_are_found(store):
    for start in (0, 2, 4):
        write_rows(store, start, start + 2)
    _, second, third = list_shards(store, "train")
    assert damaged_shards(store, "train") == []
    Path(second.path).write_bytes(Path(second.path).read_bytes()[:-1])
    Path(third.path).write_bytes(b"")
    assert damaged_shards(store, "train") == [second, third]


def test_a_shard_that_could_not_be_looked_at_is_not_called_damaged(store, monkeypatch):
    write_rows(store, 0, 2)
    (shard,) = list_shards(store, "train")
    opened = pq.ParquetFile

    def without_descriptors(*args, **options):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            return opened(*args, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    monkeypatch.setattr(pq, "ParquetFile", without_descriptors)
    with pytest.raises(OSError, match="Too many open files") as found:
        remove_damaged(store, {"train": None})
    assert (found.value.errno, found.value.filename) == (errno.EMFILE, shard.path)

    def without_memory(*args, **options):
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr(pq, "ParquetFile", without_memory)
    with pytest.raises(MemoryError):
        remove_damaged(store, {"train": None})
    assert list_shards(store, "train") == [shard]


@pytest.mark.parametrize("place", [-1, -9, -40, -400, 2000, 100])
def test_flipped_bits_that_parquet_notices_are_damage_whatever_it_raises(store, place):
    """Its errors are of many kinds: of Arrow, of Python's text, and of the system but without a number."""
    write_rows(store, 0, 64)
    (shard,) = list_shards(store, "train")
    whole = Path(shard.path).read_bytes()
    rows = EmbeddingRows((shard,), (BINS, WIDTH), 2)
    for bit in range(8):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        Path(shard.path).write_bytes(flipped)
        with contextlib.suppress(CheckpointError):
            rows.pieces(0, 64, 64)[0].read()
        damaged_shards(store, "train")


def test_what_a_killed_writer_left_is_removed_and_no_shard_is(store):
    write_rows(store, 0, 2)
    (shard,) = list_shards(store, "train")
    for end in ("0123abcd.aside", "77"):
        Path(store, "split=train", f".rows-00000002-00000004.parquet.{end}").write_bytes(b"half")
    remove_leftovers(store)
    assert [str(path) for path in Path(store, "split=train").iterdir()] == [shard.path]


# The manifest


def test_manifest_round_trip(store):
    assert read_manifest(store) is None
    write_manifest(store, manifest())
    assert read_manifest(store) == manifest()
    assert json.loads(Path(store, MANIFEST).read_text())["schema_version"] == 2


@pytest.mark.parametrize(("window", "pooling"), [(24, "mean"), (20, "unweighted_mean")])
def test_what_schema_1_called_mean_is_known_where_the_last_bin_is_partial(store, window, pooling):
    write_manifest(store, manifest(schema_version=1, window=window))
    assert read_manifest(store).pooling == pooling


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights_sha256": "b" * 64}, "backbone weights (aaaaaaaaaaaa there, bbbbbbbbbbbb here)"),
        ({"window": 60}, "window (24 there, 60 here)"),
        ({"bin_size": 4}, "bin size (8 there, 4 here)"),
        ({"pooling": "max"}, "pooling (mean there, max here)"),
        ({"dtype": "float32"}, "dtype (float16 there, float32 here)"),
        ({"fingerprints": {"train": ["other"]}}, "data of the train split"),
        ({"fingerprints": {"train": ["f1", "more"], "valid": ["f2"]}}, "data of the train split"),
    ],
)
def test_what_makes_other_numbers_is_named(change, sentence):
    assert manifest().differences(manifest(**change)) == [sentence]


def test_all_differences_are_named():
    other = manifest(window=60, pooling="max", fingerprints={"train": ["x"], "valid": ["y"]})
    assert len(manifest().differences(other)) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"complete": False},
        {"package_version": "2"},
        {"rows": {"train": 3}},
        {"fingerprints": {}},
        {"fingerprints": {"test": ["f3"], "train": ["f1"]}},
    ],
)
def test_what_makes_the_same_numbers_is_no_difference(change):
    assert manifest().differences(manifest(**change)) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe", b'{"schema_version": 1}'])
def test_a_damaged_manifest_is_refused(store, content):
    Path(store).mkdir()
    Path(store, MANIFEST).write_bytes(content)
    with pytest.raises(CheckpointError) as info:
        read_manifest(store)
    sentence(info, Path(store, MANIFEST), "is damaged", "embed again")


@pytest.mark.parametrize("version", ["one", None])
def test_a_manifest_with_a_version_that_is_no_number_is_damaged(store, version):
    write_manifest(store, manifest())
    values = json.loads(Path(store, MANIFEST).read_text()) | {"schema_version": version}
    Path(store, MANIFEST).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="is damaged"):
        read_manifest(store)


def test_a_later_schema_is_refused(store):
    write_manifest(store, manifest(schema_version=3))
    with pytest.raises(CheckpointError) as info:
        read_manifest(store)
    sentence(info, store, "written by a later raygenex", "upgrade")


# Opening


def test_a_store_that_is_not_there_is_refused(store):
    with pytest.raises(CheckpointError) as info:
        open_store(store, "train")
    sentence(info, store, "there is no embedding store", "raygenex embed")


def test_a_split_that_is_not_there_is_refused(store):
    complete_store(store, 0, 4)
    with pytest.raises(CheckpointError) as info:
        open_store(store, "valid")
    sentence(info, store, "has no valid split", "raygenex embed")


def test_an_unfinished_store_is_refused(store):
    complete_store(store, 0, 4, 10)
    write_manifest(store, manifest(complete=False))
    with pytest.raises(CheckpointError) as info:
        open_store(store, "train")
    sentence(info, store, "is unfinished", "it continues")


def test_a_store_that_lost_a_shard_is_refused(store):
    complete_store(store, 0, 4, 10)
    Path(list_shards(store, "train")[0].path).unlink()
    with pytest.raises(CheckpointError, match="is unfinished"):
        open_store(store, "train")


def test_a_store_with_rows_too_many_is_refused(store):
    complete_store(store, 0, 4, 10)
    write_manifest(store, manifest(rows={"train": 8}))
    with pytest.raises(CheckpointError):
        open_store(store, "train")


def test_a_shard_is_known_by_its_range(store):
    write_rows(store, 3, 5, split="valid")
    path = str(Path(store, "split=valid", "rows-00000003-00000005.parquet"))
    assert list_shards(store, "valid") == [Part(path, 3, 5)]
