"""Simple models beside a trained one: what they read, whom they are measured on, and where they cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from raygenex.report.baseline import measure_baselines
from raygenex.report.dataset import LabelledGenes
from raygenex.report.evaluation import LabelledScores


def genes(n, seed, composed=True):
    """Return genes whose label follows the first feature and, more closely, the GC content."""
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 2).astype(np.uint8)
    halflife = rng.normal(size=(n, 8)).astype(np.float32)
    halflife[:, 0] += label
    content = rng.normal(0.5, 0.05, size=(n, 2)).astype(np.float32)
    content[:, 0] += 0.2 * label
    names = np.array([f"G{seed}-{i}" for i in range(n)], dtype=object)
    return LabelledGenes(names, label, halflife, halflife, content if composed else None, ("print",))


def scores(split, order):
    probability = 1 / (1 + np.exp(-split.halflife[order, 0].astype(np.float64)))
    return LabelledScores(tuple(split.gene_id[order]), split.label[order], probability)


def test_what_they_read_and_how_far_the_model_is_ahead():
    train, split = genes(400, 0), genes(200, 1)
    features, composition, both = measure_baselines(train, split, scores(split, np.arange(200)), 0.95)
    assert (features.reads, composition.reads, both.reads) == ("half-life features", "GC content and CpG ratio", "both")
    assert 0.65 < features.auroc < 0.85 < 0.99 < composition.auroc <= both.auroc + 0.01
    # The model reads the one feature that tells something, without the noise of a fit.
    assert features.lead.low < 0.05 > features.lead.difference > -0.02
    assert composition.lead.high < 0


def test_the_order_of_the_scores_does_not_matter():
    train, split = genes(100, 0), genes(50, 1)
    order = np.random.default_rng(2).permutation(50)
    plain = measure_baselines(train, split, scores(split, np.arange(50)), 0.95)
    mixed = measure_baselines(train, split, scores(split, order), 0.95)
    for one, other in zip(plain, mixed, strict=True):
        assert other.auroc == pytest.approx(one.auroc, abs=1e-12)
        assert other.lead == pytest.approx(one.lead, abs=1e-12)


def test_without_promoters_the_features_are_all():
    train, split = genes(100, 0, composed=False), genes(50, 1, composed=False)
    assert [one.reads for one in measure_baselines(train, split, scores(split, np.arange(50)), 0.9)] == [
        "half-life features"
    ]


def test_one_label_alone_has_no_simple_model():
    train, split = genes(100, 0), genes(50, 1)
    assert (
        measure_baselines(replace(train, label=np.ones(100, np.uint8)), split, scores(split, np.arange(50)), 0.9) == ()
    )
    assert measure_baselines(train, split, scores(split, np.arange(0, 50, 2)), 0.9) == ()
