"""Cutting windows and computing features of the toy genome, without a cluster."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from toy_disk import room
from toy_genome import (
    CHROM_I,
    CHROM_II,
    GTF,
    M_CDS1,
    M_CDS2,
    P_CDS1,
    P_CDS2,
    S_CDS,
    other_strand,
)

from raygenex.data.build.extract import ExtractionBatch, cut_batches, extract_batch
from raygenex.data.sketches import EMPTY, protein_sketch, sketch
from raygenex.errors import DataError, FileError
from raygenex.sequence import from_string, to_string

PIECES = {"P": (10, 30, 10, 10), "M": (16, 24, 10, 10), "S": (0, 30, 0, 0)}
GC = {"P": (7 / 10, 12 / 30, 2 / 10), "M": (8 / 16, 12 / 24, 1 / 8), "S": (0, 25 / 30, 0)}
CODING = {"P": P_CDS1 + P_CDS2, "M": M_CDS1 + M_CDS2, "S": S_CDS}
CODING_EXONS = {"P": 2, "M": 2, "S": 1}


def features(gene):
    lengths = [np.log10(bases + 0.1) for bases in PIECES[gene]]
    return [*lengths, *GC[gene], 1000 * CODING_EXONS[gene] / PIECES[gene][1]]


@pytest.fixture
def toy(find, tmp_path):
    """Return a function that finds the genes of the toy genome: the genes, and the path of its FASTA."""
    return lambda **settings: (find(**settings).genes, str(tmp_path / "genome.fa"))


def extracted(toy, tmp_path, sketches=(False, False), **settings):
    genes, genome = toy(**settings)
    found = extract_batch(genome, ExtractionBatch(7, tuple(genes)), str(tmp_path), sketches)
    return found, np.load(found.path)


def test_promoters_by_hand(toy, tmp_path):
    found, promoters = extracted(toy, tmp_path)
    assert found.number == 7
    assert found.path == str(tmp_path / "000007.npy")
    assert (promoters.dtype, promoters.shape) == (np.uint8, (3, 20))
    assert [to_string(row) for row in promoters] == [
        CHROM_I[10:30],
        other_strand(CHROM_I[180:200]),
        CHROM_II[20:40],
    ]
    # The TSS is base 10 counted from 0: the first of the transcript.
    assert [to_string(row[10:14]) for row in promoters] == ["GGGG", "CCCC", "ATGC"]
    assert found.unknown.tolist() == [0, 0, 0]


def test_features_by_hand(toy, tmp_path):
    found, _ = extracted(toy, tmp_path)
    assert found.halflife.shape == (3, 8)
    for row, gene in zip(found.halflife, "PMS", strict=True):
        np.testing.assert_allclose(row, features(gene), rtol=1e-12, err_msg=gene)
    assert found.starts.tolist() == [True, True, True]


def test_unknown_bases_are_counted(toy, tmp_path):
    # The two unknown bases of M are bases 51 and 52 of its transcript.
    found, promoters = extracted(toy, tmp_path, window=[-10, 60])
    assert found.unknown.tolist() == [0, 2, 0]
    assert to_string(promoters[1])[60:64] == "GNNA"
    # P starts at base 21 of its chromosome; M is 30 bases from the end of it, S at base 31.
    found, promoters = extracted(toy, tmp_path, window=[-40, 10], out_of_bounds="pad")
    assert found.unknown.tolist() == [20, 10, 10]
    assert to_string(promoters[0]) == "N" * 20 + CHROM_I[:30]
    assert to_string(promoters[1]) == "N" * 10 + other_strand(CHROM_I[180:])


def test_coding_sequences_that_do_not_start_with_atg(toy, tmp_path):
    genes, genome = toy()
    first = genes[0]
    late = replace(first, transcript=replace(first.transcript, cds=((32, 40), (51, 70))))
    found = extract_batch(genome, ExtractionBatch(0, (late, genes[1])), str(tmp_path), (False, False))
    assert found.starts.tolist() == [False, True]


def test_genes_whose_features_come_from_a_table(toy, tmp_path):
    genes, genome = toy()
    bare = tuple(replace(gene, transcript=None) for gene in genes)
    found = extract_batch(genome, ExtractionBatch(0, bare), str(tmp_path), (True, True))
    assert np.isnan(found.halflife).all()
    assert found.starts.tolist() == [False] * 3
    assert found.promoter_sketch.shape == (3, 128)
    assert found.protein_sketch is None


def test_sketches(toy, tmp_path):
    found, promoters = extracted(toy, tmp_path, (True, True))
    np.testing.assert_array_equal(found.promoter_sketch, sketch(promoters))
    assert (found.promoter_sketch != EMPTY).all()
    expected = protein_sketch([from_string(CODING[gene]) for gene in "PMS"])
    np.testing.assert_array_equal(found.protein_sketch, expected)
    assert (expected != EMPTY).all()
    none, _ = extracted(toy, tmp_path)
    assert (none.promoter_sketch, none.protein_sketch) == (None, None)


def test_a_protein_that_lacks_its_beginning_is_read_in_frame(toy, tmp_path):
    # P without its first two bases and M without its first one: the rest of the first codon is left out.
    text = GTF
    for whole, cut in (
        ("CDS\t31\t40\t.\t+\t.", "CDS\t33\t40\t.\t+\t1"),
        ("CDS\t161\t174\t.\t-\t.", "CDS\t161\t173\t.\t-\t2"),
    ):
        assert whole in text
        text = text.replace(whole, cut)
    found, _ = extracted(toy, tmp_path, (False, True), gtf=text)
    proteins = [from_string(CODING[gene][3:]) for gene in "PM"]
    np.testing.assert_array_equal(found.protein_sketch[:2], protein_sketch(proteins))
    assert found.starts.tolist() == [False, False, True]
    # The features are those of all coding bases.
    np.testing.assert_allclose(found.halflife[:2, 1], np.log10([28.1, 23.1]), rtol=1e-6)


def test_the_batches_do_not_change_the_result(toy, tmp_path):
    genes, genome = toy()
    whole, promoters = extracted(toy, tmp_path, (True, True))
    parts = [extract_batch(genome, batch, str(tmp_path), (True, True)) for batch in cut_batches(genes, 1)]
    np.testing.assert_array_equal(np.concatenate([np.load(part.path) for part in parts]), promoters)
    for name in ("halflife", "unknown", "starts", "promoter_sketch", "protein_sketch"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


def test_a_batch_travels(toy):
    genes, _ = toy()
    batch = ExtractionBatch(0, tuple(genes))
    assert pickle.loads(pickle.dumps(batch)) == batch


@pytest.mark.parametrize(("size", "expected"), [(1, ["P", "M", "S"]), (2, ["PM", "S"]), (3, ["PMS"]), (256, ["PMS"])])
def test_batches_keep_the_order(toy, size, expected):
    genes, _ = toy()
    batches = cut_batches(genes, size)
    assert ["".join(gene.gene_id for gene in batch.genes) for batch in batches] == expected
    assert [batch.number for batch in batches] == list(range(len(expected)))
    assert cut_batches([], size) == []


def test_a_full_disk_is_said_by_the_task_itself(toy, tmp_path, sentence):
    genes, genome = toy()
    with room(len(genes)), pytest.raises(FileError) as info:
        extract_batch(genome, ExtractionBatch(7, tuple(genes)), str(tmp_path), (False, False))
    sentence(info, tmp_path / "000007.npy", "File too large", "make room there")


def test_letters_that_are_no_dna(toy, tmp_path, sentence):
    genes, genome = toy()
    path = tmp_path / "genome.fa"
    path.write_text(path.read_text().replace(S_CDS, "ATG" + "C" * 10 + "!" + "C" * 13 + "TAA"))
    with pytest.raises(DataError) as info:
        extract_batch(genome, ExtractionBatch(0, tuple(genes)), str(tmp_path), (False, False))
    sentence(info, "genome.fa", "chromosome II", "'!'", "base 44")
