"""Data sets of half-life features alone, from the table to the files and what is said of them."""

import json

import numpy as np
import pytest
from toy_features import HEADER, toy_features, write_features

from raygenex.config.data import CheckConfig
from raygenex.config.load import parse_config
from raygenex.data.build import run as build_module
from raygenex.data.build.run import build
from raygenex.data.check.check import check
from raygenex.data.check.describe import render_check
from raygenex.data.check.page import render_page
from raygenex.data.hdf5.read import inspect, read_locations, read_rows
from raygenex.data.opening import open_splits
from raygenex.data.rows import PromoterRows
from raygenex.data.splits.resplit import resplit
from raygenex.errors import ConfigError, DataError

SPLIT = {"rule": "chromosome", "valid": [3], "test": [4]}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return a function that writes a table and makes the configuration of a build of it, without Ray."""

    def extract(*_):
        raise AssertionError("there is nothing to extract")

    monkeypatch.setattr(build_module, "extract", extract)

    def make(rows=None, header=HEADER, split=SPLIT, data=None, **settings):
        table = write_features(tmp_path / "table.tsv", toy_features() if rows is None else rows, header)
        paths = {name: str(tmp_path / "out" / f"{name}.h5") for name in ("train", "valid", "test")}
        values = {"features": table, "promoters": False} | settings
        return parse_config({"data": paths | (data or {}), "build": values, "split": split}, "test")

    return make


@pytest.fixture
def made(config, tmp_path):
    """The configuration of a data set that is built."""
    found = config()
    build(found, tmp_path / "out")
    return found


# Building


def test_the_files_hold_the_table(config, tmp_path):
    rows = toy_features()
    result = build(config(rows), tmp_path / "out")
    assert result.rows == {"train": 12, "valid": 6, "test": 6}
    assert result.positives == {"train": 6, "valid": 3, "test": 3}
    assert (result.dropped, result.threshold, result.reused) == ({}, None, False)
    table = {row[0]: row for row in rows}
    for name, chroms in (("train", {"1", "2"}), ("valid", {"3"}), ("test", {"4"})):
        file = inspect(result.files[name])
        assert (file.window, file.halflife_scale, file.first, "promoter" in file.fields) == (0, "z-score", None, False)
        block, places = read_rows(file, 0, file.rows), read_locations(file)
        assert set(places.chrom) == chroms
        assert places.strand is None
        for i, gene in enumerate(block["gene_id"]):
            assert places.tss[i] == int(table[gene][2])
            np.testing.assert_allclose(block["halflife"][i], np.array(table[gene][3:11], float), rtol=1e-6)
            assert block["label"][i] == int(table[gene][11])
    # The order of the table stays.
    genes = read_rows(inspect(result.files["train"]), 0, 12)["gene_id"].tolist()
    assert genes == [row[0] for row in rows if row[1] in "12"]


def test_the_manifest_says_that_there_are_no_windows(made, tmp_path):
    record = json.loads((tmp_path / "out" / "build.json").read_text())
    assert (record["window"], record["unknown_bases"], record["start_codons"]) == (None, None, None)
    assert record["settings"]["build"]["promoters"] is False
    assert build(made, tmp_path / "out").reused


def test_why_genes_stay_out(config, tmp_path):
    rows = toy_features()
    rows[0][3] = ""
    rows[1][2] = ""
    rows[2][1] = ""
    rows[4][11] = ""
    result = build(config(rows, chromosomes=["1", "3", "4"]), tmp_path / "out")
    assert result.dropped == {
        "chromosome not chosen": 5,
        "no chromosome or TSS": 2,
        "no value of a half-life feature": 1,
        "no label": 1,
    }
    assert sum(result.rows.values()) == 15


def test_a_table_without_places(config, tmp_path):
    header = tuple(name for name in HEADER if name not in ("chrom", "TSS"))
    rows = [[row[0], *row[3:]] for row in toy_features()]
    result = build(config(rows, header, split={"rule": "random"}), tmp_path / "out")
    assert not inspect(result.files["train"]).has_locations
    assert sum(result.rows.values()) == 24


def test_strands_are_kept_where_they_are(config, tmp_path):
    rows = [[*row, "+-"[i % 2]] for i, row in enumerate(toy_features())]
    result = build(config(rows, (*HEADER, "strand")), tmp_path / "out")
    assert read_locations(inspect(result.files["valid"])).strand.tolist() == ["+"] * 6
    assert read_locations(inspect(result.files["test"])).strand.tolist() == ["-"] * 6


def test_labels_of_an_expression_table(config, tmp_path):
    expression = tmp_path / "expression.tsv"
    expression.write_text("gene_id\tfpkm\n" + "".join(f"G{i}\t{i}\n" for i in range(24)))
    result = build(config(label={"table": str(expression)}), tmp_path / "out")
    assert result.threshold == 11.5
    assert sum(result.positives.values()) == 12


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"split": {"rule": "similarity"}}, ConfigError, ["similarity compares promoters", "chromosome, group"]),
        ({"chromosomes": ["chr*"]}, DataError, ["nothing matches 'chr*'", "1, 2, 3, 4"]),
        ({"promoters": True}, DataError, ["has no promoters", "set build.promoters to false"]),
        (
            {"header": ("id", *HEADER[1:])},
            DataError,
            ["no column gene_id"],
        ),
    ],
)
def test_what_cannot_be_built(config, tmp_path, sentence, change, error, words):
    with pytest.raises(error) as info:
        build(config(**change), tmp_path / "out")
    sentence(info, *words)
    assert not (tmp_path / "out").exists()


def test_places_that_a_rule_needs(config, tmp_path, sentence):
    header = tuple(name for name in HEADER if name not in ("chrom", "TSS"))
    rows = [[row[0], *row[3:]] for row in toy_features()]
    with pytest.raises(DataError) as info:
        build(config(rows, header), tmp_path / "out")
    sentence(info, "24 of 24 genes", "have no chromosome", "split.rule")
    with pytest.raises(DataError) as info:
        build(config(rows, header, chromosomes=["1"]), tmp_path / "out")
    sentence(info, "no column chrom", "build.chromosomes")


# Opening


def test_rows_have_sequences_of_no_bases(made):
    split = open_splits(made.data, ("train", "valid"))["train"]
    assert (split.window, split.rows) == (0, 12)
    rows = PromoterRows(split.files, split.window, "train")
    assert rows.row_bytes > 0
    read = [piece.read() for piece in rows.pieces(0, rows.count, 5)]
    assert [part["sequence"].shape for part in read] == [(5, 0), (5, 0), (2, 0)]


def test_some_files_with_promoters_are_refused(made, write, sentence):
    path = write("with.h5", prefix="W")
    for train in (path, [made.data.train[0], path]):
        data = made.data.model_copy(update={"train": (train,) if isinstance(train, str) else tuple(train)})
        with pytest.raises(DataError) as info:
            open_splits(data, ("train", "valid"))
        sentence(info, f"{path} has promoters", ".h5 has none", made.data.valid[0] if train == path else train[0])


def test_a_window_of_nothing_is_refused(config, made, sentence):
    with pytest.raises(DataError) as info:
        open_splits(config(data={"window": 60}).data, ("train",))
    sentence(info, "data.window is 60", made.data.train[0], "leave data.window out")


# Checking and describing


def test_what_is_not_there_is_not_reported_as_nought(made):
    seen = []
    report = check(made.data, CheckConfig(neighbours=5000), lambda done, total: seen.append((done, total)))
    assert seen == [(12, 24), (18, 24), (24, 24)]
    train = report.splits["train"]
    assert (train.window, train.unknown_fraction, train.gc, train.profile, train.near) == (0, None, None, None, None)
    assert (train.gc_profile, train.gc_profile_edges, train.chromosomes) == ((), (), {"1": 6, "2": 6})
    pair = report.leakage.pairs[0]
    assert (pair.identical, pair.overlapping, pair.near_duplicate) == (None, None, None)
    # Every gene has a chromosome of its own split, so no TSS of another is near.
    assert (pair.same_id.genes, pair.neighbouring.genes) == (0, 0)
    assert report.leakage.repeated == {"train": None, "valid": None, "test": None}
    assert report.warnings == ()
    json.dumps(report.values())


def test_neighbours_are_found_without_strands(config, tmp_path):
    rows = toy_features()
    made = config(rows, split={"rule": "random", "fractions": [0.5, 0.25, 0.25]})
    build(made, tmp_path / "out")
    pairs = check(made.data, CheckConfig(neighbours=10**9)).leakage.pairs
    assert [pair.neighbouring.genes for pair in pairs[:2]] == [6, 6]


def test_the_texts_speak_of_no_promoters(made):
    report = check(made.data, CheckConfig())
    text = report.text()
    assert "no promoters, half-life features alone" in text
    assert "GC content" not in text
    assert "there are no promoters, so sequences and windows were not compared" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    checked = render_check(report, CheckConfig())
    assert "they are marked -" in checked
    assert "ok: the schema of 24 genes in 3 splits" in checked


def test_the_page_has_no_empty_plots(made):
    page = render_page(check(made.data, CheckConfig()), made.data, CheckConfig())
    assert "Along the promoter" not in page
    assert "GC content" not in page
    assert "There are no promoters, so sequences and windows were not compared." in page
    assert "Half-life features by label" in page


# A new split


def test_a_new_split_keeps_the_genes(config, made, tmp_path):
    rule = config(split={"rule": "chromosome", "valid": [1], "test": [2]})
    result = resplit(rule, str(tmp_path / "new.tsv"), str(tmp_path / "new"))
    assert result.counts == {"train": 12, "valid": 6, "test": 6}
    file = inspect(result.files["valid"])
    assert (file.window, set(read_locations(file).chrom), file.first) == (0, {"1"}, None)
    before = read_rows(inspect(made.data.train[0]), 0, 12)
    after = read_rows(file, 0, 6)
    rows = [before["gene_id"].tolist().index(gene) for gene in after["gene_id"]]
    np.testing.assert_array_equal(after["halflife"], before["halflife"][rows])


def test_similarity_has_nothing_to_compare(config, made, tmp_path, sentence):
    rule = config(split={"rule": "similarity"})
    with pytest.raises(DataError) as info:
        resplit(rule, str(tmp_path / "new.tsv"), None)
    sentence(info, made.data.train[0], "has none", "chromosome, group, random or file")
    assert not (tmp_path / "new.tsv").exists()


def test_the_published_table(shared_data, config, tmp_path):
    """The counts are those of the table itself: ``zcat halflife17k.tsv.gz | cut -f2,12 | sort | uniq -c``."""
    split = {"rule": "chromosome", "valid": [3, 5], "test": [2, 8]}
    made = config(features=str(shared_data / "halflife17k.tsv.gz"), split=split)
    result = build(made, tmp_path / "out")
    assert result.rows == {"train": 13883, "valid": 1738, "test": 1710}
    assert sum(result.positives.values()) == 8926
    assert result.dropped == {}
    train = open_splits(made.data, ("train",))["train"]
    assert train.halflife_scale == "z-score"
    np.testing.assert_allclose(
        train.halflife[0], [-0.100751, -0.811863, -0.338849, 0.466825, 0.625, 0.412, 0.368, 9.62], rtol=1e-5
    )
