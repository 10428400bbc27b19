"""Background DNA: composition, dinucleotides, and the order of the chain."""

import numpy as np
import pytest

from raygenex.data.simulate.background import ISLAND_CPG, ISLAND_GC, Background

C, G = 1, 2


def draw(order, gc=0.4, cpg_ratio=0.25, island=0.0, n=40, window=5000, seed=0):
    background = Background(order, gc, cpg_ratio, np.random.default_rng(seed))
    strength = np.full((n, window), island, dtype=np.float32)
    return background.draw(strength, [np.random.default_rng(gene) for gene in range(n)])


def gc_content(bases):
    return np.isin(bases, (C, G)).mean()


def cpg_ratio_of(bases):
    pairs = ((bases[:, :-1] == C) & (bases[:, 1:] == G)).mean()
    return pairs / ((bases == C).mean() * (bases == G).mean())


def conditional_entropy(bases, order):
    """Return the entropy, in bits, of a base given the ``order`` bases before it."""
    window = bases.shape[1] - order
    context = sum(bases[:, i : i + window].astype(np.int64) * 4**i for i in range(order)) if order else 0
    joint = np.bincount((context * 4 + bases[:, order:]).ravel(), minlength=4 ** (order + 1)).reshape(-1, 4)
    joint = joint / joint.sum()
    share = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)
    return float(-(joint * np.log2(np.where(share > 0, share, 1))).sum())


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize(("gc", "ratio"), [(0.4, 0.25), (0.6, 0.8)])
def test_gc_and_cpg_meet_their_targets(order, gc, ratio):
    bases = draw(order, gc, ratio)
    assert gc_content(bases) == pytest.approx(gc, abs=0.01)
    assert cpg_ratio_of(bases) == pytest.approx(ratio if order else 1.0, abs=0.04)


@pytest.mark.parametrize("order", [1, 3])
def test_islands_raise_both(order):
    bases = draw(order, 0.4, 0.25, island=1.0)
    assert gc_content(bases) == pytest.approx(0.4 + ISLAND_GC * 0.6, abs=0.01)
    assert cpg_ratio_of(bases) == pytest.approx(0.25 + ISLAND_CPG * 0.75, abs=0.03)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_the_chain_has_its_order_and_no_more(order):
    bases = draw(order, n=100, window=10_000)
    entropy = [conditional_entropy(bases, length) for length in range(order + 2)]
    # A context one base longer tells nothing more; each shorter one tells less.
    assert entropy[order] - entropy[order + 1] < 2e-3
    if order:
        assert entropy[order - 1] - entropy[order] > 3e-3


def test_a_sequence_depends_on_its_own_island_and_generator():
    background = Background(2, 0.4, 0.25, np.random.default_rng(0))
    island = np.random.default_rng(1).random((6, 300)).astype(np.float32)
    whole = background.draw(island, [np.random.default_rng(gene) for gene in range(6)])
    for gene in range(6):
        alone = background.draw(island[gene : gene + 1], [np.random.default_rng(gene)])
        np.testing.assert_array_equal(alone[0], whole[gene])


@pytest.mark.parametrize("order", [0, 1, 4])
def test_probabilities_are_probabilities(order):
    found = Background(order, 0.35, 0.1, np.random.default_rng(0)).probabilities
    assert found.shape == (65, 4**order, 4)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=2), 1)
