"""Writing promoter files."""

import h5py
import numpy as np
import pytest

from raygenex.data.hdf5.read import inspect, read_extra, read_locations, read_rows
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.errors import DataError
from raygenex.files.fingerprint import fingerprint
from raygenex.sequence import to_one_hot

PLACES = {
    "chrom": np.array(["I", "I", "II"], dtype=object),
    "tss": np.array([21, 190, 31]),
    "strand": np.array(["+", "-", "+"], dtype=object),
}
EXTRA = {"extra/half_life": np.array([1.5, np.nan, 3.25]), "extra/family": np.array(["kinase", "", "ä"], dtype=object)}


def block(n, window=3, first=0):
    """Return gene ids, sequences, half-life features and labels of n genes."""
    names = np.array([f"G{i}" for i in range(first, first + n)], dtype=object)
    sequence = np.full((n, window), 2, np.uint8)
    return names, sequence, np.full((n, 8), 0.5), np.arange(first, first + n) % 2


def test_round_trip_of_the_four_fields(tmp_path):
    rng = np.random.default_rng(1)
    sequences = rng.integers(0, 5, (150, 33)).astype(np.uint8)
    halflife = rng.normal(size=(150, 8)).astype(np.float32)
    label = rng.integers(0, 2, 150)
    names = [f"gene-{i}-ü" for i in range(150)]
    path = tmp_path / "deep" / "er" / "a.h5"
    with PromoterWriter(path, 33, chunk_rows=16, attrs={"genome": "toy"}) as writer:
        for first, last in [(0, 1), (1, 1), (1, 100), (100, 150)]:
            rows = slice(first, last)
            writer.append(names[rows], sequences[rows], halflife[rows], label[rows])
    file = inspect(str(path))
    assert (file.rows, file.chunk_rows) == (150, 16)
    block = read_rows(file, 0, 150)
    assert list(block["gene_id"]) == names
    np.testing.assert_array_equal(block["sequence"], sequences)
    np.testing.assert_array_equal(block["halflife"], halflife)
    np.testing.assert_array_equal(block["label"], label)
    with h5py.File(path, "r") as handle:
        assert handle.attrs["genome"] == "toy"
        assert handle["promoter"].dtype == bool
        np.testing.assert_array_equal(handle["promoter"][:], to_one_hot(sequences))
    assert [entry.name for entry in path.parent.iterdir()] == ["a.h5"]


def test_a_file_without_labels(tmp_path):
    path = str(tmp_path / "a.h5")
    with PromoterWriter(path, 3) as writer:
        writer.append(["a"], np.zeros((1, 3), np.uint8), np.zeros((1, 8)), None)
    assert not inspect(path, require_label=False).has_label


def test_nothing_is_left_after_an_error(tmp_path):
    def fail():
        with PromoterWriter(tmp_path / "a.h5", 3) as writer:
            writer.append(["a"], np.zeros((1, 3), np.uint8), np.zeros((1, 8)), np.zeros(1))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_kept(write, sentence):
    path = write()
    before = fingerprint(path)
    with pytest.raises(DataError) as info, PromoterWriter(path, 3):
        pass
    sentence(info, path, "--force")
    assert fingerprint(path) == before
    with PromoterWriter(path, 3, overwrite=True) as writer:
        writer.append(["a"], np.zeros((1, 3), np.uint8), np.zeros((1, 8)), np.zeros(1))
    assert inspect(path).rows == 1


def test_no_rows(tmp_path, sentence):
    with pytest.raises(DataError) as info, PromoterWriter(tmp_path / "a.h5", 3):
        pass
    sentence(info, "no genes", tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "hint"), [("s3://bucket/a.h5", "is a URL"), ("a-file/a.h5", "cannot be written")])
def test_a_place_that_cannot_be_written(tmp_path, monkeypatch, sentence, path, hint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    with pytest.raises(DataError) as info, PromoterWriter(path, 3):
        pass
    sentence(info, path, hint)


def test_round_trip_of_places_columns_and_attributes(tmp_path):
    path = str(tmp_path / "a.h5")
    attrs = {"window_first": -1, "genome_build": "TOY1", "halflife_scale": "log10"}
    with PromoterWriter(path, 3, chunk_rows=2, attrs=attrs) as writer:
        for rows in (slice(0, 1), slice(1, 3)):
            columns = {name: values[rows] for name, values in (PLACES | EXTRA).items()}
            names, *others = block(3)
            writer.append(names[rows], *(values[rows] for values in others), columns)
    file = inspect(path)
    assert (file.first, file.genome_build, file.halflife_scale) == (-1, "TOY1", "log10")
    assert (file.rows, file.has_locations, set(file.extra)) == (3, True, {"half_life", "family"})
    found = read_locations(file)
    for name, values in PLACES.items():
        assert getattr(found, name).tolist() == values.tolist()
    np.testing.assert_array_equal(read_extra(file, "half_life"), EXTRA["extra/half_life"])
    assert read_extra(file, "family").tolist() == EXTRA["extra/family"].tolist()
    assert read_rows(file, 0, 3)["label"].tolist() == [0, 1, 0]


def test_an_empty_first_block_decides_nothing(tmp_path):
    path = str(tmp_path / "a.h5")
    empty = {name: values[:0] for name, values in (PLACES | EXTRA).items()}
    with PromoterWriter(path, 3) as writer:
        # An empty text column has no values that show its type, and may even be absent.
        writer.append(*block(0), empty)
        writer.append(*block(0), {})
        writer.append(*block(3), PLACES | EXTRA)
        writer.append(*block(0), empty)
    file = inspect(path)
    assert (file.rows, file.has_locations, set(file.extra)) == (3, True, {"half_life", "family"})
    assert read_locations(file).chrom.tolist() == ["I", "I", "II"]


def test_columns_with_and_without_labels(tmp_path):
    path = str(tmp_path / "a.h5")
    names, sequence, halflife, _ = block(3)
    with PromoterWriter(path, 3) as writer:
        writer.append(names, sequence, halflife, None, PLACES)
    file = inspect(path, require_label=False)
    assert (file.has_label, file.has_locations) == (False, True)


def test_all_blocks_have_the_same_columns(tmp_path):
    def mixed():
        with PromoterWriter(tmp_path / "a.h5", 3) as writer:
            writer.append(*block(3), PLACES)
            writer.append(*block(3, first=3), EXTRA)

    with pytest.raises(AssertionError, match="columns in some blocks only"):
        mixed()
    assert list(tmp_path.iterdir()) == []
