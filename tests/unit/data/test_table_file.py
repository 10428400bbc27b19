"""Tables as files: rows that are longer or shorter than their header, names of rows, columns without a name."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raygenex.config.data import ExtraConfig, GroupSplit, LabelConfig
from raygenex.data.build.labels import read_expression, read_extras
from raygenex.data.splits.file import read_split
from raygenex.data.splits.rules import groups_of
from raygenex.data.table_file import read_table_file
from raygenex.data.tables import choose_columns, gene_column, numbers
from raygenex.errors import DataError

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table and returns its path."""

    def write(content, name="t.tsv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return str(path)

    return write


ROW_NAMED = "leaf1\tleaf2\nG1\t1\t2\nG2\t3\t\n"


@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.tsv.gz", "t.csv"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_first_field_of_longer_rows_is_their_name(table, name, quote):
    content = ROW_NAMED
    for word in ("leaf1", "leaf2", "G1", "G2"):
        content = content.replace(word, f"{quote}{word}{quote}")
    path = table(content.replace("\t", ",") if "csv" in name else content, name)
    found = read_table_file(path)
    gene_id = gene_column(found, path, "gene_id")
    assert gene_id.tolist() == ["G1", "G2"]
    assert choose_columns(found, path, (), "gene_id") == ["leaf1", "leaf2"]
    np.testing.assert_array_equal(numbers(found, path, "leaf1", gene_id), [1, 3])
    np.testing.assert_array_equal(numbers(found, path, "leaf2", gene_id), [2, np.nan])


def test_every_reader_takes_the_names_of_rows(table):
    path = table("leaf1\tleaf2\nG1\t1\t2\nG2\t3\t5\n")
    expression = read_expression(LabelConfig(table=path), False)
    assert (dict(expression.value), expression.columns) == ({"G1": 1.5, "G2": 4}, ("leaf1", "leaf2"))
    (extra,) = read_extras([ExtraConfig(table=path, columns="leaf2")], False)
    assert extra.of(["G2", "G1"]).tolist() == [5, 2]
    split = read_split(table("split\nG1\ttrain\nG2\tvalid\nG3\ttest\n"))
    assert dict(zip(split.gene_id, split.split, strict=True)) == {"G1": "train", "G2": "valid", "G3": "test"}
    families = GroupSplit(column="family", table=table("family\tsize\nG1\tf1\t2\nG2\tf2\t2\n"))
    assert groups_of(families, np.array(["G2", "G1"], dtype=object), {}).tolist() == ["f2", "f1"]


@pytest.mark.parametrize("header", ["gene_id\tv", "\tgene_id\tv"])
def test_numbers_of_rows_are_neither_genes_nor_samples(table, header):
    path = table(f"{header}\n1\tG1\t5\n2\tG2\t7\n")
    expression = read_expression(LabelConfig(table=path), False)
    assert (dict(expression.value), expression.columns) == ({"G1": 5, "G2": 7}, ("v",))
    with pytest.raises(DataError, match=r"no column z\*; it has v:"):
        choose_columns(read_table_file(path), path, ("z*",), "gene_id")


def test_the_names_of_rows_are_no_other_column(table, sentence):
    path = table("leaf1\nG1\t1\n")
    with pytest.raises(DataError) as info:
        gene_column(read_table_file(path), path, "gene")
    sentence(info, path, "no column gene of gene ids", "it has leaf1")


def test_the_index_of_a_parquet_table_names_its_rows(tmp_path):
    for index in ("gene_id", None):
        path = str(tmp_path / f"{index}.parquet")
        pd.DataFrame({"v": [1.0, 2.0]}, index=pd.Index(["G1", "G2"], name=index)).to_parquet(path)
        assert dict(read_expression(LabelConfig(table=path), False).value) == {"G1": 1, "G2": 2}
    path = str(tmp_path / "both.parquet")
    pd.DataFrame({"gene_id": ["G1", "G2"], "v": [1.0, 2.0]}).set_index("gene_id", drop=False).to_parquet(path)
    assert read_table_file(path).columns.tolist() == ["gene_id", "v"]


@pytest.mark.parametrize(
    "content",
    [
        "gene_id\tv\nG1\t1\t\nG2\t2\t\n",
        "gene_id\tv\nG1\t1\t\nG2\t2\n",
        "gene_id\tv\t\nG1\t1\t\nG2\t2\t\n",
        "gene_id\tv\nG1\t1\t\nG2\t2\t \n",
        "gene_id\tv\t\t\nG1\t1\t\t\nG2\t2\t\t\n",
        "\ngene_id\tv\r\n\r\nG1\t1\r\n  \nG2\t2\n\n",
    ],
)
def test_empty_last_fields_and_lines_are_left_out(table, content):
    found = read_table_file(table(content))
    assert found.to_dict("list") == {"gene_id": ["G1", "G2"], "v": ["1", "2"]}


def test_lines_are_counted_through_comments_and_line_breaks_in_quotes(table, sentence):
    path = table('# it"s one\ngene_id,"the\nvalue"\nG1,"a\nb"\nG2,1,2\n', "t.csv")
    with pytest.raises(DataError) as info:
        read_table_file(path)
    sentence(info, path, "line 6 has 3 fields", "the header has 2")
    found = read_table_file(table('# it"s one\ngene_id,"the\nvalue"\nG1,"a\nb"\n', "t.csv"))
    assert found.to_dict("list") == {"gene_id": ["G1"], "the\nvalue": ["a\nb"]}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("gene_id\ta\tb\nG1\t1\t2\nG2\t1\n", ("line 3 has 2 fields", "the header has 3")),
        ("gene_id\ta\nG1\t1\nG2\t1\t2\n", ("line 3 has 3 fields", "the header has 2")),
        ("a\tb\nG1\t1\t2\n\nG2\t1\n", ("line 4 has 2 fields", "the header has 2")),
        ("a\tb\nG1\t1\t2\t3\n", ("line 2 has 4 fields",)),
        ("gene_id\ta\tb\nG1\t1\t2\t\t\n", ("line 2 has 5 fields",)),
        ("gene_id\t\tb\nG1\t1\t2\n", ("column 2 has no name",)),
        ("gene_id\tb\t\nG1\t1\t2\n", ("column 3 has no name",)),
        ("gene_id\tv\t v \nG1\t1\t2\n", ("the column v twice",)),
    ],
)
def test_rows_and_columns_that_do_not_fit_are_named(table, sentence, content, names):
    path = table(content)
    with pytest.raises(DataError) as info:
        read_table_file(path)
    sentence(info, path, *names)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", 'gene_id,what,v\nG1,"3 prime,1\nG2,b,2\nG3,"3 prime,3\nG4,d,4\n', ["a quote before line 4", "close"]),
        ("t.csv", "gene_id;v\nG1;1\n", ["separated by semicolons", "commas in a .csv"]),
        ("t.csv", "gene_id\tv\nG1\t1\n", ["separated by tabs"]),
        ("t.tsv", "gene_id,v\nG1,1\n", ["separated by commas", "tabs in a .tsv"]),
        ("t.tsv", "#gene_id\tv\nG1\t1\nG2\t2\n", ["'#gene_id\\tv'", "is a comment", "take the # out"]),
        ("t.csv", "# made by us\n# gene_id,a,b\nG1,1,2\nG2,2,2\n", ["# gene_id,a,b", "take the # out"]),
        ("t.tsv", "#gene\t2019\nG1\t1\nG2\t2\n", ["take the # out"]),
        ("t.tsv", "#Gene Name\tS1\n# units TPM\n\nG1\tNA\nG2\t2\n", ["take the # out"]),
        ("t.tsv", "#gene_id\nG1\nG2\n", ["take the # out"]),
        ("t.csv", '"sep=,"\ngene_id,v\nG1,1\n', ["sep=,", "remove it"]),
        ("t.tsv", "#1.2\n2\t1\nName\tDescription\tS1\nG1\ta\t1\nG2\tb\t2\n", ["is a GCT file"]),
        ("t.csv", "sep=,\ngene_id,v\nG1,1\n", ["sep=,", "remove it"]),
    ],
)
def test_quotes_and_separators_that_nobody_meant(tmp_path, sentence, name, content, words):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as info:
        read_table_file(str(path))
    sentence(info, path, *words)


@pytest.mark.parametrize(
    "content",
    [
        "# a\tb\ngene_id\tv\nG1\t1\n",
        "# 7\t8\ngene_id\t2020\nG1\t1\n",
        "#\ngene_id\t1\nG1\t1\n",
        "#source\tGTEx\tENCODE\ngene_id\t2019\t2020\nG1\t1\t2\n",
        "# gene_id, from Ensembl\ngene_id\tv\nG1\t1\n",
        "sep=a\tgene_id\n1\tG1\n",
    ],
)
def test_comments_and_numbers_as_names_are_what_they_are(table, content):
    assert read_table_file(table(content))["gene_id"].tolist() == ["G1"]


def test_a_line_break_in_a_quoted_field_is_part_of_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('gene_id,what,v\nG1,"two\nlines",1\nG2,"a, b",2\n', encoding="utf-8")
    assert read_table_file(str(path))["what"].tolist() == ["two\nlines", "a, b"]


@pytest.mark.parametrize(
    "data", [gzip.compress(b"gene_id\tv\nG1\t1\n", mtime=0), "gene_id\tv\nG1\t1\n".encode("utf-16")]
)
def test_what_is_no_utf_8(tmp_path, sentence, data):
    path = tmp_path / "t.tsv"
    path.write_bytes(data)
    with pytest.raises(DataError) as info:
        read_table_file(str(path))
    sentence(info, path, "UTF-8", ".gz")


def test_columns_of_parquet_that_are_one_without_blanks_are_named(tmp_path, sentence):
    path = str(tmp_path / "t.parquet")
    pd.DataFrame({"gene_id": ["G1"], "v": [1], "v ": [2]}).to_parquet(path)
    with pytest.raises(DataError) as info:
        read_table_file(path)
    sentence(info, path, "the column v twice")
    pd.DataFrame({"v": [1]}, index=pd.Index([2], name="v")).to_parquet(path)
    with pytest.raises(DataError) as info:
        read_table_file(path)
    sentence(info, path, "the column v twice")


@pytest.mark.skipif("RAYGENEX_SHARED_DATA" not in os.environ, reason="RAYGENEX_SHARED_DATA is not set")
def test_the_table_of_arabidopsis():
    path = Path(os.environ["RAYGENEX_SHARED_DATA"], "arabidopsis_chr1", "leaf_fpkm_Zefeng2018.txt")
    found = read_table_file(str(path))
    gene_id = gene_column(found, str(path), "gene_id")
    assert choose_columns(found, str(path), (), "gene_id") == ["leaf1", "leaf2", "leaf3"]
    lines = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    assert len(lines) == 33_557
    assert gene_id.tolist() == [line[0] for line in lines]
    for column in (1, 2, 3):
        wanted = [float(line[column]) for line in lines]
        np.testing.assert_array_equal(numbers(found, str(path), f"leaf{column}", gene_id), wanted)
    values = read_expression(LabelConfig(table=str(path)), False).value
    assert (values["AT1G01010"], values["AT1G01020"]) == (1.44646, 7.88435)


@pytest.mark.parametrize("name", ["folder", "folder.tsv"])
def test_what_is_wrong_with_a_path_comes_before_its_name(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=f"{name} is a folder; name a file in it"):
        read_table_file(str(tmp_path / name))
    with pytest.raises(DataError, match="none does not exist; check the path"):
        read_table_file(str(tmp_path / "none"))
