"""Substitutions in their receptive field have the logits of whole passes, wherever they lie."""

import numpy as np
import pytest
import torch
from toy_explain import bases_function, draw_genes, hyena_function, linear_function, table_function

from raygenex.explain.methods import mutagenesis as module
from raygenex.explain.methods.mutagenesis import mutagenesis
from raygenex.explain.methods.receptive_field import sees_little, substitution_logits

SIZES = {"width": 6, "stem_kernel": 5, "channels": [5, 4, 3], "dense": [7, 5], "dropout": 0.3}
MODELS = {
    "pooled by two": SIZES,
    "pooled by three": SIZES | {"pool": 3},
    "pooled by five, one convolution": SIZES | {"channels": [4], "pool": 5},
    "wide kernels": SIZES | {"stem_kernel": 11, "kernel_size": 7, "channels": [4, 4]},
    "kernels of one": SIZES | {"stem_kernel": 1, "kernel_size": 1},
    "raw features": SIZES | {"kind": "cnn_halflife_raw"},
    "features in the dense layer": SIZES | {"join": "dense", "trunk_dropout": 0.2},
    "bases alone": SIZES | {"kind": "cnn_dna_only"},
    "no dense layer": SIZES | {"kind": "cnn_dna_only", "dense": []},
}


def strong(function):
    """Make weights large, so that no layer of a small random network is silent."""
    with torch.no_grad():
        for weight in function.model.parameters():
            weight.mul_(2 if weight.ndim > 1 else 0.5)
    return function


def whole(function, codes, halflife, places, bases):
    changed = np.repeat(codes[None], len(places), axis=0)
    changed[np.arange(len(places)), places] = bases
    return function.logits_of_codes(changed, np.repeat(halflife[None], len(places), axis=0))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("window", [131, 160])
def test_logits_are_those_of_whole_passes(name, window, tmp_path):
    function = strong(bases_function(tmp_path / "a", MODELS[name], window, batch_size=256))
    assert sees_little(function)
    codes, halflife = draw_genes(2, window)
    places, bases = (array.ravel() for array in np.meshgrid(np.arange(window), np.arange(4), indexing="ij"))
    for gene in range(2):
        found = substitution_logits(function, codes[gene], halflife[gene], places, bases)
        wanted = whole(function, codes[gene], halflife[gene], places, bases)
        assert np.ptp(wanted) > 1e-3
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_passes_may_have_any_size(tmp_path, monkeypatch):
    function = bases_function(tmp_path / "a", SIZES, 97)
    codes, halflife = draw_genes(1, 97)
    places, bases = np.arange(97), np.arange(97) % 4
    wanted = substitution_logits(function, codes[0], halflife[0], places, bases)
    monkeypatch.setattr("raygenex.explain.methods.receptive_field._NUMBERS", 1)
    np.testing.assert_allclose(
        substitution_logits(function, codes[0], halflife[0], places, bases), wanted, rtol=0, atol=1e-6
    )
    assert substitution_logits(function, codes[0], halflife[0], places[:0], bases[:0]).shape == (0,)


@pytest.mark.parametrize("region", [(0, None), (0, 1), (20, 60), (96, 97)])
def test_mutagenesis_is_that_of_whole_passes(region, tmp_path, monkeypatch):
    function = bases_function(tmp_path / "a", SIZES, 97)
    codes, halflife = draw_genes(3, 97)
    found = mutagenesis(function, codes, halflife, *region)
    monkeypatch.setattr(module, "sees_little", lambda function: False)
    wanted = mutagenesis(function, codes, halflife, *region)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_other_models_pass_as_a_whole(tmp_path):
    assert not sees_little(bases_function(tmp_path / "short", SIZES | {"stem_kernel": 21}, 60))
    assert not sees_little(hyena_function(tmp_path / "hyena"))
    assert not sees_little(linear_function(tmp_path / "linear"))
    assert not sees_little(table_function(tmp_path / "table", "logistic"))
    assert not sees_little(bases_function(tmp_path / "lstm", {"kind": "lstm"}, 97))
    assert not sees_little(bases_function(tmp_path / "features", {"kind": "cnn_halflife_only"}, 97))
