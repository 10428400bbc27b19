"""Anything at all in FASTA, GTF, GFF3, VCF, BED, tables and split files: it works, or one sentence says why not."""

import gzip

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from toy_fuzz import answer, examples, within

from raygenex.config.data import BuildConfig
from raygenex.data.build.annotation import read_annotation
from raygenex.data.build.bed import bed_lines, read_peaks
from raygenex.data.build.feature_table import read_features
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.splits.file import read_split
from raygenex.data.table_file import read_table_file
from raygenex.data.tables import choose_columns, gene_column, numbers
from raygenex.files.lines import read_lines
from raygenex.variants.records import read_variants

# Pieces that a reader looks at, beside anything else.
NUMBER = st.one_of(
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(
        ["0", "-1", "1e400", "nan", "inf", "", ".", "NA", "٣", "²", "1_0", "0x10", " 7", "9" * 5000, "1.5"]
    ),
)
ODD = st.one_of(
    NUMBER,
    st.text(max_size=12),
    st.sampled_from(
        [
            "+",
            "-",
            "chr1",
            "I",
            "A",
            "ACGT",
            "N",
            "<DEL>",
            "*",
            "gene",
            "exon",
            "CDS",
            "\ufeff",
            '"',
            "'",
            "\x00",
            "\x1b[2J",
            "#",
            "=",
        ]
    ),
)
# A byte of the packed data is wrong, which zlib alone can tell.
FLIPPED = bytearray(gzip.compress(b"\n\n0,0\n", mtime=0))
FLIPPED[10] = 0
FLIPPED = bytes(FLIPPED)
END = st.sampled_from(["\n", "\r\n", "\r", ""])


def lines_of(separator: str, heads: list[str], width: int):
    """Draw text of lines of fields behind one of some heads."""
    line = st.lists(ODD, max_size=width + 2).map(separator.join)
    body = st.lists(st.tuples(line, END).map("".join), max_size=6).map("".join)
    return st.tuples(st.sampled_from(heads), body).map("".join)


def packed(draw_text, raw=None):
    """Draw bytes: the text as it is, as gzip, cut short, with a byte changed, or anything at all."""

    def make(parts):
        text, how, at, byte = parts
        data = text.encode("utf-8", "surrogatepass")
        if how.startswith("gzip"):
            data = gzip.compress(data, mtime=0)
        if how.endswith("cut"):
            data = data[: at % (len(data) + 1)]
        if how.endswith("flip") and data:
            at %= len(data)
            data = data[:at] + bytes([byte]) + data[at + 1 :]
        return data

    hows = st.sampled_from(["plain", "plain", "cut", "flip", "gzip", "gzip cut", "gzip flip"])
    made = st.tuples(draw_text, hows, st.integers(0, 10_000), st.integers(0, 255)).map(make)
    return st.one_of(made, made, made, st.binary(max_size=60) if raw is None else raw)


@pytest.fixture(scope="module")
def put(tmp_path_factory):
    """Return a function that writes a new file of a name and returns its path."""
    folder = tmp_path_factory.mktemp("fuzz")
    count = iter(range(10**9))

    def write(name, data):
        path = folder / f"{next(count)}-{name}"
        path.write_bytes(data)
        return str(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYGENEX_CACHE", str(folder / "cache"))
        yield write


FASTA = packed(
    st.lists(
        st.tuples(
            st.sampled_from([">", ">I", ">I x", "> ", ">II", "ACGTN", "acgt", "AC-T", "", "ACGTACGT", ";x"])
            | st.text(max_size=9),
            END,
        ).map("".join),
        max_size=8,
    ).map("".join)
)


@examples()
@given(FASTA)
@example(b">\nACGT\n")
@example(b">I\nACGT\n>I\nAC\n")
@example(b">\x80\n0\n")
@example(b">\x80")
@example(b">I\n" + b"A" * 100_000)
def test_fasta(put, data):
    path = put("a.fa", data)
    genome = answer(lambda: open_genome(path), path)
    if isinstance(genome, Exception):
        return

    def read():
        with GenomeReader(genome) as reader:
            for chrom, length in genome.lengths.items():
                assert len(reader.fetch(chrom, 0, length)) == length
                assert len(reader.window(chrom, 3, "-", -5, 5)) == 10

    answer(read, path)


@examples()
@given(st.text(max_size=30) | lines_of("\t", [""], 5))
@example("I\t1000000000000\t3\t60\t61\n")
@example("I\t-5\t3\t60\t61\n")
@example("I\t8\t99999999999\t60\t61\n")
@example("I\t8\t3\t0\t0\n")
@example("II\t8\t3\t60\t61\n")
def test_an_index_beside_the_fasta(put, index):
    path = put("b.fa", b">I\nACGTACGT\n")
    with open(path + ".fai", "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(index)
    genome = answer(lambda: open_genome(path))
    if isinstance(genome, Exception):
        return

    def read():
        with GenomeReader(genome) as reader:
            for chrom, length in genome.lengths.items():
                reader.window(chrom, max(1, length // 2), "+", -5, 5)

    answer(read, path)


GFF = lines_of(
    "\t",
    [
        "",
        "##gff-version 3\n",
        'I\tx\tgene\t1\t9\t.\t+\t.\tgene_id "A";\n',
        "I\tx\tgene\t1\t9\t.\t+\t.\tID=gene:A\n",
        'I\tx\texon\t1\t9\t.\t+\t.\tgene_id "A"; transcript_id "T";\n',
        "I\tx\texon\t1\t9\t.\t+\t.\tParent=A\nI\tx\tmRNA\t1\t9\t.\t+\t.\tID=A;Parent=A\n",
    ],
    9,
)
FEATURE = st.builds(
    "{}\tx\t{}\t{}\t{}\t.\t{}\t.\t{}\n".format,
    ODD,
    st.sampled_from(["gene", "transcript", "exon", "CDS", "stop_codon", "mRNA"]),
    st.sampled_from(["1", "5", "9", "0"]) | NUMBER,
    st.sampled_from(["9", "20", "1"]) | NUMBER,
    st.sampled_from("+-.?x"),
    st.sampled_from(
        ['gene_id "A"; transcript_id "T";', "ID=A", "ID=T;Parent=A", "Parent=T", "ID=A;Parent=A", 'gene_id "A']
    )
    | st.text(max_size=20),
)


@examples()
@given(packed(GFF | st.lists(FEATURE, max_size=8).map("".join)))
@example(b"I\tx\tgene\t1\t" + b"9" * 5000 + b"\t.\t+\t.\tID=A\n")
def test_annotation(put, data):
    path = put("a.gtf", data)
    answer(lambda: read_annotation(path), path)


VCF = lines_of(
    "\t",
    ["", "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n", "chrom\tpos\tref\talt\n", "alt\tchrom\tpos\tref\n"],
    5,
)


@examples()
@given(
    packed(
        VCF | lines_of(",", ["chrom,pos,ref,alt\n", "\ufeffCHROM,POS,REF,ALT\r\n"], 4),
        st.binary(max_size=60).map(b"BCF\x02\x02".__add__),
    )
)
@example(b'chrom,pos,ref,alt\n"' + b"A" * 200_000)
@example(FLIPPED)
@example(b'chrom,pos,ref,alt\nI,1,"A\rC",T\n')
def test_variants(put, data):
    path = put("a.vcf", data)
    answer(lambda: list(read_variants(path)), path)


BED = lines_of("\t", ["", "track x\n", "#c\n", "I\t1\t9\tp\t5\t+\n", "I\t1\t9\tp\t5\t+\t3\t4\n"], 8)


@examples()
@given(packed(BED))
@example(b"I\t1\t9\tp\tnan\t+\n")
def test_bed(put, data):
    path = put("a.bed", data)
    answer(lambda: read_peaks(path), path)
    answer(lambda: list(bed_lines(path)), path)


HEADER = "\t".join(["gene_id", *HALFLIFE_FEATURES])
TABLE_NAMES = st.sampled_from(["a.csv", "a.tsv", "a.csv.gz", "a.txt.gz", "a.parquet"])
TABLE = st.one_of(
    lines_of(",", ["", "gene_id,x\n", "gene_id,gene_id\n", "#c\ngene_id,x,split\n"], 3),
    lines_of("\t", ["", f"{HEADER}\n", f"{HEADER}\tchrom\ttss\tstrand\tlabel\n", "gene_id\tsplit\n"], 12),
)


@examples(60)
@given(TABLE_NAMES, packed(TABLE))
@example("a.csv", b"gene_id,x\nA,1\n,")
@example("a.csv", b"\r0\n")
@example("a.csv.gz", FLIPPED)
@example("a.tsv", HEADER.encode() + b"\nA" + b"\tnan" * 8 + b"\n")
@example("a.tsv", HEADER.encode() + b"\n" + b"A" + b"\t" * 8 + b"\n")
def test_tables(put, name, data):
    path = put(name, data)
    table = answer(lambda: read_table_file(path), path)
    if not isinstance(table, Exception):
        genes = answer(lambda: gene_column(table, path, str(table.columns[0]), strip_versions=True), path)
        if not isinstance(genes, Exception):
            names = answer(lambda: choose_columns(table, path, (), str(table.columns[0])), path)
            for column in [] if isinstance(names, Exception) else names:
                answer(lambda: numbers(table, path, column, genes), path)  # noqa: B023
    answer(lambda: read_features(BuildConfig(features=path)), path)
    answer(lambda: read_split(path), path)


@examples(20)
@given(st.text(max_size=40), st.text(max_size=40))
@example("null", "")
@example("[" * 100_000, "")
def test_split_rule(put, rule, rest):
    data = f"# raygenex split 1\n# rule: {rule}\n{rest}".encode("utf-8", "surrogatepass")
    path = put("s.tsv", data)
    answer(lambda: read_split(path), path)


@examples(20)
@given(packed(st.text(max_size=60)))
def test_lines(put, data):
    path = put("a.txt", data)
    answer(lambda: list(read_lines(path)), path)


@pytest.mark.parametrize(
    "path",
    [
        "a\x00b.txt",
        "a\nb.txt",
        "x" * 5000,
        "\udcff.txt",
        "http://[",
        "file://a\x00",
        "zip://",
        "://",
        "~nobody-at-all/a",
    ],
)
@pytest.mark.parametrize(
    "read",
    [
        open_genome,
        read_annotation,
        read_table_file,
        read_split,
        lambda path: list(read_variants(path)),
        lambda path: list(read_lines(path)),
    ],
    ids=["fasta", "annotation", "table", "split", "variants", "lines"],
)
def test_paths(read, path):
    assert isinstance(answer(lambda: read(path)), Exception)


def bombs(folder, units, **heads_and_units):
    """Write files that unpack to so many MiB each, a thousandth of which they take."""
    paths = []
    for name, (head, unit) in heads_and_units.items():
        paths.append(folder / name.replace("_", "."))
        # Files of gzip may follow one another.
        paths[-1].write_bytes(gzip.compress(head) + gzip.compress(unit * (2**20 // len(unit))) * units)
    return paths


def test_tables_that_unpack_to_anything_take_no_memory(tmp_path):
    code = """
import pandas.io.parsers, pyarrow.parquet
from raygenex.files import lines
from raygenex.data.splits.file import read_split
from raygenex.data.table_file import read_table_file
from raygenex.variants.records import read_variants
lines._ALWAYS_UNPACKED = 4 * 2**20
limit()
for path in sys.argv[1:]:
    for call in (read_table_file, read_split, lambda path: sum(1 for record in read_variants(path))):
        print(answer(lambda: call(path), path))
"""
    paths = bombs(
        tmp_path,
        20,
        line_csv_gz=(b"gene_id,x\n", b"A"),
        header_csv_gz=(b"", b"A"),
        lines_tsv_gz=(b"gene_id\tx\n", b"AAAAAA\t1\n"),
        comments_csv_gz=(b"", b"#" * 63 + b"\n"),
    )
    said = within(400, code, *paths).splitlines()
    assert all("gz" in line for line in said), said
    assert sum("unpacks to more than" in line for line in said) >= 4, said


def test_fasta_that_unpacks_to_anything_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    code = """
import pysam
from raygenex.data.genome import open_genome
limit()
for path in sys.argv[1:]:
    found = answer(lambda: open_genome(path), path)
    print(found if isinstance(found, Exception) else found.lengths)
"""
    paths = bombs(tmp_path, 30, line_fa_gz=(b">I\n", b"A"), name_fa_gz=(b">", b"A"))
    said = within(40, code, *paths).splitlines()
    assert said[0] == str({"I": 30 * 2**20})
    assert "name" in said[1]
    assert "10000" in said[1]


def test_a_line_of_100_mb_is_refused(tmp_path):
    path = tmp_path / "a.vcf"
    path.write_bytes(b"#CHROM\tPOS\tID\tREF\tALT\nI\t1\t.\tA\t" + b"C" * 100_000_000)
    error = answer(lambda: list(read_variants(str(path))), path)
    assert "line 2 is longer than 64 MiB" in str(error)
    path.write_bytes(b"I\tx\tgene\t1\t2\t.\t+\t.\t" + b"C" * 100_000_000)
    assert "line 1 is longer than 64 MiB" in str(answer(lambda: read_annotation(str(path)), path))
