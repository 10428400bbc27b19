"""Boosted trees as a module: their bytes travel with the weights, and score alike everywhere."""

import copy
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from toy_models import columns, sentence

from raygenex.config.load import parse_config
from raygenex.config.model import HalflifeConfig
from raygenex.errors import ConfigError
from raygenex.models import build_model
from raygenex.models.base import InputShape
from raygenex.models.booster import import_xgboost
from raygenex.models.tabular import BoostedTrees

xgboost = pytest.importorskip("xgboost")

WINDOW = 24
BASES = InputShape("bases", WINDOW, 4)
KMERS = {"k": (1, 2), "regions": 2, "region_k": 1, "onehot_bases": 6}


def section(**settings):
    return parse_config({"model": {"kind": "xgboost_kmer"} | KMERS | settings}, "test").model


def build(**settings):
    return build_model(section(**settings), HalflifeConfig(), BASES)


def inputs(n=40, seed=0):
    genes = columns(n, WINDOW, seed)
    return genes["sequence"], genes["halflife"], genes["label"]


def trained(rounds=5, **settings):
    """Return a model with a few trees, and the trees as XGBoost has them."""
    model = build(**settings)
    sequence, halflife, label = inputs()
    matrix = xgboost.DMatrix(model.features(sequence, halflife), label=label)
    trees = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, matrix, rounds)
    model.booster.keep(trees)
    return model, trees, matrix


def tensors(n=40, seed=0):
    sequence, halflife, _ = inputs(n, seed)
    return torch.from_numpy(sequence), torch.from_numpy(halflife)


def test_logits_are_the_margin_of_the_trees():
    model, trees, matrix = trained()
    logits = model(*tensors())
    assert logits.dtype == torch.float32
    assert logits.shape == (40,)
    np.testing.assert_array_equal(logits.numpy(), trees.predict(matrix, output_margin=True))


def test_a_gene_does_not_depend_on_its_batch():
    model, _, _ = trained()
    sequence, halflife = tensors()
    alone = torch.cat([model(sequence[i : i + 1], halflife[i : i + 1]) for i in range(40)])
    assert torch.equal(alone, model(sequence, halflife))


def test_the_trees_travel_with_the_weights():
    model, _, _ = trained()
    other = build()
    assert not len(other.booster.raw)
    # Safetensors hold plain tensors: nothing is pickled.
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(other(*tensors()), model(*tensors()))


def test_other_trees_take_the_place_of_those_that_scored_before():
    model, _, _ = trained(rounds=9)
    smaller, _, _ = trained(rounds=2)
    before = model(*tensors())
    model.load_state_dict(smaller.state_dict())
    assert torch.equal(model(*tensors()), smaller(*tensors()))
    assert not torch.equal(model(*tensors()), before)


def test_a_copy_scores_alike():
    model, _, _ = trained()
    expected = model(*tensors())
    assert torch.equal(copy.deepcopy(model)(*tensors()), expected)


def test_inputs_of_other_number_formats():
    model, _, _ = trained()
    sequence, halflife = tensors()
    assert torch.equal(model(sequence.long(), halflife.double()), model(sequence, halflife))


def test_unknown_bases_and_missing_branches():
    model, _, _ = trained(halflife=False)
    assert not model.uses_halflife
    assert model.uses_dna
    sequence, halflife = tensors()
    assert torch.equal(model(sequence, None), model(sequence, halflife))
    assert torch.isfinite(model(torch.full((2, WINDOW), 4, dtype=torch.uint8), None)).all()


def test_trees_that_are_not_grown_yet_cannot_score():
    with pytest.raises(AssertionError, match="not trained"):
        build()(*tensors())


def test_bases_are_the_only_input():
    with pytest.raises(AssertionError, match="counted in bases"):
        BoostedTrees(section(), InputShape("embedding", 3, 8))


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ConfigError) as info:
        import_xgboost()
    sentence(info, "xgboost", "pip install 'raygenex[boosted]'")
