"""What models read beside the DNA: features of files and of tables, those that genes lack, and what is refused."""

import logging

import numpy as np
import pytest
from toy_models import columns, sentence, write_promoters

from raygenex.config.load import parse_config
from raygenex.data.feature_values import chosen_features, features_of_model, read_feature_values, warn_of_unseen_gaps
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.schema import Target
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.data.opening import open_run
from raygenex.data.rows import PromoterRows, ReplacedRows
from raygenex.errors import ConfigError, DataError


def parse(*features, **sections):
    return parse_config({"data": {"features": list(features)}, **sections}, "test")


def read(path, *features):
    splits = open_run(parse_config({"data": {"train": path}}, "test"), ("train",))
    return read_feature_values(chosen_features(parse(*features).data.features), splits)["train"]


@pytest.fixture
def genes(tmp_path):
    """Five genes, their file, and a table of three of them, in another order, with a gap."""
    genes = columns(5, 20)
    path = write_promoters(tmp_path / "a.h5", genes)
    (tmp_path / "rates.tsv").write_text("id\trate\tage\nG4\t0.5\t1\nG0\t2.5\t\nG2\t\t3\nother\t9\t9\n")
    return genes, path, str(tmp_path / "rates.tsv")


def test_without_more_said_they_are_the_eight(genes):
    assert tuple(feature.name for feature in chosen_features(())) == HALFLIFE_FEATURES
    np.testing.assert_array_equal(read(genes[1]), genes[0]["halflife"])


def test_they_come_in_the_order_that_is_asked_for(genes):
    columns, path, table = genes
    found = read(path, "CDSGC", {"name": "rate", "table": table, "gene_column": "id"}, "UTR5LEN")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], columns["halflife"][:, HALFLIFE_FEATURES.index("CDSGC")])
    np.testing.assert_array_equal(found[:, 1], np.array([2.5, np.nan, np.nan, np.nan, 0.5], np.float32))
    np.testing.assert_array_equal(found[:, 2], columns["halflife"][:, 0])


def test_halflife_stands_for_the_eight_and_a_column_may_have_another_name(genes):
    found = read(genes[1], "halflife", {"name": "years", "table": genes[2], "gene_column": "id", "column": "age"})
    np.testing.assert_array_equal(found[:, :8], genes[0]["halflife"])
    np.testing.assert_array_equal(found[:, 8], np.array([np.nan, np.nan, 3, np.nan, 1], np.float32))


def test_columns_that_were_added_to_files_are_read(tmp_path):
    genes = columns(3, 20)
    with PromoterWriter(tmp_path / "a.h5", 20, targets=(Target("up", "counts"),)) as writer:
        more = {"extra/dose": np.array([1.5, np.nan, 3.0]), "targets": np.array([[1], [np.nan], [4]], np.float32)}
        writer.append(*(genes[name] for name in ("gene_id", "sequence", "halflife", "label")), more)
    np.testing.assert_array_equal(
        read(str(tmp_path / "a.h5"), "dose", "up"), np.array([[1.5, 1], [np.nan] * 2, [3, 4]])
    )


def test_a_name_that_nothing_has_is_refused(genes):
    with pytest.raises(DataError) as info:
        read(genes[1], "halflife", "rate")
    sentence(info, genes[1], "no column rate", "data.features")
    with pytest.raises(DataError) as info:
        read(genes[1], {"name": "rates", "table": genes[2], "gene_column": "id"})
    sentence(info, genes[2], "no column rates", "data.features.column")


def test_a_table_of_other_genes_is_refused(tmp_path, genes):
    (tmp_path / "few.tsv").write_text("gene_id\trate\nG1\t1\nX1\t2\n")
    with pytest.raises(DataError) as info:
        read(genes[1], {"name": "rate", "table": str(tmp_path / "few.tsv")})
    sentence(info, "1 of the 5 genes of data.train")


def test_a_feature_that_no_gene_has_is_refused(tmp_path, genes):
    (tmp_path / "none.tsv").write_text("gene_id\trate\n" + "".join(f"G{number}\tNA\n" for number in range(5)))
    with pytest.raises(DataError) as info:
        read(genes[1], {"name": "rate", "table": str(tmp_path / "none.tsv")})
    sentence(info, "nothing of rate was measured in the 5 genes of data.train")


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (["UTR5LEN", "UTR5LEN"], "the name UTR5LEN is there twice"),
        ([{"name": "halflife", "table": "t.tsv"}], "give the column another name"),
        ([{"name": "rate", "gene_column": "id"}], "gene_column belongs to a table"),
        (["sequence"], "sequence names another column"),
        (["a b"], "must be letters"),
    ],
)
def test_what_no_section_can_say_is_refused(features, words):
    with pytest.raises(ConfigError, match=words):
        parse(*features)


def test_a_feature_among_the_eight_and_by_itself_is_refused():
    with pytest.raises(ConfigError, match="UTR5LEN and halflife"):
        chosen_features(parse("halflife", "UTR5LEN").data.features)
    with pytest.raises(ConfigError, match="UTR5LEN is a half-life feature"):
        chosen_features(parse({"name": "UTR5LEN", "table": "t.tsv"}).data.features)


@pytest.mark.parametrize(
    ("feature", "target"),
    [
        ("level", "level"),
        ({"name": "x", "table": "t.tsv", "column": "y"}, {"name": "z", "table": "t.tsv", "column": "y"}),
    ],
)
def test_no_input_is_a_target(feature, target):
    with pytest.raises(ConfigError, match="is not to read"):
        parse(feature, targets=[target])


def test_a_model_finds_its_features_where_it_is_told_or_where_they_were():
    given, trained = (
        parse({"name": "rate", "table": "here.tsv"}),
        parse("halflife", {"name": "rate", "table": "old.tsv"}),
    )
    for configs, expected in ((given, "here.tsv"), (parse(), "old.tsv")):
        found = features_of_model(("CDSGC", "rate"), configs.data.features, trained.data.features)
        assert [(feature.name, feature.table) for feature in found] == [("CDSGC", None), ("rate", expected)]


def test_a_column_under_the_name_of_one_of_the_eight_stays_that_column():
    trained = parse({"name": "UTR5LEN", "table": "own.tsv", "column": "length"}).data.features
    assert features_of_model(("UTR5LEN",), (), trained) == trained


def test_a_feature_that_no_gene_has_is_said_whatever_training_lacked(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_unseen_gaps(("rate",), ("rate",), np.full((3, 1), np.nan, np.float32), "genes.h5")
        # One gene alone may well lack it.
        warn_of_unseen_gaps(("rate",), ("rate",), np.full((1, 1), np.nan, np.float32), "the table")
    (line,) = caplog.messages
    assert line.startswith("none of 3 genes of genes.h5 has a value of rate")


def test_gaps_that_training_had_not_are_said(caplog):
    values = np.array([[1, np.nan], [np.nan, 2]], np.float32)
    with caplog.at_level(logging.WARNING):
        warn_of_unseen_gaps(("rate", "age"), ("age",), values, "genes.h5")
    (line,) = caplog.messages
    assert line.startswith("1 of 2 genes of genes.h5 have no value of rate")


def test_rows_of_files_give_them_wherever_they_are_cut(genes):
    """What explains and predicts reads pieces of files, what trains on a store replaces its columns."""
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    files = open_run(parse_config({"data": {"train": genes[1]}}, "test"), ("train",))["train"].files
    own = PromoterRows(files, 20, "train", values)
    np.testing.assert_array_equal(own.halflife, values)
    np.testing.assert_array_equal(own.piece(1, 4).read()["halflife"], values[1:4])
    for rows in (own, ReplacedRows(PromoterRows(files, 20, "train"), {"halflife": values})):
        read = [piece.read()["halflife"] for piece in rows.pieces(1, 5, 2)]
        np.testing.assert_array_equal(np.concatenate(read), values[1:])
    np.testing.assert_array_equal(PromoterRows(files, 20, "train").halflife, genes[0]["halflife"])
