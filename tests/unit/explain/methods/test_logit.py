import numpy as np
import pytest
import torch
from toy_explain import bases_function, draw_genes, hyena_function, linear_function, table_function
from toy_models import sentence

from raygenex.errors import ConfigError
from raygenex.explain.methods.gradients import gradient
from raygenex.explain.methods.integrated import integrated_gradients
from raygenex.explain.methods.logit import EVEN, LogitFunction, soft_one_hot
from raygenex.explain.methods.references import unknown
from raygenex.models.base import InputShape, channels_first

TABLES = ("logistic", "xgboost_kmer", "autoencoder_xgboost")
MAX = {"bin_size": 8, "pooling": "max"}
LSTM = {"kind": "lstm", "width": 5, "pool": 2, "hidden": 4, "dense": (6,)}


def make(name, folder):
    if name in TABLES:
        if name != "logistic":
            pytest.importorskip("xgboost")
        return table_function(folder, name)
    if name.startswith("hyena"):
        model = LSTM | {"width": 8} if name == "hyena_lstm" else {}
        return hyena_function(folder, MAX if name == "hyena_max" else {}, model)
    return bases_function(folder, LSTM if name == "lstm" else {"kind": name})


NETWORKS = ("cnn_halflife_encoded", "cnn_dna_only", "lstm", "hyena_mean", "hyena_max", "hyena_lstm")
EVERY = (*NETWORKS, *TABLES)


def test_channels_first_takes_indices_and_their_one_hot_alike():
    codes = torch.tensor([[0, 3, 4, 1]], dtype=torch.uint8)
    shape = InputShape("bases", 4, 4)
    expected = torch.tensor([[[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]]).float()
    torch.testing.assert_close(channels_first(codes, shape, torch.float32), expected)
    torch.testing.assert_close(channels_first(soft_one_hot(codes.numpy()), shape, torch.float32), expected)
    soft = torch.rand(2, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(channels_first(soft, shape, torch.float64), soft.transpose(1, 2))


def test_rows_of_one_hot():
    rows = soft_one_hot(np.array([[2, 4, EVEN]], np.uint8))
    assert rows.tolist() == [[[0, 0, 1, 0], [0, 0, 0, 0], [0.25] * 4]]


@pytest.mark.parametrize("name", EVERY)
def test_logits_of_codes_are_those_of_prediction(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes()
    found = function.logits_of_codes(codes, halflife)
    assert found.shape == (5,)
    assert found.dtype == np.float64
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), function.predictor.score(codes, halflife), rtol=1e-6)
    for batch_size in (1, 2, 100):
        function.batch_size = batch_size
        np.testing.assert_allclose(function.logits_of_codes(codes, halflife), found, atol=1e-5)
    assert function.logits_of_codes(codes[:0], halflife[:0]).shape == (0,)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_differentiable_logit_is_the_exact_one(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes()
    with torch.no_grad():
        found = function.logits(function.one_hot(codes), halflife)
    exact = function.logits_of_codes(codes, halflife)
    # Stored embeddings are rounded to float16.
    np.testing.assert_allclose(found, exact, atol=1e-3 if name.startswith("hyena") else 1e-6)
    assert np.abs(found.numpy() - exact).max() < exact.std() / 50
    function.predictor.settings["dtype"] = "float32"
    np.testing.assert_allclose(found, function.logits_of_codes(codes, halflife), atol=1e-5)


def test_no_base_is_the_token_of_an_unknown_one(tmp_path):
    function = make("hyena_mean", tmp_path / "a")
    codes, halflife = draw_genes()
    function.predictor.settings["dtype"] = "float32"
    with torch.no_grad():
        found = function.logits(torch.zeros(5, 60, 4), halflife)
    np.testing.assert_allclose(found, function.logits_of_codes(np.full_like(codes, 4), halflife), atol=1e-5)


@pytest.mark.parametrize("name", ["cnn_halflife_encoded", "lstm", "hyena_mean", "hyena_max"])
def test_gradients_equal_finite_differences_in_double_precision(name, tmp_path, monkeypatch):
    function = make(name, tmp_path / "a")
    if name == "hyena_mean":
        # Means are accumulated in float32, whatever is asked for; of one base there is none.
        function = hyena_function(tmp_path / "b", {"bin_size": 1}, window=20)
    window = function.window
    function.inputs(np.zeros((1, window), np.uint8))
    networks = [function.model] + ([function.predictor.backbone] if function.embeds else [])
    for network in networks:
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.data = tensor.data.double()
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    codes, halflife = draw_genes(2, window)
    one_hot = function.one_hot(codes).double() * 0.7 + 0.1
    logits, slopes = function.gradient(one_hot, halflife)
    assert slopes.dtype == torch.float64
    step = 1e-6
    for place in (0, window // 2, window - 1):
        for base in range(4):
            moved = one_hot.clone()
            moved[:, place, base] += step
            with torch.no_grad():
                changed = function.logits(moved, halflife)
            torch.testing.assert_close((changed - logits) / step, slopes[:, place, base], rtol=2e-4, atol=1e-8)
    assert slopes.abs().max() > 1e-4


# State


@pytest.mark.parametrize("name", ["cnn_halflife_encoded", "hyena_mean"])
def test_the_callers_networks_are_left_as_they_were(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes()
    expected = gradient(function, codes, halflife)
    networks = [function.model] + ([function.predictor.backbone] if function.embeds else [])
    for network in networks:
        network.train()
        next(network.parameters()).requires_grad_(False)
    before = [[m.training for m in n.modules()] + [p.requires_grad for p in n.parameters()] for n in networks]
    np.testing.assert_allclose(gradient(function, codes, halflife), expected, atol=1e-6)
    function.logits_and_dense(codes, halflife)
    after = [[m.training for m in n.modules()] + [p.requires_grad for p in n.parameters()] for n in networks]
    assert after == before
    assert all(weight.grad is None for network in networks for weight in network.parameters())
    assert not function.model.dense[0]._forward_hooks


@pytest.mark.parametrize("name", ["lstm", "hyena_mean"])
def test_inference_mode_does_not_spoil_gradients(name, tmp_path):
    codes, halflife = draw_genes()
    expected = gradient(make(name, tmp_path / "a"), codes, halflife)
    predictor = make(name, tmp_path / "b").predictor
    predictor.backbone = None
    with torch.inference_mode():
        function = LogitFunction(predictor, 4)
        function.logits_of_codes(codes, halflife)
        _, inside = function.gradient(function.one_hot(codes), halflife)
    np.testing.assert_allclose(gradient(function, codes, halflife), expected, atol=1e-6)
    assert inside.shape == expected.shape


# One gene, many half-life features


@pytest.mark.parametrize("window", [1, 20, 60, 301])
@pytest.mark.parametrize(
    "model",
    [
        {},
        {"kind": "cnn_halflife_raw"},
        {"join": "dense"},
        {"kernel_size": 5, "pool": 3, "channels": (4, 4, 3)},
        {"kernel_size": 1},
        {"kind": "cnn_dna_only"},
        {"kind": "cnn_halflife_only"},
        LSTM,
    ],
    ids=str,
)
def test_fixed_dna_changes_nothing(model, window, tmp_path):
    function = bases_function(tmp_path / "a", model, window)
    codes, _ = draw_genes(3, window, unknown=False)
    halflife = np.random.default_rng(1).normal(size=(3, 7, 8)).astype(np.float32)
    found = function.logits_of_halflives(codes, halflife)
    expected = np.stack([function.logits_of_codes(codes, halflife[:, k]) for k in range(7)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if model.get("kind") != "cnn_halflife_only":
        assert np.ptp(found[:, 0]) > 1e-6


@pytest.mark.parametrize("name", ["hyena_mean", "hyena_lstm", *TABLES])
def test_fixed_embeddings_and_tables_change_nothing(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes()
    found = function.logits_of_halflives(codes, np.stack([halflife, halflife[::-1]], axis=1))
    np.testing.assert_allclose(found[:, 0], function.logits_of_codes(codes, halflife), atol=1e-5)
    np.testing.assert_allclose(found[:, 1], function.logits_of_codes(codes, halflife[::-1]), atol=1e-5)


# The first dense layer


@pytest.mark.parametrize("name", EVERY)
def test_the_first_dense_layer(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes()
    logits, dense = function.logits_and_dense(codes, halflife)
    width = 0 if name in TABLES else 6 if name.endswith("lstm") else 8
    assert dense.shape == (5, width) == (5, function.dense_width)
    assert dense.dtype == np.float32
    np.testing.assert_allclose(logits, function.logits_of_codes(codes, halflife), atol=1e-6)
    if width:
        with torch.no_grad():
            rest = function.model.dense[1:](torch.from_numpy(dense)).squeeze(1)
        np.testing.assert_allclose(rest, logits, atol=1e-5)
        assert (dense < 0).any(), "it is taken before the activation"


def test_a_logit_straight_from_the_trunk_has_no_dense_layer(tmp_path):
    function = bases_function(tmp_path / "a", {"dense": ()})
    assert function.dense_features(*draw_genes()).shape == (5, 0)


# Refusals


@pytest.mark.parametrize("name", TABLES)
def test_models_without_gradients_are_refused(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes()
    with pytest.raises(ConfigError) as info:
        gradient(function, codes, halflife)
    sentence(info, name, "not a differentiable function", "mutagenesis")
    with pytest.raises(ConfigError) as info:
        integrated_gradients(function, codes, halflife, unknown(codes))
    sentence(info, name, "integrated_gradients", "mutagenesis")


def test_a_model_without_dna_has_no_bases_to_attribute_to(tmp_path):
    function = bases_function(tmp_path / "a", {"kind": "cnn_halflife_only"})
    codes, halflife = draw_genes()
    with pytest.raises(ConfigError) as info:
        gradient(function, codes, halflife)
    sentence(info, "cnn_halflife_only", "reads no DNA", "halflife")
    empty = np.empty((5, 0), np.uint8)
    np.testing.assert_array_equal(function.logits_of_codes(empty, halflife), function.logits_of_codes(codes, halflife))
    assert function.window == 0


def test_a_linear_model(tmp_path):
    function = linear_function(tmp_path / "a")
    found = function.logits_of_codes(np.array([[0, 1, 4, 3]], np.uint8), np.ones((1, 8), np.float32))
    # (0 + 0) + (10 + 1) + 0 + (30 + 9) and 1 + 2 + ... + 8.
    assert found.tolist() == [86.0]
