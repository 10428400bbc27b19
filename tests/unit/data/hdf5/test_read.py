import errno
import os
import pickle
import tracemalloc

import h5py
import numpy as np
import pytest

from raygenex.data.hdf5 import read as hdf5
from raygenex.data.hdf5.read import inspect, iter_rows, read_extra, read_locations, read_rows, read_table
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.errors import DataError
from raygenex.sequence import centre_crop, from_string, to_string


@pytest.fixture
def places():
    """Return a function that adds places, and other fields, to a file of four genes; None leaves one out."""

    def add(path, **fields):
        values = {
            "chrom": np.array(["I", "I", "II", "Ⅲ"], dtype=object),
            "tss": np.array([21, 5_000_000_000, 7, 1]),
            "strand": np.array(["+", "-", "-", "+"], dtype=object),
        }
        with h5py.File(path, "r+") as handle:
            for name, value in (values | fields).items():
                if value is not None:
                    handle[name] = value
        return path

    return add


def test_inspect_reads_metadata(write):
    file = inspect(write(n=5, window=7))
    assert (file.rows, file.window, file.has_label, file.itemsize) == (5, 7, True, 1)
    assert file.stored_row_bytes == 28
    assert file.fields == {name: name for name in ("gene_id", "halflife", "promoter", "label")}


def test_promoter_file_survives_pickling(write):
    file = inspect(write())
    assert pickle.loads(pickle.dumps(file)) == file


def test_relative_path_becomes_absolute(write, tmp_path, monkeypatch):
    write("a.h5")
    monkeypatch.chdir(tmp_path)
    assert inspect("a.h5").path == str(tmp_path / "a.h5")


def test_chunk_rows_are_those_of_the_file(write):
    assert inspect(write(n=9, chunk_rows=3)).chunk_rows == 3


def test_contiguous_file_has_a_bounded_chunk(write):
    file = inspect(write(n=40, window=20000, promoter=np.zeros((40, 20000, 4), np.float32)))
    # 8 MiB are 26 rows of 20,000 x 4 x 4 bytes.
    assert file.chunk_rows == 26
    assert file.rows_within(1) == 1
    assert file.rows_within(2**40) == 40


def test_read_rows_gives_the_values_of_the_file(write, columns):
    values = columns(4, 6)
    block = read_rows(inspect(write()), 1, 3)
    assert list(block["gene_id"]) == ["G1", "G2"]
    assert [type(gene) for gene in block["gene_id"]] == [str, str]
    assert [to_string(row) for row in block["sequence"]] == ["ACGTNC", "ACGTNC"]
    np.testing.assert_array_equal(block["halflife"], values["halflife"][1:3])
    assert block["label"].tolist() == [1, 0]
    assert {name: array.dtype.str[1:] for name, array in block.items() if name != "gene_id"} == {
        "sequence": "u1",
        "halflife": "f4",
        "label": "u1",
    }


def test_xpresso_names_are_understood(write, columns):
    values = columns()
    path = write(gene_id=None, halflife=None, geneName=values["gene_id"], data=values["halflife"])
    file = inspect(path)
    assert file.fields["gene_id"] == "geneName"
    assert file.fields["halflife"] == "data"
    np.testing.assert_array_equal(read_table(file).halflife, values["halflife"])
    assert list(read_rows(file, 0, 1)["gene_id"]) == ["G0"]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
def test_one_hot_of_any_type_is_equal(write, columns, dtype):
    path = write(promoter=columns()["promoter"].astype(dtype))
    np.testing.assert_array_equal(read_rows(inspect(path), 0, 4)["sequence"], np.tile(from_string("ACGTNC"), (4, 1)))


def test_text_of_varying_length_and_wider_numbers_are_read(write, columns):
    values = columns()
    path = write(
        gene_id=np.array(["a", "bb", "ä", "d"], dtype=object),
        halflife=values["halflife"].astype(np.float64),
        label=np.array([0.0, 1.0, 1.0, 0.0]),
    )
    table = read_table(inspect(path))
    assert list(table.gene_id) == ["a", "bb", "ä", "d"]
    assert table.halflife.dtype == np.float32
    assert table.label is not None
    assert table.label.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("window", [60, 20000])
def test_any_window_length(write, window):
    file = inspect(write(n=2, window=window))
    assert file.window == window
    assert read_rows(file, 0, 2)["sequence"].shape == (2, window)


@pytest.mark.parametrize(
    ("length", "window", "expected"),
    [(6, 2, "GT"), (6, 3, "GTN"), (7, 3, "GTN"), (7, 2, "GT"), (6, 6, "ACGTNC"), (7, 1, "T")],
)
def test_centre_crop_by_hand(write, length, window, expected):
    # The middle base, number length // 2, is T here; it becomes number window // 2.
    file = inspect(write(window=length))
    assert to_string(read_rows(file, 0, 1, window)["sequence"][0]) == expected


@pytest.mark.parametrize(("length", "window"), [(20, 7), (21, 7), (20, 8), (21, 8), (21, 21)])
def test_crop_while_reading_is_centre_crop(write, length, window):
    file = inspect(write(window=length))
    whole = read_rows(file, 0, 4)["sequence"]
    np.testing.assert_array_equal(read_rows(file, 0, 4, window)["sequence"], centre_crop(whole, window))


def test_window_longer_than_promoters(write, sentence):
    path = write(window=6)
    with pytest.raises(DataError) as info:
        read_rows(inspect(path), 0, 1, window=7)
    sentence(info, path, 7, 6)


def test_iter_rows_are_read_rows(write):
    file = inspect(write(n=10, chunk_rows=4))
    blocks = list(iter_rows(file, 1, 9, 3, 4))
    assert [len(block["label"]) for block in blocks] == [3, 3, 2]
    whole = read_rows(file, 1, 9, 4)
    for name, expected in whole.items():
        np.testing.assert_array_equal(np.concatenate([block[name] for block in blocks]), expected)


def test_iter_rows_memory_is_bounded_by_the_block(tmp_path):
    path = str(tmp_path / "a.h5")
    with PromoterWriter(path, window=4000, chunk_rows=8) as writer:
        for first in range(0, 1600, 100):
            names = [f"G{i}" for i in range(first, first + 100)]
            writer.append(names, np.zeros((100, 4000), np.uint8), np.zeros((100, 8)), np.zeros(100))
    file = inspect(path)
    tracemalloc.start()
    count = sum(len(block["sequence"]) for block in iter_rows(file, 0, file.rows, 8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1600
    # All sequences are 6.4 MB and their one-hot 25.6 MB; a block of 8 rows is 128 kB of one-hot.
    assert peak < 2e6


def test_handle_is_closed_when_iteration_stops_early(write):
    path = write(n=10)
    rows = iter_rows(inspect(path), 0, 10, 2)
    next(rows)
    rows.close()
    with h5py.File(path, "r+") as handle:
        assert handle["label"].shape == (10,)


def test_file_without_labels(write, sentence):
    path = write(label=None)
    file = inspect(path, require_label=False)
    assert not file.has_label
    assert read_table(file).label is None
    assert "label" not in read_rows(file, 0, 1)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "label", "gene_id, halflife, promoter")


def test_missing_file(tmp_path, sentence):
    with pytest.raises(DataError) as info:
        inspect(str(tmp_path / "no.h5"))
    sentence(info, tmp_path / "no.h5", "does not exist")


def test_folder(tmp_path, sentence):
    with pytest.raises(DataError) as info:
        inspect(str(tmp_path))
    sentence(info, tmp_path, "is a folder", "*.h5")


@pytest.mark.parametrize("content", [b"", b"gene_id,label\n" * 100])
def test_not_hdf5(tmp_path, sentence, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(DataError) as info:
        inspect(str(tmp_path / "a.h5"))
    sentence(info, tmp_path / "a.h5", "is not an HDF5 file")


def test_truncated_hdf5(write, sentence):
    path = write(n=200)
    with open(path, "r+b") as stream:
        stream.truncate(3000)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "truncated", "download it again")


def test_damaged_chunk_names_the_rows(write, sentence):
    path = write(n=12, window=50, chunk_rows=4)
    with h5py.File(path, "r") as handle:
        chunk = handle["promoter"].id.get_chunk_info(1)
    with open(path, "r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\0" * chunk.size)
    file = inspect(path)
    assert len(read_rows(file, 0, 4)["label"]) == 4
    with pytest.raises(DataError) as info:
        read_rows(file, 2, 8)
    sentence(info, path, "rows 2 to 7", "damaged")


@pytest.mark.parametrize(("field", "accepted"), [("gene_id", "geneName"), ("halflife", "halflife or data")])
def test_missing_key(write, sentence, field, accepted):
    path = write(**{field: None})
    with pytest.raises(DataError) as info:
        inspect(path)
    present = sorted({"gene_id", "halflife", "promoter", "label"} - {field})
    sentence(info, path, field, accepted, ", ".join(present))


def test_promoters_under_another_name_are_not_overlooked(write, columns, sentence):
    path = write(promoter=None, promoters=columns()["promoter"])
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "no field promoter", "gene_id, halflife, label, promoters", "rename the field")


def test_a_file_without_promoters(write, places):
    file = inspect(places(write(promoter=None), strand=None))
    assert (file.rows, file.window, file.itemsize, file.stored_row_bytes) == (4, 0, 0, 0)
    assert (file.chunk_rows, file.rows_within(64), file.rows_within(0), file.first) == (4, 2, 1, None)
    places_found = read_locations(file)
    assert places_found.strand is None
    assert sorted(places_found.columns()) == ["chrom", "tss"]
    (block,) = iter_rows(file, 1, 3, 10)
    assert (block["sequence"].shape, block["sequence"].dtype) == ((2, 0), np.uint8)
    assert block["gene_id"].tolist() == ["G1", "G2"]
    assert block["label"].tolist() == [1, 0]


def test_no_bases_are_read_where_none_are_wanted(write, columns):
    one_hot = columns()["promoter"]
    one_hot[1, 2] = True
    assert read_rows(inspect(write(promoter=one_hot)), 0, 4, 0)["sequence"].shape == (4, 0)


def test_a_window_of_no_promoter(write, sentence):
    file = inspect(write(promoter=None))
    with pytest.raises(DataError) as info:
        read_rows(file, 0, 4, 6)
    sentence(info, file.path, "a window of 6 bases is longer", "0 bases")


def test_promoters_that_appear_after_the_check(write, columns, sentence):
    path = write(promoter=None)
    file = inspect(path)
    with h5py.File(path, "r+") as handle:
        handle["promoter"] = columns()["promoter"]
    with pytest.raises(DataError) as info:
        read_table(file)
    sentence(info, path, "was changed after it was checked")


@pytest.mark.parametrize("there", [("chrom",), ("tss",), ("strand",), ("chrom", "strand")])
def test_some_of_the_places_are_refused_without_promoters_too(write, places, sentence, there):
    path = places(write(promoter=None), **{name: None for name in ("chrom", "tss", "strand") if name not in there})
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, f"has {there[0]} but no")


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("promoter", np.zeros((4, 4, 6), bool), "swap the last two axes"),
        ("promoter", np.zeros((4, 24), bool), "(N, L, 4)"),
        ("promoter", np.zeros((4, 6, 5), bool), "(N, L, 4)"),
        ("promoter", np.zeros((4, 0, 4), bool), "no bases"),
        ("halflife", np.zeros((4, 7)), "ORFEXONDENSITY"),
        ("halflife", np.zeros(4), "(N, 8)"),
        ("label", np.zeros((4, 1)), "(N,)"),
        ("gene_id", np.full((4, 1), b"x"), "(N,)"),
    ],
)
def test_wrong_shape(write, sentence, field, value, hint):
    path = write(**{field: value})
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, field, value.shape, hint)


def test_fields_that_differ_in_rows(write, sentence):
    path = write(n=4, label=np.zeros(3))
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "label 3", "promoter 4")


def test_empty_file(write, sentence):
    path = write(n=0)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "no genes")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gene_id", np.arange(4)),
        ("halflife", np.full((4, 8), b"1.0")),
        ("label", np.array([b"high"] * 4)),
        ("promoter", np.full((4, 6, 4), b"0")),
    ],
)
def test_wrong_type(write, sentence, field, value):
    path = write(**{field: value})
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, field, value.dtype)


def test_two_bases_hot_at_once(write, columns, sentence):
    one_hot = columns()["promoter"]
    one_hot[2, 3] = [True, False, False, True]
    path = write(promoter=one_hot)
    with pytest.raises(DataError) as info:
        read_rows(inspect(path), 0, 4)
    sentence(info, path, "G2", "position 3", "two bases")
    with pytest.raises(DataError) as info:
        read_rows(inspect(path), 2, 3, window=2)
    sentence(info, path, "G2", "position 3")


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, np.nan])
def test_one_hot_of_other_values(write, columns, sentence, value):
    one_hot = columns()["promoter"].astype(np.float32)
    one_hot[1, 5, 2] = value
    path = write(promoter=one_hot)
    with pytest.raises(DataError) as info:
        read_rows(inspect(path), 0, 4)
    sentence(info, path, "G1", "position 5", value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_halflife(write, columns, sentence, value):
    halflife = columns()["halflife"]
    halflife[3, 5] = value
    path = write(halflife=halflife)
    with pytest.raises(DataError) as info:
        read_table(inspect(path))
    sentence(info, path, "G3", "CDSGC", value, "row 3")
    with pytest.raises(DataError) as info:
        read_rows(inspect(path), 2, 4)
    sentence(info, "row 3")


@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan])
def test_label_other_than_0_and_1(write, sentence, value):
    path = write(label=np.array([0, 1, value, 0]))
    with pytest.raises(DataError) as info:
        read_table(inspect(path))
    sentence(info, path, "G2", value, "0 (low) or 1 (high)")


def test_duplicate_gene_id(write, sentence):
    path = write(gene_id=np.array([b"x", b"y", b"z", b"y"]))
    with pytest.raises(DataError) as info:
        read_table(inspect(path))
    sentence(info, path, "gene y", "rows 1 and 3")


def test_empty_gene_id(write, sentence):
    path = write(gene_id=np.array([b"x", b"", b"z", b"y"]))
    with pytest.raises(DataError) as info:
        read_table(inspect(path))
    sentence(info, path, "row 1", "empty")


def test_gene_id_that_is_not_utf8(write, sentence):
    path = write(gene_id=np.array([b"x", b"\xff", b"z", b"y"]))
    with pytest.raises(DataError) as info:
        read_table(inspect(path))
    sentence(info, path, "UTF-8")


def test_file_changed_after_inspection(write, sentence):
    file = inspect(write(n=4))
    write(n=3)
    with pytest.raises(DataError) as info:
        read_rows(file, 0, 4)
    sentence(info, file.path, "changed")


# What files of `data build` have beside the four fields


def test_files_without_more_say_nothing_more(write):
    file = inspect(write())
    assert (file.has_locations, file.extra, file.first, file.genome_build) == (False, (), None, None)
    assert file.halflife_scale == "z-score"
    assert read_locations(file) is None


def test_places(write, places):
    file = inspect(places(write()))
    assert file.has_locations
    found = read_locations(file)
    assert found.chrom.tolist() == ["I", "I", "II", "Ⅲ"]
    assert found.tss.tolist() == [21, 5_000_000_000, 7, 1]
    assert found.tss.dtype == np.int64
    assert found.strand.tolist() == ["+", "-", "-", "+"]
    assert {type(value) for value in (*found.chrom, *found.strand)} == {str}
    # The four fields read as ever.
    assert list(read_table(file).gene_id) == ["G0", "G1", "G2", "G3"]


def test_places_of_fixed_width_text(write, places):
    path = places(write(), chrom=np.array([b"I", b"I", b"II", b"X"]), strand=np.array([b"+", b"-", b"-", b"+"]))
    found = read_locations(inspect(path))
    assert (found.chrom.tolist(), found.strand.tolist()) == (["I", "I", "II", "X"], ["+", "-", "-", "+"])


@pytest.mark.parametrize(
    ("there", "missing"),
    [(("chrom",), "tss"), (("tss",), "chrom"), (("chrom", "tss"), "strand"), (("chrom", "strand"), "tss")],
)
def test_some_of_the_places_are_refused(write, places, sentence, there, missing):
    absent = {name: None for name in ("chrom", "tss", "strand") if name not in there}
    path = places(write(), **absent)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, f"has {there[0]} but no {missing}", "write all of chrom, tss and strand")


def test_places_of_other_rows_are_refused(write, places, sentence):
    path = places(write(), tss=np.array([1, 2, 3]))
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "has chrom but no tss of 4 rows")


@pytest.mark.parametrize(("field", "value"), [("tss", np.array([1.0, 2, 3, 4])), ("chrom", np.array([1, 1, 2, 3]))])
def test_places_of_another_type_are_refused(write, places, sentence, field, value):
    path = places(write(), **{field: value})
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "chrom and strand must hold text and tss whole numbers")


@pytest.mark.parametrize("value", ["", "1", "plus", "."])
def test_a_strand_that_is_none(write, places, sentence, value):
    path = places(write(), strand=np.array(["+", "-", value, "+"], dtype=object))
    file = inspect(path)
    with pytest.raises(DataError) as info:
        read_locations(file)
    sentence(info, path, "the strand in row 2", repr(value), "write + or -")


@pytest.mark.parametrize("field", ["chrom", "extra/family"])
def test_text_of_places_and_columns_that_is_not_utf8(write, places, sentence, field):
    path = places(write(), **{field: np.array([b"a", b"\xff", b"c", b"d"])})
    file = inspect(path)
    with pytest.raises(DataError) as info:
        read_extra(file, "family") if "/" in field else read_locations(file)
    sentence(info, path, field, "rows 0 to 3", "not UTF-8")


def test_columns_of_the_user(write, places):
    family = np.array(["kinase", "", "ä", "x"], dtype=object)
    path = places(write(), **{"extra/half_life": np.array([1.5, np.nan, 3, 4], "f4"), "extra/family": family})
    with h5py.File(path, "r+") as handle:
        handle["extra/count"] = np.array([1, 2, 3, 4], "u1")
        # What is no column of the genes is not one of the user's.
        handle["extra/matrix"] = np.zeros((4, 2))
        handle["extra/short"] = np.zeros(3)
        handle.create_group("extra/group")
    file = inspect(path)
    assert set(file.extra) == {"half_life", "family", "count"}
    np.testing.assert_array_equal(read_extra(file, "half_life"), [1.5, np.nan, 3, 4])
    assert read_extra(file, "count").dtype == read_extra(file, "half_life").dtype == np.float64
    assert read_extra(file, "family").tolist() == ["kinase", "", "ä", "x"]
    with pytest.raises(AssertionError):
        read_extra(file, "matrix")


def test_a_field_named_extra_is_no_group(write, places):
    assert inspect(places(write(), extra=np.arange(4))).extra == ()


def test_attributes(write):
    path = write()
    with h5py.File(path, "r+") as handle:
        handle.attrs.update({"window_first": np.int64(-3), "genome_build": "R64-1-1", "halflife_scale": "log10"})
    file = inspect(path)
    assert (file.first, file.genome_build, file.halflife_scale) == (-3, "R64-1-1", "log10")
    assert pickle.loads(pickle.dumps(file)) == file


def test_an_unknown_scale_is_refused(write, sentence):
    path = write()
    with h5py.File(path, "r+") as handle:
        handle.attrs["halflife_scale"] = "ln"
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "halflife_scale is 'ln'", "z-score or log10")


@pytest.mark.parametrize(("name", "rows"), [("train", 12681), ("valid", 989)])
def test_core60_counts(shared_data, name, rows):
    file = inspect(str(shared_data / "core60" / f"{name}.h5"))
    assert (file.rows, file.window) == (rows, 60)
    assert len(read_table(file).gene_id) == rows


def test_core60_first_gene(shared_data):
    block = read_rows(inspect(str(shared_data / "core60" / "train.h5")), 0, 1)
    assert block["gene_id"][0] == "ENSG00000000003"
    assert to_string(block["sequence"][0]) == "GGACGCTCGTAAGTTTTCGGCAGTTTCCGGGGAGACTCGGGGACTCCGCGTCTCGCTCTC"
    assert block["label"][0] == 1


def test_human20k(shared_data):
    file = inspect(str(shared_data / "human20k" / "promoters.h5"))
    assert (file.rows, file.window) == (90, 20000)
    block = read_rows(file, 0, 2, window=20)
    assert to_string(block["sequence"][0]) == "AGCGGCCTTCAGTCCAATTC"
    assert block["label"].tolist() == [1, 0]


def test_what_this_package_does_wrong_is_no_damaged_file(write, monkeypatch):
    file = inspect(write())

    def wrong(*arguments):
        raise TypeError("unsupported operand")

    monkeypatch.setattr(hdf5, "check_columns", wrong)
    for read in (lambda: read_table(file), lambda: read_rows(file, 0, 2), lambda: list(iter_rows(file, 0, 2, 1))):
        with pytest.raises(TypeError, match="unsupported operand"):
            read()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_an_error_of_the_disk_is_no_damaged_file(write, monkeypatch, number):
    file = inspect(write())

    def told(dataset, key):
        # As HDF5 quotes the system: the time ends in a line break.
        raise OSError(f"Can't read data (file read failed: time = Mon\n, filename = 'a.h5', errno = {number}, ...)")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", told)
    with pytest.raises(OSError, match=os.strerror(number)) as info:
        read_table(file)
    assert (info.value.errno, info.value.filename) == (number, file.path)


def test_a_disk_that_fails_while_a_file_is_opened_is_no_damaged_file(write, monkeypatch):
    path = write()

    def fails(*arguments, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(h5py, "File", fails)
    with pytest.raises(OSError, match="Input/output error") as info:
        inspect(path)
    assert info.value.filename == path


@pytest.mark.parametrize("error", [OSError("wrong checksum"), RuntimeError("bad heap"), KeyError("no such object")])
def test_what_h5py_raises_on_a_damaged_file_is_one_sentence(write, monkeypatch, error):
    file = inspect(write())

    def fails(dataset, key):
        raise error

    monkeypatch.setattr(h5py.Dataset, "__getitem__", fails)
    with pytest.raises(DataError, match="is damaged"):
        read_table(file)
