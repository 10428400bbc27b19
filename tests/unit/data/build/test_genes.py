"""Where the genes of a data set come from."""

import pytest
from toy_genome import CHROM_I, EXPRESSION, GTF, write_toy_genome

from raygenex.config.data import BuildConfig
from raygenex.data.build.genes import describe_taken, read_origin
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import DataError

TABLE = "gene_id\tchrom\tTSS\tstrand\t" + "\t".join(HALFLIFE_FEATURES)
ROWS = ("G1\tI\t21\t+\t120\t999\t0\t40\t0.5\t0.6\t0.7\t8", "G2\tI\t190\t-\t12\t99\t0\t4\t0.5\t0.6\t0.7\t8")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Return a function that reads the origin of the toy genome; texts of the files may be changed."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    paths = write_toy_genome(tmp_path)

    def read(gtf=GTF, expression=EXPRESSION, label=None, **settings):
        (tmp_path / "genes.gtf").write_text(gtf, encoding="utf-8")
        (tmp_path / "expression.tsv").write_text(expression, encoding="utf-8")
        values = {"genome": paths["genome"], "annotation": paths["annotation"], "window": [-10, 10]} | settings
        values["label"] = {"table": paths["expression"]} | (label or {})
        return read_origin(BuildConfig.model_validate(values))

    return read


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Return a function that reads the origin of a table of features."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    paths = write_toy_genome(tmp_path)

    def read(header=TABLE + "\tlabel", rows=(f"{ROWS[0]}\t1", f"{ROWS[1]}\t0"), **settings):
        path = tmp_path / "features.tsv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        values = {"features": str(path), "genome": paths["genome"], "window": [-10, 10]} | settings
        return read_origin(BuildConfig.model_validate(values))

    return read


def names(origin):
    return [gene.gene_id for gene in origin.genes]


# From an annotation


def test_an_annotation(toy, tmp_path):
    origin = toy()
    assert names(origin) == ["P", "M", "S"]
    assert origin.dropped == {"R": "biotype tRNA"}
    assert origin.where == str(tmp_path / "genes.gtf")
    assert (origin.genome_build, origin.halflife_scale, origin.table, origin.on_genome) == ("TOY1", "log10", None, True)
    # The median of the samples a and b; the table has a value of R too.
    assert {gene: origin.value[gene] for gene in "PMS"} == {"P": 2, "M": 15, "S": 6}
    assert origin.columns == ("a", "b")
    places = origin.locations()
    assert (places.chrom.tolist(), places.tss.tolist()) == (["I", "I", "II"], [21, 190, 31])
    assert places.strand.tolist() == ["+", "-", "+"]
    assert {type(value) for value in (*places.chrom, *places.strand)} == {str}


def test_the_name_of_the_build_may_be_given(toy):
    assert toy(genome_build="mine").genome_build == "mine"
    assert toy(gtf=GTF.removeprefix("#!genome-build TOY1\n")).genome_build is None


def test_genes_that_nobody_measured_stay_out(toy):
    origin = toy(expression=EXPRESSION.replace("M\tmm\t10\t20\n", "M\tmm\tNA\t\n").replace("S\tss\t5\t7\n", ""))
    assert names(origin) == ["P"]
    assert origin.dropped == {"R": "biotype tRNA", "M": "no expression", "S": "no expression"}


def test_no_gene_is_left(toy, sentence):
    with pytest.raises(DataError) as info:
        toy(window=[-110, 110])
    sentence(info, "genes.gtf", "(3 window leaves the chromosome, 1 biotype tRNA)", "loosen the settings of build")
    with pytest.raises(DataError) as info:
        toy(biotypes="tRNA", window=[-5, 5])
    sentence(info, "(1 no coding sequence, 3 biotype protein_coding): loosen the settings of build")


def test_a_biotype_that_no_gene_has(toy, sentence):
    with pytest.raises(DataError) as info:
        toy(biotypes=["protein_coding", "lncRNA"])
    sentence(info, "build.biotypes", "'lncRNA'", "it has protein_coding, tRNA")


def test_no_gene_of_the_table(toy, sentence):
    with pytest.raises(DataError) as info:
        toy(expression="gene_id\ta\nX\t1\nY\t2\n")
    sentence(info, "no gene of", "genes.gtf (such as P)", "expression.tsv (such as X)", "gene_column")


def test_versions_on_one_side(toy, sentence):
    gtf = GTF.replace('gene_id "P"', 'gene_id "P.3"').replace('gene_id "M"', 'gene_id "M.11"')
    gtf = gtf.replace('gene_id "S"', 'gene_id "S.2"')
    with pytest.raises(DataError) as info:
        toy(gtf)
    sentence(info, "0 of 3 genes", "P.3", "3 are without version suffixes", "build.strip_versions to true")
    assert names(toy(gtf, strip_versions=True)) == ["P", "M", "S"]
    assert names(toy(expression=EXPRESSION.replace("\nP\t", "\nP.1\t"), strip_versions=True)) == ["P", "M", "S"]


def test_what_is_wrong_with_a_small_file_is_said_first(toy, sentence, tmp_path, monkeypatch):
    from raygenex.data.build import genes as module

    def fail(*arguments):
        raise AssertionError("a large file was read")

    monkeypatch.setattr(module, "open_genome", fail)
    monkeypatch.setattr(module, "read_annotation", fail)
    with pytest.raises(DataError) as info:
        toy(expression=EXPRESSION.replace("10\t20", "high\t20"), label={"columns": ["a", "b"]})
    sentence(info, "expression.tsv", "a of gene M", "'high'")


def test_genes_can_be_left_out(toy, sentence):
    origin = toy()
    left = origin.without({"S", "M"}, "no split")
    assert names(left) == ["P"]
    assert left.dropped == {"R": "biotype tRNA", "M": "no split", "S": "no split"}
    assert names(origin) == ["P", "M", "S"]
    assert names(origin.without(set(), "no split")) == ["P", "M", "S"]
    with pytest.raises(DataError) as info:
        left.without({"P"}, "no split")
    sentence(info, "genes.gtf", "(3 no split, 1 biotype tRNA)", "name these genes in split.file")


# From a table of features


def test_a_table_with_its_genome(published, tmp_path):
    origin = published(genome_build="TOY1")
    assert names(origin) == ["G1", "G2"]
    assert {gene.transcript for gene in origin.genes} == {None}
    assert (origin.where, origin.on_genome) == (str(tmp_path / "features.tsv"), True)
    assert (origin.genome_build, origin.halflife_scale) == ("TOY1", "log10")
    assert (dict(origin.value), origin.columns) == ({"G1": 1, "G2": 0}, ("label",))
    assert origin.locations().tss.tolist() == [21, 190]


def test_a_table_of_z_scores(published):
    header = TABLE.replace("LEN", "LEN_log10zscore") + "\tlabel"
    rows = ("G1\tI\t21\t+\t0.2\t1.9\t0\t-0.4\t0.5\t0.6\t0.7\t8\t1", "G2\tI\t190\t-\t1\t2\t0\t4\t0.5\t0.6\t0.7\t8\t0")
    assert published(header=header, rows=rows).halflife_scale == "z-score"


def test_a_table_with_an_expression_table(published, tmp_path, sentence):
    path = tmp_path / "e.tsv"
    path.write_text("gene_id\tv\nG1\t5\nX\t7\n")
    origin = published(label={"table": str(path)})
    assert names(origin) == ["G1"]
    assert origin.dropped == {"G2": "no expression"}
    assert origin.columns == ("v",)
    path.write_text("gene_id\tv\nX\t7\n")
    with pytest.raises(DataError) as info:
        published(label={"table": str(path)})
    sentence(info, "no gene of", "features.tsv (such as G1)", "e.tsv (such as X)")


def test_a_table_without_labels(published, sentence):
    with pytest.raises(DataError) as info:
        published(header=TABLE, rows=ROWS)
    sentence(info, "features.tsv has no label column", "build.label.table")


def test_a_gene_without_a_label_stays_out(published):
    origin = published(rows=(f"{ROWS[0]}\t1", f"{ROWS[1]}\tNA"))
    assert names(origin) == ["G1"]
    assert origin.dropped == {"G2": "no label"}


def test_a_table_without_promoters(published, sentence):
    with pytest.raises(DataError) as info:
        published(genome=None)
    sentence(info, "features.tsv has no promoters", "build.genome", "build.windows")


@pytest.mark.parametrize("placed", [True, False])
def test_windows_of_a_fasta_lie_where_the_table_says(published, tmp_path, placed):
    fasta = tmp_path / "w.fa"
    fasta.write_text(f">G2\n{CHROM_I[10:30]}\n>G1\n{CHROM_I[40:60]}\n", encoding="utf-8")
    header = TABLE if placed else TABLE.replace("strand", "side")
    origin = published(header=f"{header}\tlabel", windows=str(fasta))
    # In the order of the FASTA, each in a record of its own.
    assert names(origin) == ["G2", "G1"]
    assert [gene.chrom for gene in origin.genes] == ["G2", "G1"]
    assert not origin.on_genome
    places = origin.locations()
    if not placed:
        assert places is None
        return
    assert (places.chrom.tolist(), places.tss.tolist(), places.strand.tolist()) == (["I"] * 2, [190, 21], ["-", "+"])


def test_windows_of_a_bed_lie_on_the_genome(published, tmp_path):
    bed = tmp_path / "w.bed"
    bed.write_text("I\t30\t50\tG1\t0\t+\nI\t180\t200\tG2\t0\t-\n", encoding="utf-8")
    origin = published(windows=str(bed))
    assert origin.on_genome
    assert origin.locations().tss.tolist() == [41, 190]


def test_columns_are_named_where_labels_are_made_of_them():
    assert describe_taken(["a"], "median", 1.5, None) == ("expression: a",)
    assert describe_taken(["a", "b"], "mean", 0.0, "bases") == (
        "expression: the mean of 2 columns (a, b)",
        "features: their lengths are bases",
    )
    assert describe_taken(["label"], "median", None, "log10") == ("features: their lengths are log10",)
