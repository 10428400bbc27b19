import numpy as np
import pytest
import torch
from toy_explain import bases_function, draw_genes, hyena_function, linear_function

from raygenex.explain.methods.gradients import gradient, input_x_gradient, saliency

CODES = np.array([[0, 1, 4, 3]], np.uint8)
FEATURES = np.ones((1, 8), np.float32)


def test_a_linear_model_by_hand(tmp_path):
    found = gradient(linear_function(tmp_path / "a"), CODES, FEATURES)
    # Base b counts 10 p + b^2: the mean over b is 10 p + 3.5.
    np.testing.assert_allclose(found, np.tile([-3.5, -2.5, 0.5, 5.5], (1, 4, 1)))
    np.testing.assert_allclose(saliency(found), [[3.0, 3.0, 3.0, 3.0]])
    np.testing.assert_allclose(input_x_gradient(found, CODES), [[-3.5, -2.5, 0, 5.5]])


@pytest.mark.parametrize("make", [bases_function, hyena_function])
def test_captum_agrees(make, tmp_path):
    captum = pytest.importorskip("captum.attr")
    function = make(tmp_path / "a")
    codes, halflife = draw_genes()
    one_hot = function.one_hot(codes).requires_grad_()
    plain = captum.Saliency(lambda soft: function.logits(soft, halflife)).attribute(one_hot, abs=False).numpy()
    expected = plain - plain.mean(axis=-1, keepdims=True)
    found = gradient(function, codes, halflife)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found).max() > 1e-3
    np.testing.assert_allclose(found.sum(axis=-1), 0, atol=1e-6)


@pytest.mark.parametrize("make", [bases_function, hyena_function])
def test_batches_make_no_difference(make, tmp_path):
    function = make(tmp_path / "a")
    codes, halflife = draw_genes()
    expected = gradient(function, codes, halflife)
    for batch_size in (1, 3, 100):
        function.batch_size = batch_size
        np.testing.assert_allclose(gradient(function, codes, halflife), expected, atol=1e-5 * np.abs(expected).max())
    one = gradient(function, codes[2:3], halflife[2:3])
    np.testing.assert_allclose(one[0], expected[2], atol=1e-5 * np.abs(expected).max())
    assert gradient(function, codes[:0], halflife[:0]).shape == (0, 60, 4)


def test_gradients_flow_although_gradients_are_off(tmp_path):
    function = bases_function(tmp_path / "a")
    with torch.no_grad():
        assert np.abs(gradient(function, *draw_genes())).max() > 0
