"""The user's own columns."""

import numpy as np
import pytest

from raygenex.config.data import ExtraConfig, GroupSplit
from raygenex.data.build.labels import read_extras
from raygenex.data.splits.rules import groups_of
from raygenex.errors import ConfigError, DataError


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("gene_id\thalf_life\tfamily\nG1.1\t3.5\tkinase\nG2.1\tNA\t\n", encoding="utf-8")
    return str(path)


def test_columns_follow_the_genes(table):
    life, family = read_extras([ExtraConfig(table=table, columns=("half_life", "family"))], False)
    assert (life.name, life.numeric, family.name, family.numeric) == ("half_life", True, "family", False)
    np.testing.assert_array_equal(life.of(["G2.1", "G9", "G1.1"]), [np.nan, np.nan, 3.5])
    assert family.of(["G2.1", "G9", "G1.1"]).tolist() == ["", "", "kinase"]


def test_versions_are_dropped_on_request(table):
    (life,) = read_extras([ExtraConfig(table=table, columns="half_life")], True)
    assert life.of(["G1"]).tolist() == [3.5]


def test_a_name_is_there_once(table, sentence):
    twice = [ExtraConfig(table=table, columns="family")] * 2
    with pytest.raises(DataError) as info:
        read_extras(twice, False)
    sentence(info, table, "family", "rename it")


def test_groups_come_from_a_table(table):
    genes = np.array(["G2.1", "G1.1", "G7"], dtype=object)
    split = GroupSplit(table=table, column="family")
    assert groups_of(split, genes, {}).tolist() == ["", "kinase", ""]


def test_groups_come_from_a_column_of_the_data():
    genes = np.array(["A", "B", "C"], dtype=object)
    assert groups_of(GroupSplit(column="f"), genes, {"f": np.array([1.0, np.nan, 2.0])}).tolist() == ["1", "", "2"]


def test_a_missing_group_column_is_named(sentence):
    with pytest.raises(ConfigError) as info:
        groups_of(GroupSplit(column="f"), np.array(["A"], dtype=object), {"g": np.array([1.0])})
    sentence(info, "split.column f", "they have g", "split.table")


def test_groups_of_other_genes_are_refused(table, sentence):
    with pytest.raises(DataError) as info:
        groups_of(GroupSplit(table=table, column="family"), np.array(["X"], dtype=object), {})
    sentence(info, "no gene of the data (such as X)", table)
