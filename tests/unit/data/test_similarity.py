import numpy as np
import pytest
from toy_sequences import jaccard, mutate, random_bases

from raygenex.data import similarity
from raygenex.data.similarity import RECALL, best_partners, clusters, components
from raygenex.data.sketches import sketch


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def similar_pairs(sketches, threshold):
    """All pairs of rows that are alike, by the full comparison."""
    i, j = np.triu_indices(len(sketches), 1)
    alike = jaccard(sketches[i], sketches[j]) >= threshold
    return i[alike], j[alike]


def test_candidates_are_the_pairs_of_the_full_comparison(rng):
    parents = random_bases(rng, 30, 200)
    sequences = mutate(rng, np.repeat(parents, 6, axis=0), 0.02)
    sequences[::9] = sequences[0]
    sketches = np.unique(sketch(sequences), axis=0)
    for threshold in (0.2, 0.3, 0.5, 0.8, 1.0):
        every = set(zip(*similar_pairs(sketches, threshold), strict=True))
        found = set()
        for _, i, j in similarity._candidates(sketches, None, similarity._band_width(threshold, 128)):
            found |= {(min(pair), max(pair)) for pair in zip(i, j, strict=True)}
        assert len(found & every) >= RECALL * len(every)


@pytest.mark.parametrize(("threshold", "width"), [(0.01, 1), (0.2, 1), (0.3, 2), (0.5, 3), (0.9, 10), (1.0, 128)])
def test_bands_by_hand(threshold, width):
    assert similarity._band_width(threshold, 128) == width
    if threshold >= 0.2:
        assert 1 - (1 - threshold**width) ** (128 // width) >= RECALL


def test_clusters_and_partners_agree_with_the_pairs(rng):
    sequences = mutate(rng, np.repeat(random_bases(rng, 40, 150), 5, axis=0), 0.02)
    sketches = sketch(sequences[rng.permutation(len(sequences))])
    assert np.array_equal(clusters(sketches, 0.3), components(len(sketches), *similar_pairs(sketches, 0.3)))
    queries, references = sketches[:80], sketches[80:]
    partner, value = best_partners(queries, references, 0.3)
    table = jaccard(queries[:, None], references)
    best = table.max(axis=1)
    has = partner >= 0
    assert np.array_equal(has, best >= 0.3)
    assert np.array_equal(value, np.where(has, best, 0).astype(np.float32))
    assert np.array_equal(partner[has], table.argmax(axis=1)[has])


def test_families_of_identical_rows(rng):
    sequences = np.vstack([np.repeat(random_bases(rng, 1, 100), 500, axis=0), random_bases(rng, 100, 100)])
    sketches = sketch(sequences)
    assert clusters(sketches, 0.3).tolist() == [0] * 500 + list(range(1, 101))
    partner, value = best_partners(sketches, sketches[:500], 0.3)
    assert partner.tolist() == [0] * 500 + [-1] * 100
    assert value.tolist() == [1] * 500 + [0] * 100


def test_blocks_of_candidates_make_no_difference(rng, monkeypatch):
    sketches = sketch(mutate(rng, np.repeat(random_bases(rng, 4, 150), 30, axis=0), 0.02))
    label, best = clusters(sketches, 0.3), best_partners(sketches[:50], sketches[50:], 0.3)
    monkeypatch.setattr(similarity, "_PAIRS_PER_BLOCK", 7)
    assert np.array_equal(clusters(sketches, 0.3), label)
    assert all(map(np.array_equal, best_partners(sketches[:50], sketches[50:], 0.3), best))


def test_nothing_to_compare():
    none = np.zeros((0, 128), np.uint32)
    assert clusters(none, 0.3).shape == (0,)
    assert best_partners(none, none, 0.3)[0].shape == (0,)


def test_components_of_a_chain():
    order = np.random.default_rng(0).permutation(1000)
    assert set(components(1000, order[:-1], order[1:])) == {0}
    assert components(5, np.array([4, 2]), np.array([1, 3])).tolist() == [0, 1, 2, 2, 1]
