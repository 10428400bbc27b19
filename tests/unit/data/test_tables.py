"""Reading the tables of users."""

import datetime
import decimal
import gzip

import numpy as np
import pandas as pd
import pytest

from raygenex.data.table_file import read_table_file
from raygenex.data.tables import choose_columns, gene_column, is_numeric, numbers, shown, text
from raygenex.errors import DataError

TSV = "gene_id\tname\ta1\ta2\tb\nG1\tone\t1\t2.5\tx\nG2\ttwo\tNA\t1e3\ty\n"


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table and returns its path."""

    def write(content=TSV, name="t.tsv"):
        path = tmp_path / name
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(path)

    return write


@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.tsv.gz", "t.csv", "t.csv.gz", "T.TSV"])
def test_every_format_reads_alike(table, name):
    path = table(TSV.replace("\t", ",") if "csv" in name else TSV, name)
    found = read_table_file(path)
    assert list(found.columns) == ["gene_id", "name", "a1", "a2", "b"]
    assert gene_column(found, path, "gene_id").tolist() == ["G1", "G2"]
    np.testing.assert_array_equal(numbers(found, path, "a1", found["gene_id"]), [1, np.nan])
    np.testing.assert_array_equal(numbers(found, path, "a2", found["gene_id"]), [2.5, 1000])


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"gene_id": ["G1", "G2"], "a": [1.5, np.nan], "n": [1, 2]}).to_parquet(path)
    found = read_table_file(str(path))
    np.testing.assert_array_equal(numbers(found, "t", "a", found["gene_id"].to_numpy()), [1.5, np.nan])
    assert choose_columns(found, "t", (), "gene_id") == ["a", "n"]


def test_comments_before_the_header_are_skipped(table):
    assert "gene_id" in read_table_file(table("# one\n# two\n" + TSV)).columns


def test_ids_that_look_like_numbers_stay_as_written(table):
    path = table("gene_id\tv\n007\t1\n1e5\t2\n")
    assert gene_column(read_table_file(path), path, "gene_id").tolist() == ["007", "1e5"]


def test_columns_by_name_and_glob(table):
    found = read_table_file(table())
    assert choose_columns(found, "t", ("a*",), "gene_id") == ["a1", "a2"]
    assert choose_columns(found, "t", ("b", "a2"), "gene_id") == ["a2", "b"]
    assert choose_columns(found, "t", (), "gene_id") == ["a1", "a2"]
    assert is_numeric(found, "a1")
    assert not is_numeric(found, "b")
    assert text(found, "a1").tolist() == ["1", ""]


@pytest.mark.parametrize(
    ("content", "name", "names"),
    [
        (TSV, "t.xlsx", ("t.xlsx", ".parquet")),
        ("", "t.tsv", ("t.tsv", "has no rows")),
        ("gene_id\tv\n", "t.tsv", ("has no rows",)),
        ("gene_id\tv\tv\nG\t1\t2\n", "t.tsv", ("column v twice",)),
        ("no parquet", "t.parquet", ("t.parquet", "cannot be read")),
        ("a\tb\n1\t2\n1\t2\t3\n", "t.tsv", ("line 3 has 3 fields", "the header has 2")),
    ],
)
def test_what_is_no_table_is_refused(table, sentence, content, name, names):
    with pytest.raises(DataError) as info:
        read_table_file(table(content, name))
    sentence(info, *names)


def test_a_missing_file_is_named(sentence, tmp_path):
    with pytest.raises(DataError) as info:
        read_table_file(str(tmp_path / "no.tsv"))
    sentence(info, "no.tsv", "does not exist")


def test_a_truncated_gzip_is_named(tmp_path, sentence):
    path = tmp_path / "t.tsv.gz"
    rows = "".join(f"G{i}\t{i * 7919 % 1000}\n" for i in range(5000))
    path.write_bytes(gzip.compress(("gene_id\tv\n" + rows).encode())[:-500])
    with pytest.raises(DataError) as info:
        read_table_file(str(path))
    sentence(info, "t.tsv.gz", "truncated")


def test_a_damaged_gzip_is_named(tmp_path, sentence):
    path = tmp_path / "t.tsv.gz"
    content = bytearray(gzip.compress("".join(f"G{i}\t{i * 7919 % 1000}\n" for i in range(5000)).encode()))
    content[2000:2200] = b"\xff" * 200
    path.write_bytes(content)
    with pytest.raises(DataError) as info:
        read_table_file(str(path))
    sentence(info, "t.tsv.gz", "cannot be read as a table")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("id\tv\nG\t1\n", ("no column gene_id", "id, v")),
        ("gene_id\tv\nG\t1\nG\t2\n", ("gene G", "rows 1 and 2")),
        ("gene_id\tv\nG\t1\n \t2\n", ("row 2", "empty")),
    ],
)
def test_gene_ids_are_there_once(table, sentence, content, names):
    path = table(content)
    with pytest.raises(DataError) as info:
        gene_column(read_table_file(path), path, "gene_id")
    sentence(info, path, *names)


@pytest.mark.parametrize("value", ["high", "1,5", "inf", "-Infinity", "1 2"])
def test_what_is_no_number_is_named_with_its_gene(table, sentence, value):
    path = table(f"gene_id\tv\nG1\t1\nG2\t{value}\n")
    found = read_table_file(path)
    with pytest.raises(DataError) as info:
        numbers(found, path, "v", found["gene_id"])
    sentence(info, path, "v of gene G2", value, "not a number")


def test_columns_that_are_not_there_are_named(table, sentence):
    path = table()
    with pytest.raises(DataError) as info:
        choose_columns(read_table_file(path), path, ("z*",), "gene_id")
    sentence(info, "no column z*", "name, a1, a2, b")
    with pytest.raises(DataError) as info:
        choose_columns(read_table_file(table("gene_id\tv\nG\tx\n")), path, (), "gene_id")
    sentence(info, "no numeric column")


def test_long_lists_are_cut():
    assert shown(["a", "b"]) == "a, b"
    assert shown([str(i) for i in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert shown([]) == "none"


def test_quotes_are_letters_in_tab_separated_tables(table):
    path = table('gene_id\tname\tv\nG1\t"5\' thing\t1\nG2\tx\t2\nG3\ty"\t3\n')
    found = read_table_file(path)
    assert gene_column(found, path, "gene_id").tolist() == ["G1", "G2", "G3"]


def test_a_stray_word_does_not_make_a_sample_vanish(table, sentence):
    path = table("gene_id\ta\tb\nG1\t1\t1\nG2\tfive\t2\nG3\t3\t3\n")
    with pytest.raises(DataError) as info:
        choose_columns(read_table_file(path), path, (), "gene_id")
    sentence(info, "a of gene G2", "'five'")


def test_tabs_at_the_ends_of_lines_shift_nothing(table):
    path = table("gene_id\tv\nG1\t1\t\nG2\t2\t\n")
    assert gene_column(read_table_file(path), path, "gene_id").tolist() == ["G1", "G2"]


@pytest.mark.filterwarnings("error")
def test_dates_durations_and_truth_values_are_no_numbers(tmp_path):
    path = tmp_path / "t.parquet"
    days = [datetime.date(2020, 1, 1), None, datetime.date(2020, 1, 3)]
    pd.DataFrame(
        {
            "gene_id": ["G1", "G2", "G3"],
            "day": days,
            "time": pd.to_datetime(days),
            "lasted": pd.to_timedelta([1, 2, None], "s"),
            "known": [True, False, True],
            "perhaps": pd.array([True, None, False], dtype="boolean"),
            "price": [decimal.Decimal("1.5"), None, decimal.Decimal(2)],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["x", None, "y"]),
        }
    ).to_parquet(path)
    found = read_table_file(str(path))
    assert choose_columns(found, "t", (), "gene_id") == ["price", "count"]
    np.testing.assert_array_equal(numbers(found, "t", "price", found["gene_id"]), [1.5, np.nan, 2])
    assert text(found, "day").tolist() == ["2020-01-01", "", "2020-01-03"]
    assert text(found, "perhaps").tolist() == ["True", "", "False"]
    assert text(found, "kind").tolist() == ["x", "", "y"]
    assert text(found, "count").tolist() == ["1", "", "3"]
    with pytest.raises(DataError, match=r"time of gene G1 \(row 1\) is '2020-01-01.*not a number"):
        numbers(found, "t", "time", found["gene_id"])


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (
            "gene_id transcript_id(s) length effective_length expected_count TPM FPKM",
            "describe genes (length, effective_length)",
        ),
        ("Geneid Chr Start End Strand Length s1.bam s2.bam", "describe genes (Chr, Start, End, Length)"),
        ("target_id length eff_length est_counts tpm", "describe genes (length, eff_length)"),
        ("Name Length EffectiveLength TPM NumReads", "describe genes (Length, EffectiveLength)"),
        ("gene_id Reference Start End Coverage FPKM TPM", "describe genes (Start, End)"),
        ("gene baseMean log2FoldChange padj", "describe genes (baseMean, log2FoldChange, padj)"),
        ("gene_id TPM FPKM", "measure one sample (TPM, FPKM)"),
    ],
)
def test_columns_that_nobody_means_are_asked_about(table, sentence, columns, named):
    names = columns.split()
    words = {"transcript_id(s)": "T1,T2", "Strand": "+/", names[0]: "G"}
    rows = [[f"{words.get(name, '')}{row + 1}" for name in names] for row in range(3)]
    if "End" in names:
        # An exon of more than one piece is no number; that is not what is wrong here.
        rows[0][names.index("End")] = "1;5"
    path = table("\n".join("\t".join(row) for row in [names, *rows]) + "\n")
    with pytest.raises(DataError) as info:
        choose_columns(read_table_file(path), path, (), names[0], "build.label.columns")
    sentence(info, path, named, "in build.label.columns")
    assert choose_columns(read_table_file(path), path, names[-1:], names[0]) == names[-1:]


def test_one_measure_needs_no_choice(table):
    path = table("gene_id\tname\tTPM\nG1\tx\t1\n")
    assert choose_columns(read_table_file(path), path, (), "gene_id") == ["TPM"]
