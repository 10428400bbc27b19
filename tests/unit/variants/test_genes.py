"""Where the windows of genes lie, for models that read the middle of what a file holds."""

from dataclasses import replace

import numpy as np
import pytest
from toy_genome import write_toy_genome
from toy_models import sentence
from toy_variants import LABEL, PLACES, REFERENCE

from raygenex.config.load import parse_config
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.errors import DataError
from raygenex.sequence import from_string, to_string
from raygenex.train.checkpoint import CheckpointInfo, InputInfo
from raygenex.variants.genes import ScoredGenes, open_genes

# Two bases more on either side than the model reads.
LONGER = {"P": "GTACGTGGGGGC", "M": "GTACGTCCCCGG", "S": "ACGTACATGCCC"}


def described(window=8, build=None):
    """Describe a model whose data were made with the window ``build``, if one is given."""
    config = parse_config({} if build is None else {"build": section(build)}, "test")
    inputs = InputInfo(kind="bases", length=window, channels=4, window=window, halflife_scale="log10")
    return CheckpointInfo(config=config.dump(), config_hash=config.hash(), inputs=inputs)


def section(window):
    return {"genome": "other.fa", "annotation": "other.gtf", "label": LABEL, "window": window}


@pytest.fixture
def genome(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    return open_genome(write_toy_genome(tmp_path)["genome"])


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the genes with windows from ``first``."""

    def make(name, windows, first, genes="PMS", places=PLACES):
        chrom, tss, strand = (
            np.array(values, dtype=object) for values in zip(*(places[g] for g in genes), strict=True)
        )
        attrs = {"halflife_scale": "log10"} | ({} if first is None else {"window_first": first})
        with PromoterWriter(tmp_path / name, len(windows[genes[0]]), attrs=attrs) as writer:
            writer.append(
                list(genes),
                np.stack([from_string(windows[gene]) for gene in genes]),
                np.arange(8.0 * len(genes)).reshape(-1, 8),
                None,
                {"chrom": chrom, "tss": tss.astype(np.int64), "strand": strand},
            )
        return str(tmp_path / name)

    return make


def opened(genome, paths, window=8, trained=None, build=None, **options):
    """Open genes for a model whose data were built with ``trained``, by a configuration that builds ``build``."""
    values = {"variants": {"genome": genome.path, "genes": paths, **options}}
    config = parse_config(values if build is None else values | {"build": section(build)}, "test")
    return open_genes(config, described(window, trained), genome)


def windows_of(genes, genome):
    """Cut the windows from the forward strand by `Genes.low`."""
    with GenomeReader(genome) as reader:
        cut = {}
        for row, gene in enumerate(genes.gene_id):
            text = to_string(reader.fetch(str(genes.chrom[row]), genes.low[row], genes.low[row] + genes.window))
            cut[str(gene)] = text if genes.strand[row] == "+" else text[::-1].translate(str.maketrans("ACGT", "TGCA"))
        return cut


def test_windows_lie_where_the_files_cut_them(genome, write):
    genes = opened(genome, write("a.h5", REFERENCE, -4))
    assert (genes.first, genes.window) == (-4, 8)
    assert genes.tss.tolist() == [20, 189, 30]
    assert genes.low.tolist() == [16, 186, 26]
    assert windows_of(genes, genome) == REFERENCE
    assert genes.halflife[1].tolist() == list(range(8, 16))


def test_the_model_reads_the_middle(genome, write):
    genes = opened(genome, write("a.h5", LONGER, -6))
    assert genes.first == -4
    assert windows_of(genes, genome) == REFERENCE
    # Of an odd window the base of index 6 // 2 is where that of index 13 // 2 was, on either strand.
    odd = opened(genome, write("b.h5", {gene: text + "C" for gene, text in LONGER.items()}, -6, "S"), window=7)
    assert odd.first == -6 + 6 - 3
    assert windows_of(odd, genome) == {"S": "TACATGC"}


def test_files_that_do_not_say_are_centred(genome, write, caplog):
    genes = opened(genome, write("a.h5", LONGER, None))
    assert windows_of(genes, genome) == REFERENCE
    # Their promoters are those of the genome there: nothing is left to assume.
    assert not genes.assumed
    assert not caplog.records


def test_files_that_do_not_say_and_are_not_centred(genome, write):
    path = write("a.h5", {"S": "ACATGCCC"}, None, "S")
    with pytest.raises(
        DataError, match=r"from base -4 from the TSS: .* in variants\.genome, or set variants\.window_f"
    ):
        opened(genome, path)
    assert windows_of(opened(genome, path, trained=[-2, 6]), genome) == {"S": "ACATGCCC"}


def test_files_without_promoters_say_where_windows_start(genome, write, caplog):
    genes = opened(genome, write("a.h5", {"S": ""}, -2, "S"))
    assert windows_of(genes, genome) == {"S": "ACATGCCC"}
    assert not genes.assumed
    assert not caplog.records


@pytest.mark.parametrize("source", ["files", "annotation"])
@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"trained": [-50, 10], "window": 60}, -50),
        # Bases -50 to 9 without 5 at either end, as data.window cuts them.
        ({"trained": [-50, 10], "window": 50}, -45),
        ({"trained": [-50, 10], "build": [-40, 20], "window": 60}, -40),
        ({"trained": [-50, 10], "window_first": -5, "window": 60}, -5),
    ],
)
def test_where_windows_start_is_said_by_a_build(genome, write, tmp_path, caplog, source, options, first):
    if source == "annotation":
        options = options | {"annotation": str(tmp_path / "genes.gtf")}
    genes = opened(genome, write("a.h5", {"S": ""}, None, "S") if source == "files" else (), **options)
    assert (genes.first, genes.window, genes.assumed) == (first, options["window"], False)
    assert not caplog.records


def test_the_windows_of_the_model_go_before_what_a_build_would_make(genome, write):
    info = described(6, [-50, 10])
    info.inputs.first = -3
    config = parse_config({"variants": {"genome": genome.path, "genes": write("a.h5", REFERENCE, None)}}, "test")
    with pytest.raises(DataError, match="differs from"):
        # The file's windows begin at -4, which it does not say.
        open_genes(config, info.model_copy(update={"inputs": info.inputs.model_copy(update={"first": -2})}), genome)
    genes = open_genes(config, info, genome)
    assert (genes.first, genes.window, genes.assumed) == (-3, 6, False)


def test_genes_of_windows_that_lie_elsewhere_are_refused(genome, write):
    path = write("a.h5", REFERENCE, -4)
    info = described(8)
    info.inputs.first = -4
    config = parse_config({"variants": {"genome": genome.path, "genes": path}}, "test")
    assert open_genes(config, info, genome).first == -4
    info.inputs.first = 12
    with pytest.raises(DataError) as found:
        open_genes(config, info, genome)
    sentence(found, path, "begin at base +12", "begin at -4")


@pytest.mark.parametrize("source", ["files", "annotation"])
@pytest.mark.parametrize("trained", [None, [-50, 5]])
def test_windows_that_nothing_places_are_said_to_be_assumed(genome, write, tmp_path, caplog, source, trained):
    # A build of 55 bases is not what a model of 60 was trained on.
    options = {"annotation": str(tmp_path / "genes.gtf")} if source == "annotation" else {}
    paths = write("a.h5", {"S": ""}, None, "S") if source == "files" else ()
    genes = opened(genome, paths, window=60, trained=trained, **options)
    assert (genes.first, genes.window, genes.assumed) == (-30, 60, True)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "taken as centred, from base -30 from the TSS, because nothing says" in record.getMessage()
    assert "set variants.window_first" in record.getMessage()


def test_the_windows_may_be_said(genome, write):
    genes = opened(genome, write("a.h5", {"S": "ACATGCCC"}, None, "S"), window_first=-2)
    assert windows_of(genes, genome) == {"S": "ACATGCCC"}
    beside = opened(genome, write("b.h5", REFERENCE, -4), window_first=1)
    assert windows_of(beside, genome)["P"] == "GGGGCCAA"


def test_files_of_different_windows_are_refused(genome, write):
    one, other = write("a.h5", {"P": REFERENCE["P"]}, -4, "P"), write("b.h5", {"S": "ACATGCCC"}, -2, "S")
    with pytest.raises(DataError) as info:
        opened(genome, [one, other])
    sentence(info, one, other, "start at base -4 in", "at base -2 in")
    with pytest.raises(DataError, match=r"the model reads 10 bases per promoter and .* has 8"):
        opened(genome, one, window=10)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("III", 31, "+"), ["has genes on III", "does not have (it has I, II)", "variants.genome"]),
        (("II", 131, "+"), ["the TSS of gene S is base 131 of II", "100 bases"]),
        (("II", 32, "+"), ["the promoter of gene S", "differs from"]),
        (("II", 31, "-"), ["the promoter of gene S", "differs from"]),
    ],
)
def test_genes_of_another_genome_are_refused(genome, write, place, words):
    path = write("a.h5", REFERENCE, -4, "PS", PLACES | {"S": place})
    with pytest.raises(DataError) as info:
        opened(genome, path)
    sentence(info, genome.path, *words)


def test_names_of_chromosomes_become_those_of_the_genome(genome, write):
    places = {gene: (f"chr{chrom}", tss, strand) for gene, (chrom, tss, strand) in PLACES.items()}
    assert opened(genome, write("a.h5", REFERENCE, -4, places=places)).chrom.tolist() == ["I", "I", "II"]


def test_genes_travel_between_processes(genome, write, tmp_path):
    genes = replace(opened(genome, write("a.h5", REFERENCE, -4)), assumed=True)
    genes.save(tmp_path)
    found = ScoredGenes.load(tmp_path)
    for name in ("gene_id", "chrom", "tss", "strand", "halflife", "first", "window", "assumed"):
        np.testing.assert_array_equal(getattr(found, name), getattr(genes, name))
