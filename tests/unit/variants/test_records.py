import gzip
import logging

import pytest
from toy_models import sentence

from raygenex.errors import DataError
from raygenex.variants.records import VariantRecord, read_variants

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a file and reads its records."""

    def make(text, name="v.vcf"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return list(read_variants(str(path)))

    return make


def test_a_vcf_needs_no_contig_lines(read):
    text = (
        f"##fileformat=VCFv4.3\n{COLUMNS}\tFORMAT\ts1\n1\t7\trs1\tA\tC,<DEL>\t.\tq10\tAC=1\tGT\t0|1\n\nX\t0\t.\tG\t.\n"
    )
    assert read(text) == [
        VariantRecord(3, "1", 7, "rs1", "A", ("C", "<DEL>")),
        VariantRecord(5, "X", 0, "", "G", (".",)),
    ]


def test_only_the_line_of_columns_is_needed(read):
    assert read(f"{COLUMNS}\n1\t7\trs1\tA\tC\r\n") == [VariantRecord(2, "1", 7, "rs1", "A", ("C",))]
    assert read(COLUMNS) == []


@pytest.mark.parametrize("name", ["v.vcf.gz", "misnamed.txt"])
def test_compression_is_told_from_the_content(read, name):
    text = f"{COLUMNS}\n1\t7\trs1\tA\tC\n".encode()
    assert read(gzip.compress(text), name) == read(text)


def test_bgzip_of_many_blocks(tmp_path):
    import pysam

    path = tmp_path / "v.vcf.gz"
    with pysam.BGZFile(str(path), "w") as file:
        file.write(f"{COLUMNS}\n".encode())
        for pos in range(1, 20_001):
            file.write(f"1\t{pos}\trs{pos}\tA\tC\tsomething long to fill blocks\n".encode())
    found = list(read_variants(str(path)))
    assert len(found) == 20_000
    assert found[-1] == VariantRecord(20_001, "1", 20_000, "rs20000", "A", ("C",))


def test_bcf(tmp_path):
    import pysam

    header = pysam.VariantHeader()
    header.add_line("##contig=<ID=chr1,length=1000>")
    # pysam writes it for every symbolic allele.
    header.add_line('##INFO=<ID=END,Number=1,Type=Integer,Description="end">')
    path = str(tmp_path / "v.bcf")
    with pysam.VariantFile(path, "wb", header=header) as file:
        file.write(header.new_record(contig="chr1", start=6, alleles=("A", "C", "<DEL>"), id="rs1", stop=9))
        file.write(header.new_record(contig="chr1", start=9, alleles=("G", "GT")))
    assert list(read_variants(path)) == [
        VariantRecord(1, "chr1", 7, "rs1", "A", ("C", "<DEL>")),
        VariantRecord(2, "chr1", 10, "", "G", ("GT",)),
    ]


@pytest.mark.parametrize("separator", ["\t", ","])
def test_tables_have_columns_in_any_order_and_case(read, separator):
    text = "Pos chrom score ALT Ref\n7 chr1 0.5 C A\n9 chr1 0.5  G\n".replace(" ", separator)
    assert read(text, "t.csv") == [
        VariantRecord(2, "chr1", 7, "", "A", ("C",)),
        VariantRecord(3, "chr1", 9, "", "G", (".",)),
    ]


def test_tables_may_have_ids_and_comments(read):
    text = "## made by hand\nchrom\tpos\tid\tref\talt\tp\n1\t7\trs1\tA\tC,G\t0.1\n"
    assert read(text, "t.tsv") == [VariantRecord(3, "1", 7, "rs1", "A", ("C", "G"))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty", "no line of columns"]),
        ("##fileformat=VCFv4.2\n", ["is empty"]),
        ("1\t7\trs1\tA\tC\n", ["line 1 must name the columns and lacks chrom, pos, ref, alt", "#CHROM"]),
        ("chrom,pos,ref\n1,7,A\n", ["line 1", "lacks alt"]),
        (f"##x\n{COLUMNS}\n1\t7\trs1\tA\n", ["line 3 has 4 fields where 5 are needed"]),
        (f"{COLUMNS}\n1 7 rs1 A C\n", ["line 2 has 1 fields"]),
        (f"{COLUMNS}\n1\tx7\trs1\tA\tC\n", ["line 2 has the position 'x7', which is not a position"]),
        (f"{COLUMNS}\n1\t{9 * 10**20}\trs1\tA\tC\n", ["line 2 has the position '9000"]),
        (f"{COLUMNS}\n1\t-7\trs1\tA\tC\n", ["line 2 has the position '-7'"]),
        (f"{COLUMNS}\n1\t\N{SUPERSCRIPT TWO}\trs1\tA\tC\n", ["line 2 has the position"]),
        (f"{COLUMNS}\n1\t7\trs1\t.\tC\n", ["line 2 has no reference allele"]),
        (f"{COLUMNS}\n\t7\trs1\tA\tC\n", ["line 2 has no chromosome"]),
        (b"\xff\xfe\x00", ["line 1 is not text"]),
    ],
)
def test_what_is_no_variant_is_named_by_file_and_line(read, tmp_path, text, words):
    with pytest.raises(DataError) as info:
        read(text)
    sentence(info, tmp_path / "v.vcf", *words)


def test_files_that_are_not_there_or_cut_short(read, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        list(read_variants(str(tmp_path / "none.vcf")))
    cut = gzip.compress((f"{COLUMNS}\n" + "1\t7\trs1\tA\tC\n" * 1000).encode())[:-20]
    with pytest.raises(DataError, match="is truncated"):
        read(cut, "v.vcf.gz")


def test_a_damaged_bcf_is_named(tmp_path, caplog):
    import pysam

    header = pysam.VariantHeader()
    header.add_line("##contig=<ID=chr1,length=1000000>")
    path = tmp_path / "v.bcf"
    with pysam.VariantFile(str(path), "wb", header=header) as file:
        for start in range(50_000):
            file.write(header.new_record(contig="chr1", start=start, alleles=("A", "C"), id=f"rs{start * 7919}"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.ERROR), pytest.raises(DataError, match="is damaged after record"):
        list(read_variants(str(path)))


def test_reading_reports_how_far_it_is(tmp_path):
    path = tmp_path / "v.vcf"
    path.write_text(f"{COLUMNS}\n" + "1\t7\trs1\tA\tC\n" * 30_000)
    reports = []
    assert sum(1 for _ in read_variants(str(path), lambda done, total: reports.append((done, total)))) == 30_000
    assert reports[-1] == (path.stat().st_size, path.stat().st_size)
    assert len(reports) == 2
