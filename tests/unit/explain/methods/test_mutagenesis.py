import numpy as np
import pytest
import torch
from toy_explain import bases_function, draw_genes, hyena_function, linear_function, table_function
from toy_models import sentence

from raygenex.errors import ConfigError
from raygenex.explain.methods.mutagenesis import mutagenesis

CODES = np.array([[0, 1, 4, 3]], np.uint8)
FEATURES = np.ones((1, 8), np.float32)


def make(name, folder):
    if name == "bases":
        return bases_function(folder)
    if name == "hyena":
        return hyena_function(folder)
    if name != "logistic":
        pytest.importorskip("xgboost")
    return table_function(folder, name)


def test_a_linear_model_by_hand(tmp_path):
    found = mutagenesis(linear_function(tmp_path / "a"), CODES, FEATURES)
    # Base b counts b^2 beside its position: A, 0, against the mean of 1, 4 and 9, and so on.
    np.testing.assert_allclose(found.attribution, [[-14 / 3, -10 / 3, np.nan, 22 / 3]], rtol=1e-6)
    np.testing.assert_allclose(found.hypothetical[0, 0], [-3.5, -2.5, 0.5, 5.5], rtol=1e-6)
    assert np.isnan(found.hypothetical[0, 2]).all()
    assert found.logit.tolist() == [86.0]


def test_a_region(tmp_path):
    function = linear_function(tmp_path / "a")
    found = mutagenesis(function, CODES, FEATURES, 1, 3)
    np.testing.assert_allclose(found.attribution, [[np.nan, -10 / 3, np.nan, np.nan]], rtol=1e-6)
    assert np.isnan(found.hypothetical[0, [0, 2, 3]]).all()


@pytest.mark.parametrize("name", ["bases", "hyena", "logistic", "xgboost_kmer", "autoencoder_xgboost"])
def test_a_loop_over_predictions_agrees(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes(2)
    found = mutagenesis(function, codes, halflife, 2, 40)

    def logit(gene):
        probability = function.predictor.score(gene[None], halflife[which : which + 1])[0]
        return np.log(probability / (1 - probability))

    for which in range(2):
        for place in range(2, 40):
            if codes[which, place] == 4:
                assert np.isnan(found.attribution[which, place])
                continue
            scores = []
            for base in range(4):
                changed = codes[which].copy()
                changed[place] = base
                scores.append(logit(changed))
            others = np.delete(scores, codes[which, place])
            expected = scores[codes[which, place]] - others.mean()
            np.testing.assert_allclose(found.attribution[which, place], expected, atol=1e-5)
            np.testing.assert_allclose(found.hypothetical[which, place], scores - np.mean(scores), atol=1e-5)
    assert np.nanmax(np.abs(found.attribution)) > 1e-4
    assert np.isnan(found.attribution[:, [0, 1, 40, 59]]).all()


def test_tangermeme_agrees(tmp_path):
    ism = pytest.importorskip("tangermeme.saturation_mutagenesis")
    function = bases_function(tmp_path / "a")
    codes, halflife = draw_genes(2, unknown=False)

    class Plain(torch.nn.Module):
        def forward(self, first, features):
            return function.model(first.transpose(1, 2), features)[:, None]

    one_hot = function.one_hot(codes).transpose(1, 2)
    _, changed = ism.saturation_mutagenesis(
        Plain(), one_hot, args=(torch.from_numpy(halflife),), raw_outputs=True, device="cpu"
    )
    found = mutagenesis(function, codes, halflife)
    # (n, 4, L, 1), the logit with each base.
    scores = changed.squeeze(-1).detach().numpy().transpose(0, 2, 1)
    np.testing.assert_allclose(found.hypothetical, scores - scores.mean(axis=-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("name", ["bases", "hyena", "logistic"])
def test_batches_make_no_difference(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes(3)
    expected = mutagenesis(function, codes, halflife, 0, 7)
    for batch_size in (1, 5, 100):
        function.batch_size = batch_size
        found = mutagenesis(function, codes, halflife, 0, 7)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_model_without_dna_is_refused(tmp_path):
    function = bases_function(tmp_path / "a", {"kind": "cnn_halflife_only"})
    with pytest.raises(ConfigError) as info:
        mutagenesis(function, *draw_genes())
    sentence(info, "reads no DNA", "halflife")
