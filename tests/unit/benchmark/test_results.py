"""Records of trainings: medians, means, and one score per gene."""

import numpy as np
import pytest

from raygenex.benchmark.results import ModelResult, SeedResult, best_model, mean_scores
from raygenex.errors import DataError
from raygenex.stats.metrics import METRICS

GENES = ("b", "a", "c", "d")
LABELS = (1, 0, 0, 1)
FAILED = SeedResult(9, error="too big")


def _seed(seed, auroc=0.8, probability=(0.9, 0.2, 0.4, 0.6), genes=GENES, labels=LABELS):
    measured = dict.fromkeys(METRICS, 0.5)
    return SeedResult(
        seed=seed,
        valid=measured | {"auroc": auroc},
        test=measured,
        gene_ids=np.array(genes),
        labels=np.array(labels),
        probability=np.array(probability),
        threshold=0.5,
    )


def _model(name, *aurocs):
    seeds = [_seed(seed, auroc) if auroc else FAILED for seed, auroc in enumerate(aurocs)]
    return ModelResult(name, "lstm", tuple(seeds))


def test_a_model_is_its_mean_and_its_median_seed():
    model = _model("m", 0.7, None, 0.9, 0.8)
    assert [part.seed for part in model.finished] == [0, 2, 3]
    assert model.mean_score == pytest.approx(0.8)
    assert model.median_seed.seed == 3
    # Of four seeds the lower of the two in the middle: 0.7 of 0.6, 0.7, 0.8, 0.9.
    assert _model("m", 0.9, 0.7, 0.8, 0.6).median_seed.seed == 1
    # Of equal seeds the first numbers come first.
    assert _model("m", 0.8, 0.8, 0.8).median_seed.seed == 1


def test_a_failed_model_has_neither():
    model = _model("m", None, None)
    assert (model.finished, model.mean_score, model.median_seed) == ((), None, None)


def test_the_best_model_has_the_best_mean_not_the_best_seed():
    results = [_model("lucky", 0.99, 0.5), _model("steady", 0.8, 0.8), _model("failed", None), _model("same", 0.8)]
    assert best_model(results) == "steady"
    assert best_model(results[2:3]) is None


def test_scores_are_means_in_one_order_of_genes():
    swapped = _seed(1, probability=(0.7, 0.1, 0.8, 0.3), genes=("c", "d", "b", "a"), labels=(0, 1, 1, 0))
    model = ModelResult("m", "lstm", (_seed(0), swapped, SeedResult(2, error="too big")))
    genes, labels, probability = mean_scores([_model("failed", None), model])
    assert genes.tolist() == ["a", "b", "c", "d"]
    assert labels.tolist() == [0, 1, 0, 1]
    assert list(probability) == ["m"]
    # a: 0.2 and 0.3, b: 0.9 and 0.8, c: 0.4 and 0.7, d: 0.6 and 0.1.
    np.testing.assert_allclose(probability["m"], [0.25, 0.85, 0.55, 0.35])


def test_scores_of_nothing():
    genes, labels, probability = mean_scores([_model("failed", None)])
    assert (genes.size, labels.size, probability) == (0, 0, {})


def test_other_genes_are_refused():
    other = ModelResult("x", "lstm", (_seed(5, genes=("a", "b", "c", "z")),))
    with pytest.raises(DataError) as caught:
        mean_scores([_model("m", 0.8), other])
    assert str(caught.value) == (
        "x, seed 5 scored 4 genes and m, seed 0 4, of which 3 are the same: "
        "evaluate both on the same split, then compare them"
    )


def test_other_labels_are_refused():
    other = ModelResult("x", "lstm", (_seed(5, labels=(1, 0, 1, 1)),))
    with pytest.raises(DataError) as caught:
        mean_scores([_model("m", 0.8), other])
    assert str(caught.value) == (
        "x, seed 5 and m, seed 0 disagree on the label of gene c: evaluate both on the same data"
    )


def test_a_finished_training_is_complete():
    with pytest.raises(AssertionError):
        SeedResult(0)
    with pytest.raises(AssertionError, match="twice"):
        _seed(0, genes=("a", "a", "b", "c"))
