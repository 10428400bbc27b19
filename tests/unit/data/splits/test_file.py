"""The file of a split."""

import json

import numpy as np
import pytest

from raygenex.config.data import FileSplit, RandomSplit
from raygenex.data.splits.file import apply_split, read_split, write_split
from raygenex.data.splits.rules import assign
from raygenex.data.windows import GeneWindows
from raygenex.errors import DataError


def text(*values):
    return np.array(values, dtype=object)


def ids(count):
    return text(*(f"G{number:05d}" for number in range(count)))


@pytest.fixture
def table():
    genes = GeneWindows(text("A", 'quo"te', "tab\there", "#D", "NA"), chrom=text("1", "X", None, "2", "3"))
    return assign(genes, RandomSplit(fractions=(0.6, 0.2, 0.2), seed=7))


def test_round_trip(tmp_path, table):
    path = tmp_path / "new" / "split.tsv"
    write_split(table, path)
    lines = path.read_text().splitlines()
    assert lines[0] == "# raygenex split 1"
    assert json.loads(lines[1].removeprefix("# rule: ")) == table.rule
    assert lines[2] == "gene_id\tchrom\tgroup\tsplit"
    again = read_split(str(path))
    for name in ("gene_id", "chrom", "group", "split"):
        assert getattr(again, name).tolist() == getattr(table, name).tolist()
    assert again.rule == table.rule
    assert [file.name for file in path.parent.iterdir()] == ["split.tsv"]
    write_split(again, path, overwrite=True)
    assert path.read_text().splitlines() == lines


def test_nothing_is_overwritten_unasked(tmp_path, table, sentence):
    path = tmp_path / "split.tsv"
    path.write_text("mine")
    with pytest.raises(DataError) as info:
        write_split(table, path)
    sentence(info, path, "--force")
    assert path.read_text() == "mine"


def test_folder_that_cannot_be_written(tmp_path, table, sentence):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as info:
        write_split(table, tmp_path / "file" / "split.tsv")
    sentence(info, tmp_path / "file" / "split.tsv", "cannot be written")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "tsv.gz", "parquet"])
def test_tables_from_elsewhere(tmp_path, suffix):
    import pandas as pd

    frame = pd.DataFrame({"split": ["test", "train"], "other": [1, 2], "gene_id": ["B", "A"]})
    path = str(tmp_path / f"split.{suffix}")
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    table = read_split(path)
    assert (table.gene_id.tolist(), table.split.tolist()) == (["B", "A"], ["test", "train"])
    assert table.chrom.tolist() == table.group.tolist() == ["", ""]
    assert table.rule == {"rule": "file", "file": path}


def test_a_file_is_a_rule(tmp_path):
    path = tmp_path / "split.tsv"
    path.write_text("gene_id\tgroup\tsplit\nG00002\tx\tvalid\nelse\ty\ttrain\nG00000\tz\ttest\n")
    table = assign(GeneWindows(ids(3), chrom=text("a", "b", "c")), FileSplit(file=str(path)))
    assert table.split.tolist() == ["test", None, "valid"]
    assert table.group.tolist() == ["z", "", "x"]
    assert table.chrom.tolist() == ["a", "b", "c"]
    assert table.counts == {"train": 0, "valid": 1, "test": 1}
    assert apply_split(read_split(str(path)), text("else", "G9")).tolist() == ["train", None]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("gene\tsplit\nA\ttrain\n", ("no column gene_id", "gene, split")),
        ("gene_id\tset\nA\ttrain\n", ("no column split", "gene_id, set")),
        ("gene_id\tsplit\nA\ttrain\nB\tvalidation\n", ("gene B", "'validation'", "train, valid or test")),
        ("gene_id\tsplit\nA\t\n", ("gene A", "''")),
        ("gene_id\tsplit\nA\ttrain\nA\ttest\n", ("gene A", "rows 1 and 2")),
        ("# raygenex split 1\n# rule: {\ngene_id\tsplit\nA\ttrain\n", ("second line", "write the split again")),
    ],
)
def test_files_that_are_no_split(tmp_path, sentence, content, names):
    path = tmp_path / "split.tsv"
    path.write_text(content)
    with pytest.raises(DataError) as info:
        read_split(str(path))
    sentence(info, path, *names)


def test_file_not_there(tmp_path, sentence):
    with pytest.raises(DataError) as info:
        assign(GeneWindows(ids(3)), FileSplit(file=str(tmp_path / "none.tsv")))
    sentence(info, tmp_path / "none.tsv", "does not exist")
