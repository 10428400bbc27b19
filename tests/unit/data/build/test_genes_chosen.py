"""What a data set will be made of."""

import numpy as np
import pytest
from toy_genome import write_toy_genome

from raygenex.config.load import parse_config
from raygenex.data.build.genes import choose
from raygenex.errors import DataError


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """Return a function that chooses the genes of the toy genome."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    paths = write_toy_genome(tmp_path)
    (tmp_path / "more.tsv").write_text("gene_id\tlife\tfamily\nS\t3\tkinase\nP\t1\tkinase\n")

    def make(split=None, **build):
        values = {
            "genome": paths["genome"],
            "annotation": paths["annotation"],
            "window": [-10, 10],
            "extra": [{"table": str(tmp_path / "more.tsv"), "columns": ["life", "family"]}],
            **build,
        }
        values["label"] = {"table": paths["expression"]} | values.get("label", {})
        return choose(parse_config({"build": values, "split": split or {"rule": "random"}}, "test"))

    return make


def splits(found):
    return dict(zip(found.split.gene_id, found.split.split, strict=True))


def test_labels_by_hand(chosen):
    found = chosen()
    assert found.origin.gene_id.tolist() == ["P", "M", "S"]
    # The medians of the samples a and b, and the median of these three.
    assert (found.expression.tolist(), found.threshold, found.label.tolist()) == ([2, 15, 6], 6, [0, 1, 0])
    found = chosen(label={"threshold": 2, "columns": "a"})
    assert (found.expression.tolist(), found.threshold, found.label.tolist()) == ([1, 10, 5], 2, [0, 1, 1])


def test_columns_follow_the_genes(chosen):
    columns = chosen().columns
    np.testing.assert_array_equal(columns["life"], [1, np.nan, 3])
    assert columns["family"].tolist() == ["kinase", "", "kinase"]


def test_what_a_split_looks_at(chosen):
    genes = chosen(window=[-10, 5]).genes
    assert (genes.chrom.tolist(), genes.tss.tolist(), genes.strand.tolist()) == (
        ["I", "I", "II"],
        [21, 190, 31],
        ["+", "-", "+"],
    )
    assert (genes.window, genes.group, genes.promoter_sketch) == ((-10, 5), None, None)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            {"rule": "chromosome", "valid": "II", "fractions": [0.5, 0.5, 0]},
            {"P": "train", "M": "train", "S": "valid"},
        ),
        ({"rule": "group", "column": "family", "valid": "M"}, {"P": "train", "M": "valid", "S": "train"}),
    ],
)
def test_splits_by_hand(chosen, rule, expected):
    assert splits(chosen(rule)) == expected


def test_a_split_that_depends_on_sequences_waits_for_them(chosen):
    assert chosen({"rule": "similarity"}).split is None


def test_a_split_file_chooses_the_genes(chosen, tmp_path):
    path = tmp_path / "split.tsv"
    path.write_text("gene_id\tsplit\nM\ttest\nS\ttrain\nX\tvalid\n")
    found = chosen({"rule": "file", "file": str(path)})
    # What the file names and the annotation does not have is no gene of the data.
    assert splits(found) == {"M": "test", "S": "train"}
    assert found.split.chrom.tolist() == ["I", "II"]
    assert found.origin.dropped == {"R": "biotype tRNA", "P": "no split"}
    # The threshold is the median over the genes that are kept.
    assert found.threshold == 10.5
    assert found.columns["family"].tolist() == ["", "kinase"]


def test_a_split_file_of_other_genes(chosen, tmp_path, sentence):
    path = tmp_path / "split.tsv"
    path.write_text("gene_id\tsplit\nX\tvalid\n")
    with pytest.raises(DataError) as info:
        chosen({"rule": "file", "file": str(path)})
    sentence(info, "genes.gtf", "3 no split")
