"""From expression to labels."""

import numpy as np
import pytest

from raygenex.config.data import LabelConfig
from raygenex.data.build.labels import label_genes, read_expression, threshold_of
from raygenex.data.gene_ids import match_genes
from raygenex.errors import DataError

TABLE = "gene_id\tname\te1\te2\te3\nG1\tx\t1\t2\t9\nG2\ty\tNA\t4\t8\nG3\tz\t\t\tNaN\n"


@pytest.fixture
def expression(tmp_path):
    """Return a function that reads a table by a rule."""

    def read(content=TABLE, strip_versions=False, **rule):
        path = tmp_path / "e.tsv"
        path.write_text(content, encoding="utf-8")
        return read_expression(LabelConfig(table=str(path), **rule), strip_versions)

    return read


def test_samples_are_joined_gene_by_gene(expression):
    median = expression()
    assert median.value == {"G1": 2.0, "G2": 6.0}
    assert median.columns == ("e1", "e2", "e3")
    assert median.unmeasured == 1
    assert expression(aggregate="mean").value == {"G1": 4.0, "G2": 6.0}
    assert expression(columns="e3").value == {"G1": 9.0, "G2": 8.0}
    assert expression(columns=("e1", "e2")).value == {"G1": 1.5, "G2": 4.0}
    assert expression(columns="e[12]").value == {"G1": 1.5, "G2": 4.0}


def test_versions_are_dropped_on_request(expression):
    found = expression("gene_id\tv\nENSG1.5\t1\nENSG2.11\t2\n", strip_versions=True)
    assert found.value == {"ENSG1": 1.0, "ENSG2": 2.0}


def test_versions_may_not_be_all_that_tells_genes_apart(expression, sentence):
    with pytest.raises(DataError) as info:
        expression("gene_id\tv\nENSG1.5\t1\nENSG1.6\t2\n", strip_versions=True)
    sentence(info, "without version suffixes", "ENSG1", "rows 1 and 2")


def test_a_table_without_values_is_refused(expression, sentence):
    with pytest.raises(DataError) as info:
        expression("gene_id\tv\tw\nG1\t\t1\nG2\tNA\t1\n", columns="v")
    sentence(info, "no gene has a value in v")


def test_words_among_the_numbers_are_refused(expression, sentence):
    with pytest.raises(DataError) as info:
        expression("gene_id\tv\nG1\tlow\n", columns="v")
    sentence(info, "e.tsv", "G1", "'low'")


def test_matching_counts():
    assert match_genes(["A", "B", "C"], {"A": 1, "C": 2}, "x", "y") == 2


def test_versions_that_do_not_match_are_offered_as_the_fix(sentence):
    with pytest.raises(DataError) as info:
        match_genes(["ENSG1.4", "ENSG2.1", "ENSG3"], {"ENSG1": 0, "ENSG2.7": 0, "ENSG3": 0}, "genes.gtf", "table.tsv")
    sentence(info, "1 of 3", "genes.gtf", "ENSG1.4", "table.tsv", "build.strip_versions to true")


def test_an_empty_intersection_is_refused(sentence):
    with pytest.raises(DataError) as info:
        match_genes(["YAL001C"], {"ENSG1": 0}, "genes.gtf", "table.tsv")
    sentence(info, "no gene of genes.gtf (such as YAL001C)", "table.tsv (such as ENSG1)")


def test_the_threshold_is_a_number_or_the_median():
    values = np.array([1.0, 5.0, 2.0, 8.0])
    assert threshold_of(LabelConfig(), values) == 3.5
    assert threshold_of(LabelConfig(threshold=3.2), values) == 3.2


def test_high_is_above_the_threshold():
    assert label_genes(np.array([1.0, 3.2, 3.3]), 3.2, "t").tolist() == [0, 0, 1]


@pytest.mark.parametrize(("threshold", "which"), [(0.5, "above"), (9.0, "at or below")])
def test_one_class_is_refused(sentence, threshold, which):
    with pytest.raises(DataError) as info:
        label_genes(np.array([1.0, 2.0]), threshold, "t.tsv")
    sentence(info, "all 2 genes of t.tsv", which, f"{threshold:g}", "from 1 to 2", "build.label.threshold")
