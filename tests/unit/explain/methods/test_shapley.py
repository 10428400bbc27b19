import itertools
import math

import numpy as np
import pytest
from toy_explain import bases_function, draw_genes, hyena_function, linear_function, table_function

from raygenex.explain.methods.shapley import halflife_shapley, shapley_values

REFERENCE = np.linspace(-1, 1, 8).astype(np.float32)


def worth(function, members):
    """Return the worth of every coalition of some members."""
    return np.array([function({i for i in range(members) if c >> i & 1}) for c in range(1 << members)], float)


# Values of games


def test_the_glove_game_by_hand():
    # Member 0 has a left glove, 1 and 2 a right one each; a pair is worth 1.
    values = worth(lambda who: float(0 in who and bool(who & {1, 2})), 3)
    np.testing.assert_allclose(shapley_values(values), [2 / 3, 1 / 6, 1 / 6])


def test_efficiency_symmetry_and_dummies():
    values = worth(lambda who: len(who & {0, 1}) ** 2 + 3.0 * (2 in who), 4)
    found = shapley_values(values)
    np.testing.assert_allclose(found, [2, 2, 3, 0])
    assert found.sum() == pytest.approx(values[-1] - values[0])


def test_every_order_of_the_members_counts_alike():
    values = np.random.default_rng(0).normal(size=(2, 16))
    expected = np.zeros((2, 4))
    for order in itertools.permutations(range(4)):
        before = 0
        for member in order:
            expected[:, member] += (values[:, before | 1 << member] - values[:, before]) / math.factorial(4)
            before |= 1 << member
    np.testing.assert_allclose(shapley_values(values), expected, atol=1e-12)


# Models


def test_a_linear_model_by_hand(tmp_path):
    codes = np.array([[0, 1, 4, 3]], np.uint8)
    halflife = np.arange(8, dtype=np.float32)[None]
    found, base = halflife_shapley(linear_function(tmp_path / "a"), codes, halflife, np.ones(8, np.float32))
    # Feature f counts f + 1, and is f - 1 above the reference; the bases count 50 and the reference 36.
    np.testing.assert_allclose(found, [[-1, 0, 3, 8, 15, 24, 35, 48]], atol=1e-4)
    assert base.tolist() == [86.0]


def make(name, folder):
    if name == "hyena":
        return hyena_function(folder)
    if name in ("logistic", "xgboost_kmer", "autoencoder_xgboost"):
        if name != "logistic":
            pytest.importorskip("xgboost")
        return table_function(folder, name)
    return bases_function(folder, {"kind": name})


@pytest.mark.parametrize(
    "name",
    [
        *("cnn_halflife_encoded", "cnn_halflife_raw", "cnn_halflife_only", "cnn_dna_only", "hyena"),
        *("logistic", "xgboost_kmer", "autoencoder_xgboost"),
    ],
)
def test_values_and_base_sum_to_the_logit(name, tmp_path):
    function = make(name, tmp_path / "a")
    codes, halflife = draw_genes(3)
    found, base = halflife_shapley(function, codes, halflife, REFERENCE)
    assert found.shape == (3, 8)
    np.testing.assert_allclose(found.sum(axis=1) + base, function.logits_of_codes(codes, halflife), atol=1e-5)
    at_reference = np.tile(REFERENCE, (3, 1))
    np.testing.assert_allclose(base, function.logits_of_codes(codes, at_reference), atol=1e-5)
    assert (np.abs(found).max() > 1e-5) == (name != "cnn_dna_only")
    function.batch_size = 100
    again, _ = halflife_shapley(function, codes[1:], halflife[1:], REFERENCE)
    np.testing.assert_allclose(again, found[1:], atol=1e-5)


def test_the_dna_is_embedded_once(tmp_path, monkeypatch):
    function = hyena_function(tmp_path / "a")
    codes, halflife = draw_genes(2)
    seen = []
    plain = function.inputs
    monkeypatch.setattr(function, "inputs", lambda some: seen.append(len(some)) or plain(some))
    halflife_shapley(function, codes, halflife, REFERENCE)
    assert seen == [2]


def test_features_as_in_the_reference_get_nothing(tmp_path):
    function = bases_function(tmp_path / "a")
    codes, halflife = draw_genes(2)
    halflife[:, 3] = REFERENCE[3]
    found, _ = halflife_shapley(function, codes, halflife, REFERENCE)
    np.testing.assert_allclose(found[:, 3], 0, atol=1e-6)
