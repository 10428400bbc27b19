import numpy as np
import pytest
from toy_explain import bases_function, draw_genes, hyena_function, linear_function, table_function
from toy_models import sentence

from raygenex.errors import ConfigError
from raygenex.explain.methods.deeplift import deeplift
from raygenex.explain.methods.references import references, uniform, unknown

CODES = np.array([[0, 1, 4, 3]], np.uint8)
FEATURES = np.ones((1, 8), np.float32)
NAMES = np.array(["a", "b", "c"])


def test_a_linear_model_by_hand(tmp_path):
    pytest.importorskip("tangermeme")
    function = bases_function(tmp_path / "a", {"kind": "cnn_dna_only"}, window=4)
    # What is refused is decided by the class.
    linear = linear_function(tmp_path / "b").model
    function.model.forward = linear.forward
    found = deeplift(function, CODES, FEATURES, unknown(CODES))
    np.testing.assert_allclose(found.attribution, [[0, 11, 0, 39]], atol=1e-4)
    found = deeplift(function, CODES, FEATURES, uniform(CODES))
    np.testing.assert_allclose(found.attribution, [[-3.5, -2.5, 0, 5.5]], atol=1e-4)
    np.testing.assert_allclose(found.hypothetical[0, 0], [-3.5, -2.5, 0.5, 5.5], atol=1e-4)


@pytest.mark.parametrize("kind", ["unknown", "uniform", "shuffled"])
@pytest.mark.parametrize("model", ["cnn_halflife_encoded", "cnn_halflife_raw", "cnn_dna_only"])
@pytest.mark.parametrize("window", [60, 61])
def test_the_sum_is_the_change_of_the_logit(kind, model, window, tmp_path):
    pytest.importorskip("tangermeme")
    function = bases_function(tmp_path / "a", {"kind": model, "channels": (5, 4, 3)}, window)
    codes, halflife = draw_genes(3, window)
    others = references(kind, codes, NAMES, 2, 0)
    found = deeplift(function, codes, halflife, others)
    top = function.logits_of_codes(codes, halflife)
    if kind == "shuffled":
        bottom = np.mean([function.logits_of_codes(others[:, r], halflife) for r in range(2)], axis=0)
        np.testing.assert_allclose(found.difference, top - bottom, atol=1e-6)
    assert np.abs(found.difference).max() > 1e-4
    gap = found.attribution.sum(axis=1, dtype=float) - found.difference
    np.testing.assert_allclose(gap, 0, atol=2e-6)
    np.testing.assert_allclose(found.delta, gap, atol=2e-7)
    assert (found.attribution[codes == 4] == 0).all()


def test_genes_do_not_depend_on_each_other_and_no_hook_stays(tmp_path):
    pytest.importorskip("tangermeme")
    function = bases_function(tmp_path / "a")
    codes, halflife = draw_genes(3)
    expected = deeplift(function, codes, halflife, unknown(codes))
    found = deeplift(function, codes[1:], halflife[1:], unknown(codes[1:]))
    np.testing.assert_allclose(found.attribution, expected.attribution[1:], atol=1e-6)
    for module in function.model.modules():
        assert not {"input", "output"} & set(vars(module))
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert all(weight.requires_grad for weight in function.model.parameters())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (hyena_function, ["HyenaDNA", "integrated_gradients"]),
        (
            lambda folder: bases_function(folder, {"kind": "lstm", "width": 4, "hidden": 3}),
            ["lstm", "integrated_gradients"],
        ),
        (lambda folder: table_function(folder, "logistic"), ["logistic", "mutagenesis"]),
        (lambda folder: bases_function(folder, {"kind": "cnn_halflife_only"}), ["reads no DNA"]),
    ],
)
def test_models_without_rules_are_refused(make, words, tmp_path):
    codes, halflife = draw_genes()
    with pytest.raises(ConfigError) as info:
        deeplift(make(tmp_path / "a"), codes, halflife, unknown(codes))
    sentence(info, *words)


def test_without_tangermeme_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("raygenex.extras.find_spec", lambda name: None)
    codes, halflife = draw_genes()
    with pytest.raises(ConfigError) as info:
        deeplift(bases_function(tmp_path / "a"), codes, halflife, unknown(codes))
    sentence(info, "tangermeme", "raygenex[explain]")
