"""Importing published tables of features."""

import numpy as np
import pytest
from toy_genome import CHROM_I, other_strand, write_toy_genome

from raygenex.config.data import BuildConfig
from raygenex.data.build.feature_places import choose_rows, place_windows
from raygenex.data.build.feature_table import read_features
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.errors import DataError
from raygenex.sequence import to_string

Z = "gene_id\tchrom\tTSS\tstrand\t" + "\t".join(
    f"{name}_log10zscore" if name.endswith("LEN") else name for name in HALFLIFE_FEATURES
)
ROWS = (
    "G1\tI\t21\t+\t0.1\t-0.2\t0.3\t-0.4\t0.5\t0.6\t0.7\t8\t1",
    "G2\tchrI\t190\t-\t-1.1\t1.2\t-1.3\t1.4\t0.4\t0.3\t0.2\t1\t0",
)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Return a function that reads a table over the toy genome: configuration, table."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    paths = write_toy_genome(tmp_path)

    def read(header=Z + "\tlabel", rows=ROWS, **settings):
        path = tmp_path / "features.tsv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        values = {"features": str(path), "genome": paths["genome"], "window": [-10, 10], **settings}
        config = BuildConfig.model_validate(values)
        return config, read_features(config)

    return read


def windows(config, table, fasta=None):
    genome = open_genome(fasta or config.genome)
    genes, dropped = place_windows(table, genome, config)
    with GenomeReader(genome) as reader:
        cut = {
            gene.gene_id: to_string(reader.window(gene.chrom, gene.tss, gene.strand, gene.first, gene.stop))
            for gene in genes
        }
    return cut, dropped


def test_the_table_of_epinformer(toy):
    config, table = toy()
    assert table.scale == "z-score"
    assert table.gene_id.tolist() == ["G1", "G2"]
    np.testing.assert_allclose(table.halflife[0], [0.1, -0.2, 0.3, -0.4, 0.5, 0.6, 0.7, 8])
    assert table.label.tolist() == [1, 0]
    # chrI of the table is I of the genome; the windows run from 10 bases before the TSS to 9 after it.
    cut, dropped = windows(config, table)
    assert cut == {"G1": CHROM_I[10:30], "G2": other_strand(CHROM_I[180:200])}
    assert dropped == {}


def test_columns_may_come_in_any_order_and_case(toy):
    names = list(reversed(HALFLIFE_FEATURES))
    header = "ENSID\t" + "\t".join(name.lower() for name in names)
    _, table = toy(header, ("G1\t8\t0.7\t0.6\t0.5\t-0.4\t0.3\t-0.2\t0.1",), genome=None, windows="w.fa")
    np.testing.assert_allclose(table.halflife[0], [0.1, -0.2, 0.3, -0.4, 0.5, 0.6, 0.7, 8])
    assert table.label is None
    assert table.locations(["G1"]) is None


def test_lengths_in_bases_become_logarithms(toy):
    header = "gene_id\t" + "\t".join(HALFLIFE_FEATURES)
    _, table = toy(header, ("G1\t120\t999\t0\t40\t0.5\t0.6\t0.7\t8",))
    assert table.scale == "log10"
    np.testing.assert_allclose(table.halflife[0, :4], np.log10([120.1, 999.1, 0.1, 40.1]))
    _, table = toy(header, ("G1\t2.1\t3.0\t-1\t1.6\t0.5\t0.6\t0.7\t8",))
    assert table.scale == "log10"
    np.testing.assert_allclose(table.halflife[0, :4], [2.1, 3.0, -1, 1.6])


PLAIN = "gene_id\t" + "\t".join(HALFLIFE_FEATURES)
BASES = np.array([[120, 1300, 25_000, 900], [300, 2400, 0, 0], [60, 700, 1000, 2000]])


def lines(lengths):
    return [
        "\t".join([f"G{row}", *(f"{value:.6g}" for value in values), "0.5\t0.6\t0.7\t8"])
        for row, values in enumerate(lengths)
    ]


@pytest.mark.parametrize(
    ("lengths", "settings", "given"),
    [
        (BASES, {}, "bases"),
        (BASES + 0.5, {"features_scale": "bases"}, "bases"),
        (np.log10(BASES + 0.1), {}, "log10"),
        (np.log10(BASES + 1), {}, "log10"),
        # z-scores of genes that are longer than most: no logarithm of a length is below -1.
        ([[0.3, 1.2, 1.5, -2.2], [1.4, 2.1, 0.2, 1.9]], {}, "z-score"),
        ([[0.3, 0.6, 1.1, 0.2], [1.4, 1.1, 0.2, 1.3]], {}, "z-score"),
        (np.log10(BASES + 0.1), {"features_scale": "z-score"}, "z-score"),
    ],
)
def test_the_scale_is_told_from_the_values_or_by_the_key(toy, lengths, settings, given):
    _, table = toy(PLAIN, lines(lengths), genome=None, windows="w.fa", **settings)
    assert (table.given, table.scale) == (given, "z-score" if given == "z-score" else "log10")
    expected = np.log10(np.asarray(lengths) + 0.1) if given == "bases" else lengths
    np.testing.assert_allclose(table.halflife[:, :4], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("header", "lengths", "settings", "names"),
    [
        (PLAIN, np.log(BASES + 0.1), {}, ("neither whole bases", "CDSLEN 6.55", "correct them")),
        (PLAIN, np.log(BASES + 1), {}, ("neither whole bases",)),
        (PLAIN, np.log2(BASES + 1), {}, ("neither whole bases",)),
        (PLAIN, BASES / 1000, {}, ("neither whole bases",)),
        (PLAIN, [[500, -3, 0, 40]], {}, ("CDSLEN -3 to -3", "neither whole bases")),
        (PLAIN, BASES + 0.5, {}, ("neither whole bases", "set build.features_scale")),
        (PLAIN, [[0.3, 1.2, 1.5, -2.2]], {"features_scale": "log10"}, ("UTR3LEN -2.2", "are no log10")),
        (PLAIN, np.log(BASES + 0.1), {"features_scale": "log10"}, ("are no log10",)),
        (PLAIN, [[0.3, 1.2, 1.5, -2.2]], {"features_scale": "bases"}, ("are no bases",)),
        (PLAIN, BASES, {"features_scale": "z-score"}, ("are no z-score",)),
        (PLAIN.replace("LEN", "LEN_log10zscore"), BASES, {}, ("UTR5LEN_log10zscore 60 to 300", "are no z-score")),
    ],
)
def test_lengths_of_no_scale_are_refused(toy, sentence, header, lengths, settings, names):
    with pytest.raises(DataError) as info:
        toy(header, lines(lengths), genome=None, windows="w.fa", **settings)
    sentence(info, "features.tsv", *names)


@pytest.mark.filterwarnings("error")
def test_a_table_without_one_complete_gene_warns_of_nothing(toy):
    _, table = toy(PLAIN, ["G0\tNA\t1\tNA\t2\tNA\tNA\tNA\t8"], genome=None, windows="w.fa")
    assert np.isnan(table.halflife[0]).sum() == 5


def test_windows_from_a_bed(toy, tmp_path):
    bed = tmp_path / "w.bed"
    bed.write_text("I\t10\t30\tG1\t0\t+\nI\t180\t200\tG2\t0\t-\n", encoding="utf-8")
    config, table = toy(windows=str(bed))
    cut, _ = windows(config, table)
    assert cut == {"G1": CHROM_I[10:30], "G2": other_strand(CHROM_I[180:200])}


def test_windows_from_a_fasta(toy, tmp_path):
    fasta = tmp_path / "w.fa"
    fasta.write_text(f">G1 first\n{CHROM_I[10:30]}\n>other\n{'A' * 20}\n", encoding="utf-8")
    config, table = toy(windows=str(fasta), genome=None)
    cut, dropped = windows(config, table, str(fasta))
    assert cut == {"G1": CHROM_I[10:30]}
    assert dropped == {"G2": "no window"}


def test_a_gene_without_a_feature_stays_out(toy):
    config, table = toy(rows=(ROWS[0], ROWS[1].replace("\t0.2\t1\t", "\tNA\t1\t")))
    _, dropped = windows(config, table)
    assert dropped == {"G2": "no value of a half-life feature"}


@pytest.mark.parametrize(
    ("header", "rows", "names"),
    [
        (Z.replace("UTR3GC", "x"), ROWS, ("no column UTR3GC",)),
        (Z + "\tlabel", (ROWS[0].replace("\t8\t1", "\t8\t2"),), ("label of gene G1 is 2",)),
        (Z + "\tlabel", (ROWS[0].replace("+", "plus"),), ("strand of gene G1 is 'plus'",)),
        (Z + "\tlabel", (ROWS[0].replace("\t21\t", "\t0\t"),), ("TSS of gene G1 is 0",)),
        (Z + "\tlabel", (ROWS[0].replace("0.1\t", "long\t"),), ("UTR5LEN_log10zscore of gene G1", "'long'")),
        (Z + "\tlabel", (ROWS[0], ROWS[0]), ("gene G1 is in rows 1 and 2",)),
    ],
)
def test_tables_that_cannot_be_used(toy, sentence, header, rows, names):
    with pytest.raises(DataError) as info:
        toy(header, rows)
    sentence(info, "features.tsv", *names)


def test_genes_without_a_place_are_refused(toy, sentence):
    config, table = toy(Z.replace("strand", "side") + "\tlabel")
    with pytest.raises(DataError) as info:
        windows(config, table)
    sentence(info, "features.tsv", "chrom, tss and strand", "build.windows")


def test_a_chromosome_of_another_genome_is_refused(toy, sentence):
    config, table = toy(rows=(ROWS[0].replace("\tI\t", "\tXX\t"),))
    with pytest.raises(DataError) as info:
        windows(config, table)
    sentence(info, "genes on XX", "(it has I, II)")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("I\t10\t31\tG1\t0\t+\nI\t10\t29\tG2\t0\t+", ("line 1", "G1 has 21 bases", "asks for 20")),
        ("I\t10\t30\tG1", ("line 1", "six columns")),
        ("I\t10\t30\tG1\t0\t+\nI\t40\t60\tG1\t0\t+", ("line 2", "another window of gene G1")),
        ("I\t-10\t-1\tG1\t0\t+", ("line 1", "'-1'")),
        ("I\t10\t30\tG1\t0\t*", ("line 1", "+ or - in 6")),
    ],
)
def test_beds_that_cannot_be_used(toy, tmp_path, sentence, line, names):
    bed = tmp_path / "w.bed"
    bed.write_text(line + "\n", encoding="utf-8")
    config, table = toy(windows=str(bed))
    with pytest.raises(DataError) as info:
        windows(config, table)
    sentence(info, "w.bed", *names)


def test_odd_windows_of_a_bed_are_left_out_and_counted(toy, tmp_path):
    bed = tmp_path / "w.bed"
    rows = [ROWS[0].replace("G1", gene) for gene in ("G1", "G2", "G3", "G4", "G5", "G6")]
    lines = ["I\t10\t30\tG1\t0\t+", "I\t10\t29\tG2\t0\t-", "I\t10\t30\tG3\t0\t.", "I\t-5\t15\tG4\t0\t-"]
    bed.write_text("\n".join([*lines, "I\t-11\t9\tG6\t0\t+", "I\t1\t2\tnobody\t0\t+"]) + "\n", encoding="utf-8")
    config, table = toy(rows=rows, windows=str(bed))
    cut, dropped = windows(config, table)
    assert cut == {"G1": CHROM_I[10:30]}
    assert dropped == {
        "G2": "window of another length",
        "G3": "window without a strand",
        "G4": "window leaves the chromosome",
        "G5": "no window",
        "G6": "window leaves the chromosome",
    }
    config, table = toy(rows=rows, windows=str(bed), out_of_bounds="pad")
    assert windows(config, table)[0] == {"G1": CHROM_I[10:30], "G4": other_strand("NNNNN" + CHROM_I[:15])}


@pytest.mark.parametrize("source", ["table", "bed", "fasta"])
def test_chromosomes_are_chosen_by_the_names_of_the_table_or_bed(toy, tmp_path, sentence, source):
    rows = (ROWS[0].replace("\tI\t", "\tchrI\t"), ROWS[1].replace("\tchrI\t", "\tchrUn\t"))
    bed = tmp_path / "w.bed"
    bed.write_text("chrUn\t10\t30\tG1\t0\t+\nchrI\t10\t30\tG1\t0\t+\nchrUn\t0\t20\tG2\t0\t-\n", encoding="utf-8")
    fasta = tmp_path / "w.fa"
    fasta.write_text(f">G1\n{CHROM_I[10:30]}\n>G2\n{CHROM_I[10:30]}\n", encoding="utf-8")
    sources = {"table": {}, "bed": {"windows": str(bed)}, "fasta": {"windows": str(fasta), "genome": None}}[source]
    opened = str(fasta) if source == "fasta" else None
    config, table = toy(rows=rows, chromosomes="chr[IV]*", **sources)
    assert windows(config, table, opened) == ({"G1": CHROM_I[10:30]}, {"G2": "chromosome not chosen"})
    with pytest.raises(DataError) as info:
        # The genome's own name of it is not the table's.
        windows(*toy(rows=rows, chromosomes="I", **sources), opened)
    sentence(info, "nothing matches 'I'", "genes on chrI, chrUn")
    if source == "table":
        with pytest.raises(DataError) as info:
            windows(*toy(rows=rows))
        sentence(info, "genes on chrUn", "(it has I, II)", "build.chromosomes")


@pytest.mark.parametrize("promoters", [True, False])
def test_copies_of_a_gene_on_another_chromosome_are_left_out_first(toy, sentence, promoters):
    alt, un = (ROWS[0].replace("\tI\t", f"\t{name}\t") for name in ("alt", "un"))
    rows = (alt, ROWS[0], un, alt.replace("G1", "G3"), un.replace("G1", "G3"))
    settings = {} if promoters else {"promoters": False, "genome": None, "window": [-10_000, 10_000]}
    with pytest.raises(DataError) as info:
        toy(rows=rows, **settings)
    sentence(info, "gene G1 is in rows 1 and 2")
    config, table = toy(rows=rows, chromosomes="I", **settings)
    if promoters:
        assert windows(config, table) == ({"G1": CHROM_I[10:30]}, {"G3": "chromosome not chosen"})
    else:
        genes, dropped = choose_rows(table, config)
        assert [(gene.gene_id, gene.chrom) for gene in genes] == [("G1", "I")]
        assert dropped == {"G3": "chromosome not chosen"}
    with pytest.raises(DataError) as info:
        toy(rows=(*rows, ROWS[0]), chromosomes="I", **settings)
    sentence(info, "without the copies of genes on chromosomes that are not chosen: gene G1 is in rows 1 and 3")


def test_chromosomes_cannot_be_chosen_where_nothing_says_them(toy, tmp_path, sentence):
    fasta = tmp_path / "w.fa"
    fasta.write_text(f">G1\n{CHROM_I[10:30]}\n", encoding="utf-8")
    config, table = toy(Z.replace("chrom", "place") + "\tlabel", windows=str(fasta), genome=None, chromosomes="I")
    with pytest.raises(DataError) as info:
        windows(config, table, str(fasta))
    sentence(info, "features.tsv", "no column chrom", "build.chromosomes")


def test_versions_are_left_out_of_a_bed_too(toy, tmp_path):
    bed = tmp_path / "w.bed"
    bed.write_text("I\t10\t30\tG1.7\t0\t+\n", encoding="utf-8")
    config, table = toy(rows=(ROWS[0].replace("G1", "G1.3"),), windows=str(bed), strip_versions=True)
    assert windows(config, table)[0] == {"G1": CHROM_I[10:30]}


def test_a_fasta_of_other_lengths_is_refused(toy, tmp_path, sentence):
    fasta = tmp_path / "w.fa"
    fasta.write_text(f">G1\n{CHROM_I[10:35]}\n", encoding="utf-8")
    config, table = toy(windows=str(fasta), genome=None)
    with pytest.raises(DataError) as info:
        windows(config, table, str(fasta))
    sentence(info, "G1 has 25 bases", "asks for 20", "build.window")


def test_a_tss_beyond_the_chromosome_is_refused(toy, sentence):
    config, table = toy(rows=(ROWS[0].replace("\t21\t", "\t900\t"),), out_of_bounds="pad")
    with pytest.raises(DataError) as info:
        windows(config, table)
    sentence(info, "TSS of gene G1 is base 900 of I", "220 bases", "one build")


def test_versions_must_not_be_all_that_tells_genes_apart(toy, sentence):
    rows = (ROWS[0].replace("G1", "G.1"), ROWS[1].replace("G2", "G.2"))
    with pytest.raises(DataError) as info:
        toy(rows=rows, strip_versions=True)
    sentence(info, "without version suffixes", "gene G")


def test_a_gene_without_a_place_stays_out(toy):
    config, table = toy(rows=(ROWS[0], ROWS[1].replace("\t190\t", "\tNA\t")))
    cut, dropped = windows(config, table)
    assert list(cut) == ["G1"]
    assert dropped == {"G2": "no window"}
