import numpy as np
import pytest

from raygenex.data import similarity
from raygenex.data.similarity import (
    EMPTY,
    RECALL,
    best_partners,
    clusters,
    components,
    jaccard,
    protein_sketch,
    sequence_digests,
    similar_pairs,
    sketch,
)
from raygenex.errors import DataError
from raygenex.sequence import from_string, reverse_complement, to_string


def random_bases(rng, *shape):
    return rng.integers(0, 4, shape, dtype=np.uint8)


def mutate(rng, sequences, rate):
    return np.where(rng.random(sequences.shape) < rate, random_bases(rng, *sequences.shape), sequences)


def kmer_set(sequence, k):
    """The canonical k-mers of a sequence, the slow way."""
    found = set()
    for start in range(len(sequence) - k + 1):
        kmer = sequence[start : start + k]
        if (kmer < 4).all():
            found.add(min(to_string(kmer), to_string(reverse_complement(kmer))))
    return found


def exact(a, b, k=16):
    a, b = kmer_set(a, k), kmer_set(b, k)
    return len(a & b) / len(a | b)


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
    sketches = sketch(np.stack([one, one, other]))
    assert (sketches != EMPTY).all()
    assert jaccard(sketches[:2], sketches[1:]).tolist() == [1, 0]


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
    monkeypatch.setattr(similarity, "_KMERS_PER_BLOCK", 3 * length)
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
    sketches = sketch(np.full((3, length), 4, np.uint8))
    assert (sketches == EMPTY).all()
    assert jaccard(sketches, sketches).tolist() == [0, 0, 0]
    assert len(similar_pairs(sketches, 0.5)[0]) == 0
    assert clusters(sketches, 0.5).tolist() == [0, 1, 2]
    assert best_partners(sketches, sketches, 0.5)[0].tolist() == [-1, -1, -1]


def test_protein_sketch_is_of_amino_acids(rng):
    # The same protein, MKVLSARRGW, by other codons; then another protein.
    first = from_string("ATGAAAGTTCTTTCTGCTCGTCGTGGTTGGTAA")
    second = from_string("ATGAAGGTCTTAAGCGCAAGAAGGGGCTGGTGATT")
    other = from_string("ATGCATCATTGGTGCCCAGAAGAAGATTATTAA")
    sketches = protein_sketch([first, second, other])
    assert jaccard(sketches[:2], sketches[1:]).tolist() == [1, 0]


def test_genetic_code_in_full():
    code = dict(zip((a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"), _NCBI_1, strict=True))
    for number, codon in enumerate(a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"):
        assert similarity._CODE[number] == code[codon]


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
    monkeypatch.setattr(similarity, "_KMERS_PER_BLOCK", 100)
    assert np.array_equal(protein_sketch(cds), whole)


def test_similar_pairs_are_those_of_the_full_comparison(rng):
    parents = random_bases(rng, 30, 200)
    sequences = mutate(rng, np.repeat(parents, 6, axis=0), 0.02)
    sequences[::9] = sequences[0]
    sketches = sketch(sequences)
    for threshold in (0.2, 0.3, 0.5, 0.8, 1.0):
        pairs, value = similar_pairs(sketches, threshold)
        i, j = np.triu_indices(len(sketches), 1)
        truth = jaccard(sketches[i], sketches[j])
        every = {(a, b): v for a, b, v in zip(i, j, truth, strict=True) if v >= threshold}
        found = {(a, b): v for (a, b), v in zip(pairs, value, strict=True)}
        assert found.items() <= every.items()
        assert len(found) == len(pairs)
        assert len(found) >= RECALL * len(every)
        assert pairs.tolist() == sorted(pairs.tolist())


@pytest.mark.parametrize(("threshold", "width"), [(0.01, 1), (0.2, 1), (0.3, 2), (0.5, 3), (0.9, 10), (1.0, 128)])
def test_bands_by_hand(threshold, width):
    assert similarity._band_width(threshold, 128) == width
    if threshold >= 0.2:
        assert 1 - (1 - threshold**width) ** (128 // width) >= RECALL


def test_clusters_and_partners_agree_with_the_pairs(rng):
    sequences = mutate(rng, np.repeat(random_bases(rng, 40, 150), 5, axis=0), 0.02)
    sketches = sketch(sequences[rng.permutation(len(sequences))])
    pairs, _ = similar_pairs(sketches, 0.3)
    assert np.array_equal(clusters(sketches, 0.3), components(len(sketches), *pairs.T))
    queries, references = sketches[:80], sketches[80:]
    partner, value = best_partners(queries, references, 0.3)
    table = np.array([[jaccard(q[None], r[None])[0] for r in references] for q in queries])
    best = table.max(axis=1)
    has = partner >= 0
    assert np.array_equal(has, best >= 0.3)
    assert np.array_equal(value, np.where(has, best, 0).astype(np.float32))
    assert np.array_equal(partner[has], table.argmax(axis=1)[has])


def test_families_of_identical_rows(rng):
    sequences = np.vstack([np.repeat(random_bases(rng, 1, 100), 500, axis=0), random_bases(rng, 100, 100)])
    sketches = sketch(sequences)
    pairs, value = similar_pairs(sketches, 0.3)
    assert len(pairs) == 500 * 499 // 2
    assert pairs.max() == 499
    assert (value == 1).all()
    assert clusters(sketches, 0.3).tolist() == [0] * 500 + list(range(1, 101))
    partner, value = best_partners(sketches, sketches[:500], 0.3)
    assert partner.tolist() == [0] * 500 + [-1] * 100
    assert value.tolist() == [1] * 500 + [0] * 100


def test_blocks_of_candidates_make_no_difference(rng, monkeypatch):
    sketches = sketch(mutate(rng, np.repeat(random_bases(rng, 4, 150), 30, axis=0), 0.02))
    pairs, value = similar_pairs(sketches, 0.3)
    label, best = clusters(sketches, 0.3), best_partners(sketches[:50], sketches[50:], 0.3)
    monkeypatch.setattr(similarity, "_PAIRS_PER_BLOCK", 7)
    again = similar_pairs(sketches, 0.3)
    assert np.array_equal(again[0], pairs)
    assert np.array_equal(again[1], value)
    assert np.array_equal(clusters(sketches, 0.3), label)
    assert all(map(np.array_equal, best_partners(sketches[:50], sketches[50:], 0.3), best))


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_too_many_pairs(rng, sentence, rate):
    sketches = sketch(mutate(rng, np.repeat(random_bases(rng, 1, 200), 50, axis=0), rate))
    with pytest.raises(DataError) as info:
        similar_pairs(sketches, 0.3, limit=1000)
    sentence(info, "1,000", "50 sequences", "0.3", "raise the threshold")


def test_nothing_to_compare():
    none = np.zeros((0, 128), np.uint32)
    assert similar_pairs(none, 0.3)[0].shape == (0, 2)
    assert clusters(none, 0.3).shape == (0,)
    assert best_partners(none, none, 0.3)[0].shape == (0,)


def test_components_of_a_chain():
    order = np.random.default_rng(0).permutation(1000)
    assert set(components(1000, order[:-1], order[1:])) == {0}
    assert components(5, np.array([4, 2]), np.array([1, 3])).tolist() == [0, 1, 2, 2, 1]


def test_digests_tell_equal_rows(rng):
    sequences = random_bases(rng, 100, 33)
    sequences[7] = sequences[90]
    sequences[8] = reverse_complement(sequences[90])
    digests = sequence_digests(sequences)
    assert (digests.dtype, len(set(digests.tolist()))) == (np.dtype("S16"), 99)
    assert digests[7] == digests[90]
    assert np.array_equal(sequence_digests(np.asfortranarray(sequences)), digests)
