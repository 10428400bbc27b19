"""Sketches of k-mer sets."""

import numpy as np
import pytest
from toy_sequences import exact, jaccard, mutate, random_bases

from raygenex.data import sketches
from raygenex.data.similarity import best_partners, clusters
from raygenex.data.sketches import EMPTY, protein_sketch, sequence_digests, sketch
from raygenex.sequence import from_string, reverse_complement


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize(("length", "rows"), [(60, 300), (300, 200), (2000, 60)])
@pytest.mark.parametrize("rate", [0.005, 0.02, 0.06])
def test_estimate_is_unbiased_and_within_its_error(rng, length, rows, rate):
    a = random_bases(rng, rows, length)
    b = mutate(rng, a, rate)
    truth = np.array([exact(*pair) for pair in zip(a, b, strict=True)])
    error = jaccard(sketch(a), sketch(b)) - truth
    bound = np.sqrt(truth * (1 - truth) / 128)
    assert abs(error.mean()) < 4 * np.sqrt((bound**2).mean() / rows)
    slack = 1 + 4 / np.sqrt(2 * rows)
    assert np.sqrt((error**2).mean()) < slack * np.sqrt((bound**2).mean())
    assert (np.abs(error) <= 5 * bound + 1e-6).all()


def test_sets_of_different_sizes(rng):
    # 45 k-mers within 1,985: the Jaccard similarity is 45 / 1985.
    long = random_bases(rng, 400, 2000)
    estimate = jaccard(sketch(long), sketch(long[:, 500:560])).mean()
    assert estimate == pytest.approx(45 / 1985, abs=4 * np.sqrt(0.0227 / 128 / 400))


def test_one_kmer():
    one, other = from_string("ACGTACGTTGCATTAG"), from_string("ACGTACGTTGCATTAC")
    similarity = sketch(np.stack([one, one, other]))
    assert (similarity != EMPTY).all()
    assert jaccard(similarity[:2], similarity[1:]).tolist() == [1, 0]


@pytest.mark.parametrize("k", [1, 2, 3, 5, 11, 16, 17, 31, 32])
def test_every_k(rng, k):
    a = random_bases(rng, 40, 120)
    b = mutate(rng, a, 0.3 / k)
    truth = np.array([exact(*pair, k=k) for pair in zip(a, b, strict=True)])
    assert np.abs(jaccard(sketch(a, k=k), sketch(b, k=k)) - truth).mean() < 0.06


def test_strand_makes_no_difference(rng):
    sequences = random_bases(rng, 20, 200)
    sequences[0, 40:60] = 4
    assert np.array_equal(sketch(sequences), sketch(reverse_complement(sequences)))


@pytest.mark.parametrize("length", [60, 3000])
def test_rows_do_not_depend_on_their_block(rng, monkeypatch, length):
    sequences = random_bases(rng, 50, length)
    sequences[3] = 4
    sequences[4, 5:40] = 4
    whole = sketch(sequences)
    monkeypatch.setattr(sketches, "_KMERS_PER_BLOCK", 3 * length)
    assert np.array_equal(sketch(sequences), whole)
    assert np.array_equal(np.concatenate([sketch(row[None]) for row in sequences]), whole)


def test_order_of_kmers_makes_no_difference(rng):
    a, b = random_bases(rng, 1, 100), random_bases(rng, 1, 100)
    gap = np.full((1, 1), 4, np.uint8)
    assert np.array_equal(sketch(np.hstack([a, gap, b])), sketch(np.hstack([b, gap, a])))


def test_unknown_bases_are_left_out(rng):
    sequences = random_bases(rng, 1, 200)
    broken = sequences.copy()
    broken[0, 100] = 4
    parts = sketch(np.hstack([sequences[:, :100], np.full((1, 1), 4, np.uint8), sequences[:, 101:]]))
    assert np.array_equal(sketch(broken), parts)
    assert jaccard(sketch(sequences), parts)[0] == pytest.approx(169 / 185, abs=0.1)


@pytest.mark.parametrize("length", [0, 15, 40])
def test_a_row_without_kmers_is_like_nothing(length):
    similarity = sketch(np.full((3, length), 4, np.uint8))
    assert (similarity == EMPTY).all()
    assert jaccard(similarity, similarity).tolist() == [0, 0, 0]
    assert clusters(similarity, 0.5).tolist() == [0, 1, 2]
    assert best_partners(similarity, similarity, 0.5)[0].tolist() == [-1, -1, -1]


def test_protein_sketch_is_of_amino_acids(rng):
    # The same protein, MKVLSARRGW, by other codons; then another protein.
    first = from_string("ATGAAAGTTCTTTCTGCTCGTCGTGGTTGGTAA")
    second = from_string("ATGAAGGTCTTAAGCGCAAGAAGGGGCTGGTGATT")
    other = from_string("ATGCATCATTGGTGCCCAGAAGAAGATTATTAA")
    similarity = protein_sketch([first, second, other])
    assert jaccard(similarity[:2], similarity[1:]).tolist() == [1, 0]


def test_genetic_code_in_full():
    code = dict(zip((a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"), _NCBI_1, strict=True))
    for number, codon in enumerate(a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"):
        assert sketches._CODE[number] == code[codon]


# The amino acids of translation table 1 as NCBI prints them, codons in the order TTT, TTC, TTA, TTG, TCT, ...
_NCBI_1 = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"


def test_protein_kmers_end_at_stops_and_unknown_codons():
    short, broken = from_string("ATGAAAGTTCTTTAA"), from_string("ATGAAAGTNCTTTCTGCTCGT")
    stop = from_string("ATGAAAGTTTAACTTTCTGCTCGT")
    assert (protein_sketch([short, broken, stop, short[:0]]) == EMPTY).all()
    assert (protein_sketch([short, broken, stop], k=4) != EMPTY).any(axis=1).tolist() == [True, True, True]
    assert protein_sketch([]).shape == (0, 128)


def test_proteins_do_not_depend_on_their_block(rng, monkeypatch):
    cds = [random_bases(rng, length) for length in rng.integers(0, 700, 60)]
    whole = protein_sketch(cds)
    monkeypatch.setattr(sketches, "_KMERS_PER_BLOCK", 100)
    assert np.array_equal(protein_sketch(cds), whole)


def test_digests_tell_equal_rows(rng):
    sequences = random_bases(rng, 100, 33)
    sequences[7] = sequences[90]
    sequences[8] = reverse_complement(sequences[90])
    digests = sequence_digests(sequences)
    assert (digests.dtype, len(set(digests.tolist()))) == (np.dtype("S16"), 99)
    assert digests[7] == digests[90]
    assert np.array_equal(sequence_digests(np.asfortranarray(sequences)), digests)
