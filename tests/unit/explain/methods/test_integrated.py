import numpy as np
import pytest
import torch
from toy_explain import bases_function, draw_genes, hyena_function, linear_function

from raygenex.explain.methods.integrated import FLOOR, integrated_gradients
from raygenex.explain.methods.references import references, uniform, unknown

LSTM = {"kind": "lstm", "width": 5, "pool": 2, "hidden": 4, "dense": (6,)}
CODES = np.array([[0, 1, 4, 3]], np.uint8)
FEATURES = np.ones((1, 8), np.float32)


def train(function, steps=30):
    """Train a model a little, on the share of A among a gene's bases."""
    codes, halflife = draw_genes(32, unknown=False)
    target = torch.from_numpy(((codes == 0).mean(axis=1) > 0.25).astype(np.float32))
    inputs = torch.from_numpy(function.inputs(codes))
    optimizer = torch.optim.Adam(function.model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = function.model(inputs, torch.from_numpy(halflife))
        torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        optimizer.step()


BACKBONES = {
    "cnn": lambda folder: bases_function(folder),
    "lstm": lambda folder: bases_function(folder, LSTM),
    "hyena mean 1": lambda folder: hyena_function(folder, {"bin_size": 1}),
    "hyena mean 8": lambda folder: hyena_function(folder, {"bin_size": 8}),
    "hyena max 7": lambda folder: hyena_function(folder, {"bin_size": 7, "pooling": "max"}),
    "hyena max lstm": lambda folder: hyena_function(folder, {"bin_size": 8, "pooling": "max"}, LSTM | {"width": 8}),
}


def test_a_linear_model_by_hand(tmp_path):
    function = linear_function(tmp_path / "a")
    found = integrated_gradients(function, CODES, FEATURES, unknown(CODES), steps=2)
    np.testing.assert_allclose(found.attribution, [[0, 11, 0, 39]], atol=1e-5)
    np.testing.assert_allclose(found.hypothetical[0, 1], [10, 11, 14, 19], atol=1e-5)
    assert found.difference.tolist() == [50.0]
    assert found.steps.tolist() == [2]
    # Against all bases in equal parts: what is above the mean, 10 p + 3.5.
    found = integrated_gradients(function, CODES, FEATURES, uniform(CODES), steps=3)
    np.testing.assert_allclose(found.attribution, [[-3.5, -2.5, 0, 5.5]], atol=1e-5)
    # Against T C - G and A A - A, the mean of both.
    others = np.array([[[3, 1, 4, 2], [0, 0, 4, 0]]], np.uint8)
    found = integrated_gradients(function, CODES, FEATURES, others)
    np.testing.assert_allclose(found.attribution, [[-4.5, 0.5, 0, (5 + 9) / 2]], atol=1e-4)


# Every backbone trained and not, and with every reference; of max-pooling, whose paths are long, one shuffled.
@pytest.mark.parametrize(
    ("name", "kind", "trained"),
    [
        ("cnn", "unknown", False),
        ("cnn", "uniform", True),
        ("cnn", "shuffled", False),
        ("cnn", "shuffled", True),
        ("lstm", "unknown", True),
        ("lstm", "uniform", False),
        ("lstm", "shuffled", True),
        ("hyena mean 1", "unknown", False),
        ("hyena mean 1", "uniform", True),
        ("hyena mean 1", "shuffled", True),
        ("hyena mean 8", "unknown", True),
        ("hyena mean 8", "uniform", False),
        ("hyena mean 8", "shuffled", False),
        ("hyena max 7", "unknown", False),
        ("hyena max 7", "uniform", True),
        ("hyena max 7", "shuffled", True),
        ("hyena max lstm", "unknown", True),
        ("hyena max lstm", "uniform", False),
    ],
)
def test_the_sum_is_the_change_of_the_logit(name, kind, trained, tmp_path):
    function = BACKBONES[name](tmp_path / "a")
    if trained:
        train(function)
    codes, halflife = draw_genes(3)
    others = references(kind, codes, np.array(["a", "b", "c"]), 2, 0)
    found = integrated_gradients(function, codes, halflife, others, 16, 1024, 0.01)
    with torch.no_grad():
        top = function.logits(function.one_hot(codes), halflife).double().numpy()
        count = others.shape[1]
        flat = function.one_hot(others.reshape(-1, codes.shape[1]))
        bottom = function.logits(flat, np.repeat(halflife, count, axis=0)).double().numpy().reshape(-1, count)
    change = top - bottom.mean(axis=1)
    np.testing.assert_allclose(found.difference, change, atol=1e-6)
    gap = np.abs(found.attribution.sum(axis=1, dtype=np.float64) - change)
    # Of a change ten thousand times smaller than the logit itself, float32 gives no percent.
    assert (gap <= np.maximum(0.01 * np.abs(change), 1e-4 * np.abs(top))).all()
    assert found.converged[np.abs(change) > 0.01 * np.abs(top)].all()
    assert (found.steps <= 1024).all()
    np.testing.assert_allclose(np.abs(found.delta), gap, atol=1e-6)


@pytest.mark.parametrize("make", [bases_function, hyena_function])
def test_captum_agrees(make, tmp_path):
    captum = pytest.importorskip("captum.attr")
    function = make(tmp_path / "a")
    codes, halflife = draw_genes(2)
    found = integrated_gradients(function, codes, halflife, unknown(codes), 64, 2048, 1e-4)
    for gene in range(2):
        features = np.repeat(halflife[gene : gene + 1], 400, axis=0)
        method = captum.IntegratedGradients(
            lambda soft, features=features: function.logits(soft, features[: len(soft)])
        )
        expected = method.attribute(function.one_hot(codes[gene : gene + 1]), n_steps=400, internal_batch_size=50)
        scale = float(expected.abs().max())
        np.testing.assert_allclose(found.attribution[gene], expected.sum(dim=-1)[0], atol=0.02 * scale)


def test_every_path_is_refined_by_itself(tmp_path):
    """Batches, and the genes beside, make no difference."""
    function = hyena_function(tmp_path / "a", {"bin_size": 7, "pooling": "max"})
    codes, halflife = draw_genes(3)
    expected = integrated_gradients(function, codes, halflife, unknown(codes), 8, 256, 0.01)
    function.batch_size = 7
    found = integrated_gradients(function, codes[1:], halflife[1:], unknown(codes[1:]), 8, 256, 0.01)
    np.testing.assert_array_equal(found.steps, expected.steps[1:])
    scale = np.abs(expected.attribution).max()
    np.testing.assert_allclose(found.attribution, expected.attribution[1:], atol=1e-5 * scale)


def test_too_few_steps_are_said(tmp_path):
    function = bases_function(tmp_path / "a")
    codes, halflife = draw_genes(3)
    found = integrated_gradients(function, codes, halflife, unknown(codes), 2, 3, 1e-9)
    assert found.steps.max() == 3
    assert not found.converged.all()
    assert (np.abs(found.delta[~found.converged]) > FLOOR).all()


@pytest.mark.parametrize("kind", ["unknown", "uniform", "shuffled"])
def test_nothing_is_attributed_to_unknown_bases(kind, tmp_path):
    codes, halflife = draw_genes(2)
    others = references(kind, codes, np.array(["a", "b"]), 2, 0)
    found = integrated_gradients(bases_function(tmp_path / "a"), codes, halflife, others, 8, 8, 1.0)
    assert (codes == 4).sum() == 4
    assert (found.attribution[codes == 4] == 0).all()
    own = np.take_along_axis(found.hypothetical, np.minimum(codes, 3)[..., None].astype(int), -1)[..., 0]
    np.testing.assert_allclose(own[codes < 4], found.attribution[codes < 4], atol=1e-6)
