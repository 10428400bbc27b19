"""Reading every promoter of a split once."""

import numpy as np
import pytest

from raygenex.config.data import DataConfig
from raygenex.data.check import scan as module
from raygenex.data.check.scan import leak_genes, scan
from raygenex.data.hdf5.read import read_rows
from raygenex.data.opening import extra_columns, locations, open_splits, window_offsets
from raygenex.data.sketches import sequence_digests, sketch
from raygenex.errors import DataError
from raygenex.sequence import centre_crop, from_string, to_one_hot


def text(*values):
    return np.array(values, dtype=object)


@pytest.fixture
def split():
    """Return a function that opens files as train."""

    def opened(*paths, window=None):
        return open_splits(DataConfig(train=paths, window=window), ("train",))["train"]

    return opened


def test_counts_by_hand(write, split):
    bases = to_one_hot(np.stack([from_string(text) for text in ("ACGN", "ACTT", "NCGA")]))
    found = scan(split(write(n=3, promoter=bases)))
    # A, C, G, T and unknown at each of the four positions.
    assert found.counts.tolist() == [[2, 0, 0, 0, 1], [0, 3, 0, 0, 0], [0, 0, 2, 1, 0], [1, 0, 0, 1, 1]]
    assert found.with_unknown == 2


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_the_result_does_not_depend_on_blocks_and_files(write, split, monkeypatch, rows):
    bases = np.random.default_rng(0).integers(0, 5, (10, 30)).astype(np.uint8)
    one_hot = to_one_hot(bases)
    paths = [
        write("a.h5", n=7, window=30, promoter=one_hot[:7]),
        write("b.h5", n=3, window=30, prefix="B", promoter=one_hot[7:]),
    ]
    monkeypatch.setattr(module, "BLOCK_BYTES", rows * 30 * 4)
    seen = []
    found = scan(split(*paths), seen.append)
    np.testing.assert_array_equal(np.concatenate(seen), bases)
    assert len(seen) == {1: 10, 3: 4, 100: 2}[rows]
    np.testing.assert_array_equal(found.digests, sequence_digests(bases))
    np.testing.assert_array_equal(found.sketches, sketch(bases))
    assert found.counts.sum() == 300
    assert found.with_unknown == (bases == 4).any(axis=1).sum()


def test_what_is_read_is_what_the_run_reads(write, split):
    bases = np.random.default_rng(1).integers(0, 4, (4, 21)).astype(np.uint8)
    path = write(window=21, promoter=to_one_hot(bases))
    found = scan(split(path, window=20))
    assert found.counts.shape == (20, 5)
    np.testing.assert_array_equal(found.sketches, sketch(centre_crop(bases, 20)))


def test_a_base_that_is_none(write, columns, split, sentence):
    one_hot = columns(window=20)["promoter"]
    one_hot[2, 5] = True
    path = write(window=20, promoter=one_hot)
    with pytest.raises(DataError) as info:
        scan(split(path))
    sentence(info, path, "G2", "position 5")


def test_places_of_several_files(built, write, split):
    a, b = built("a.h5", [30, 50]), built("b.h5", [70, 90], chrom=["II", "III"], strand="-+", prefix="B")
    found = locations(split(a, b))
    assert (found.chrom.tolist(), found.tss.tolist()) == (["I", "I", "II", "III"], [30, 50, 70, 90])
    assert found.strand.tolist() == ["+", "+", "-", "+"]
    none = write("c.h5", window=40, prefix="C", n=4)
    assert locations(open_mixed(a, none)) is None


def open_mixed(*paths):
    """Open files of different scales of the half-life features, which a run refuses."""
    splits = [open_splits(DataConfig(train=path), ("train",))["train"] for path in paths]
    first = splits[0]
    return type(first)(
        "train",
        tuple(file for split in splits for file in split.files),
        tuple(table for split in splits for table in split.tables),
        first.window,
        sum(split.rows for split in splits),
    )


@pytest.mark.parametrize(
    ("stored", "first", "window", "offsets"),
    [
        (40, -20, None, (-20, 20)),
        (40, -20, 10, (-5, 5)),
        (40, -30, 10, (-15, -5)),
        # Base 41 // 2 = 20 stays the middle: it becomes base 10 // 2 = 5.
        (41, -20, 10, (-5, 5)),
        (41, -20, 11, (-5, 6)),
        (40, 0, None, (0, 40)),
    ],
)
def test_window_offsets_by_hand(built, split, stored, first, window, offsets):
    path = built("a.h5", [100, 200], window=stored, first=first)
    assert window_offsets(split(path, window=window)) == offsets


def test_the_cropped_window_holds_the_bases_it_says(built, split):
    path = built("a.h5", [100, 200], window=41, first=-13)
    whole, cut = split(path), split(path, window=12)
    (low, _), (first, stop) = window_offsets(whole), window_offsets(cut)
    expected = read_rows(whole.files[0], 0, 2)["sequence"][:, first - low : stop - low]
    np.testing.assert_array_equal(read_rows(cut.files[0], 0, 2, cut.window)["sequence"], expected)


def test_windows_that_differ_have_no_common_offsets(built, split):
    same = [built(f"{name}.h5", [100, 200], prefix=name) for name in "ab"]
    assert window_offsets(split(*same)) == (-20, 20)
    other = built("c.h5", [100, 200], prefix="c", first=-19)
    assert window_offsets(split(*same, other)) is None
    unknown = built("d.h5", [100, 200], prefix="d", first=None)
    assert window_offsets(split(*same, unknown)) is None


def test_windows_of_several_lengths_may_agree_when_cut(built, split):
    short = built("a.h5", [100, 200], prefix="a", window=20, first=-10)
    long = built("b.h5", [100, 200], prefix="b", window=40, first=-20)
    assert window_offsets(split(short, long, window=10)) == (-5, 5)


def test_columns_that_every_file_has(built, split):
    a = built("a.h5", [1, 2], extra={"life": [1.5, np.nan], "family": text("x", ""), "only": [1.0, 2.0]})
    b = built("b.h5", [1, 2], prefix="B", extra={"family": text("", "y"), "life": [3.0, 4.0]})
    found = extra_columns(split(a, b))
    assert set(found) == {"life", "family"}
    np.testing.assert_array_equal(found["life"], [1.5, np.nan, 3, 4])
    assert found["family"].tolist() == ["x", "", "", "y"]
    assert extra_columns(split(built("c.h5", [1, 2], prefix="C"))) == {}


def test_what_the_search_for_leaks_gets(built, write, split):
    opened = split(built("a.h5", [30, 50], strand="+-"))
    genes = leak_genes(opened, scan(opened))
    assert (genes.gene_id.tolist(), genes.window) == (["G0", "G1"], (-20, 20))
    assert (genes.chrom.tolist(), genes.tss.tolist(), genes.strand.tolist()) == (["I", "I"], [30, 50], ["+", "-"])
    assert len(genes.digests) == len(genes.promoter_sketch) == 2
    elsewhere = split(write("b.h5"))
    bare = leak_genes(elsewhere, scan(elsewhere))
    assert [getattr(bare, name) for name in ("chrom", "tss", "strand", "window")] == [None] * 4
