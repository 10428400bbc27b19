"""Putting a data set together."""

import csv
import warnings

import numpy as np
import pytest

from raygenex.data.build.assemble import GeneRows, rule_counts, split_counts, write_genes, write_splits
from raygenex.data.build.extract import Extracted
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.read import inspect, read_extra, read_locations, read_rows, read_table
from raygenex.data.hdf5.schema import Locations

WINDOW = 12
SPLITS = ["train", "valid", "train", "train", "test"]


def text(*values):
    return np.array(values, dtype=object)


def gene_rows(count=5, **replace):
    values = {
        "gene_id": text(*(f"G{i}" for i in range(count))),
        "locations": Locations(text(*["I"] * count), 100 + np.arange(count), text(*"+-+-+"[:count])),
        "transcript_id": text(*(f"G{i}_t" for i in range(count))),
        "rule": text(*["only", "canonical", "only", "only", "tie"][:count]),
        "expression": np.array([1234567.89, 0.1, 2, 3, 4])[:count],
        "label": np.array([1, 0, 0, 1, 1], np.uint8)[:count],
        "halflife": np.random.default_rng(0).normal(size=(count, 8)),
        "extra": {
            "life": np.array([1.5, np.nan, 3, 4, 5])[:count],
            "family": text("kinase", "", "", "a\tb", "x")[:count],
        },
    }
    return GeneRows(**values | replace)


@pytest.fixture
def batches(tmp_path):
    """Five promoters in three batches, of 2, 2 and 1 genes."""
    promoters = np.random.default_rng(1).integers(0, 5, (5, WINDOW)).astype(np.uint8)
    found = []
    for number, (start, stop) in enumerate([(0, 2), (2, 4), (4, 5)]):
        path = tmp_path / f"{number}.npy"
        np.save(path, promoters[start:stop])
        count = stop - start
        found.append(
            Extracted(number, str(path), np.zeros((count, 8)), np.zeros(count), np.zeros(count, bool), None, None)
        )
    return found, promoters


def read_tsv(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_every_gene_goes_whole_into_the_file_of_its_split(batches, tmp_path):
    found, promoters = batches
    rows, seen = gene_rows(), []
    attrs = {"window_first": -6, "halflife_scale": "log10", "genome_build": "TOY1"}
    write_splits(tmp_path, rows, text(*SPLITS), found, attrs, lambda count, note: seen.append((count, note)))
    assert seen == [(2, ""), (2, ""), (1, "")]
    for name, where in (("train", [0, 2, 3]), ("valid", [1]), ("test", [4])):
        file = inspect(str(tmp_path / f"{name}.h5"))
        assert (file.window, file.first, file.halflife_scale, file.genome_build) == (12, -6, "log10", "TOY1")
        block, places = read_rows(file, 0, file.rows), read_locations(file)
        assert block["gene_id"].tolist() == [f"G{i}" for i in where]
        np.testing.assert_array_equal(block["sequence"], promoters[where])
        np.testing.assert_array_equal(block["halflife"], rows.halflife[where].astype(np.float32))
        assert block["label"].tolist() == rows.label[where].tolist()
        assert places.tss.tolist() == [100 + i for i in where]
        assert places.strand.tolist() == rows.locations.strand[where].tolist()
        np.testing.assert_array_equal(read_extra(file, "life"), rows.extra["life"][where])
        assert read_extra(file, "family").tolist() == rows.extra["family"][where].tolist()


def test_a_split_without_genes_has_no_file(batches, tmp_path):
    # The first batch holds no gene of valid.
    splits = text("train", "train", "train", "valid", "train")
    write_splits(tmp_path, gene_rows(), splits, batches[0], {}, lambda count, note: None)
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["train.h5", "valid.h5"]
    assert read_table(inspect(str(tmp_path / "valid.h5"))).gene_id.tolist() == ["G3"]


def test_genes_without_places_and_columns(batches, tmp_path):
    rows = gene_rows(locations=None, extra={})
    assert rows.columns() == {}
    write_splits(tmp_path, rows, text(*SPLITS), batches[0], {}, lambda count, note: None)
    file = inspect(str(tmp_path / "train.h5"))
    assert (file.has_locations, file.extra, file.first) == (False, (), None)


def test_an_error_leaves_no_file(batches, tmp_path):
    def fail(count, note):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_splits(tmp_path, gene_rows(), text(*SPLITS), batches[0], {}, fail)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy"] * 3


def test_the_list_of_genes_has_every_gene(tmp_path):
    path = tmp_path / "genes.tsv"
    rows = gene_rows()
    write_genes(path, rows, text(*SPLITS), {"R": "biotype tRNA", "Q": "no expression"})
    found = read_tsv(path)
    assert [row["gene_id"] for row in found] == ["G0", "G1", "G2", "G3", "G4", "R", "Q"]
    first, others = found[0], found[5:]
    assert list(first) == [
        *("gene_id", "split", "reason", "chrom", "tss", "strand", "transcript_id", "transcript_rule"),
        *("expression", "label", *HALFLIFE_FEATURES, "life", "family"),
    ]
    assert [first[name] for name in ("split", "reason", "chrom", "tss", "strand")] == ["train", "", "I", "100", "+"]
    assert [first[name] for name in ("transcript_id", "transcript_rule", "label")] == ["G0_t", "only", "1"]
    assert first["expression"] == "1.23457e+06"
    for i, name in enumerate(HALFLIFE_FEATURES):
        assert float(first[name]) == pytest.approx(rows.halflife[0, i], rel=1e-5)
    assert [row["life"] for row in found[:3]] == ["1.5", "", "3"]
    assert found[3]["family"] == "a\tb"
    assert [row["reason"] for row in others] == ["biotype tRNA", "no expression"]
    for row in others:
        assert {value for name, value in row.items() if name not in ("gene_id", "reason")} == {""}


def test_the_list_without_dropped_genes_places_and_columns(tmp_path):
    path = tmp_path / "genes.tsv"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_genes(path, gene_rows(locations=None, extra={}), text(*SPLITS), {})
    found = read_tsv(path)
    assert len(found) == 5
    assert "chrom" not in found[0]
    assert {row["reason"] for row in found} == {""}
    assert [row["label"] for row in found] == ["1", "0", "0", "1", "1"]


def test_columns_that_bear_a_name_of_ours(tmp_path):
    path = tmp_path / "genes.tsv"
    rows = gene_rows(extra={"split": text(*"abcde"), "UTR5LEN": np.arange(5.0)})
    write_genes(path, rows, text(*SPLITS), {})
    found = read_tsv(path)
    assert [row["split"] for row in found] == SPLITS
    assert [row["extra_split"] for row in found] == list("abcde")
    assert float(found[1]["UTR5LEN"]) == pytest.approx(rows.halflife[1, 0], rel=1e-5)
    assert found[1]["extra_UTR5LEN"] == "1"


def test_counts():
    rows = gene_rows()
    assert split_counts(rows, text(*SPLITS)) == {
        "train": {"genes": 3, "high": 2, "low": 1},
        "valid": {"genes": 1, "high": 0, "low": 1},
        "test": {"genes": 1, "high": 1, "low": 0},
    }
    assert list(split_counts(rows, text(*["train"] * 5))) == ["train"]
    assert list(rule_counts(rows).items()) == [("only", 3), ("canonical", 1), ("tie", 1)]
