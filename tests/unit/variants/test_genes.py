"""Where the windows of genes lie, for models that read the middle of what a file holds."""

import numpy as np
import pytest
from toy_genome import write_toy_genome
from toy_models import sentence
from toy_variants import PLACES, REFERENCE

from raygenex.config import parse_config
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.writer import PromoterWriter
from raygenex.errors import DataError
from raygenex.sequence import from_string, to_string
from raygenex.train.checkpoint import CheckpointInfo, InputInfo
from raygenex.variants.genes import Genes, open_genes

# Two bases more on either side than the model reads.
LONGER = {"P": "GTACGTGGGGGC", "M": "GTACGTCCCCGG", "S": "ACGTACATGCCC"}


def described(window=8):
    config = parse_config({}, "test")
    inputs = InputInfo(kind="bases", length=window, channels=4, window=window, halflife_scale="log10")
    return CheckpointInfo(config=config.dump(), config_hash=config.hash(), inputs=inputs)


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


def opened(genome, paths, window=8, **options):
    config = parse_config({"variants": {"genome": genome.path, "genes": paths, **options}}, "test")
    return open_genes(config, described(window), genome)


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


def test_files_that_do_not_say_are_centred(genome, write):
    assert windows_of(opened(genome, write("a.h5", LONGER, None)), genome) == REFERENCE


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
    with pytest.raises(DataError, match=r"the model reads 10 bases a promoter and .* has 8"):
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
    genes = opened(genome, write("a.h5", REFERENCE, -4))
    genes.save(tmp_path)
    found = Genes.load(tmp_path)
    for name in ("gene_id", "chrom", "tss", "strand", "halflife", "first", "window"):
        np.testing.assert_array_equal(getattr(found, name), getattr(genes, name))
