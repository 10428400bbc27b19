"""What the columns of each method's parts are, for one block of genes."""

import numpy as np
import pytest
from toy_models import columns, save_toy, small_config

from raygenex.config.explain import ExplainConfig
from raygenex.explain.compute import Context, compute
from raygenex.explain.genes import donors_of
from raygenex.explain.methods.gradients import gradient, input_x_gradient, saliency
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.needs import method_settings
from raygenex.explain.parts import SCORES
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import InputInfo

WINDOW, GENES = 24, 5
BASES = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
MEDIAN = np.arange(8, dtype=np.float32) / 4


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "checkpoint"
    save_toy(folder, small_config(), BASES)
    return Predictor(folder)


@pytest.fixture(scope="module")
def batch():
    genes = columns(GENES, WINDOW)
    donors = donors_of(genes["halflife"], 2, seed=0)
    label = genes["label"].astype(np.int8)
    return genes | {"label": label, "donors": donors.reshape(GENES, -1)}


def explained(predictor, batch, *methods, **options):
    context = Context(LogitFunction(predictor, 2), ExplainConfig(**options), 0, -12, MEDIAN)
    return dict(compute(context, methods, batch))


def test_scores_are_those_of_prediction(predictor, batch):
    found = explained(predictor, batch, SCORES)[SCORES]
    expected = predictor.score(batch["sequence"], batch["halflife"])
    np.testing.assert_allclose(found["probability"], expected, rtol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-found["logit"])), found["probability"], rtol=1e-12)
    np.testing.assert_array_equal(found["label"], batch["label"])
    assert found["dense"].shape == (GENES, 8)


def test_one_gradient_serves_two_methods(predictor, batch, monkeypatch):
    slopes = gradient(LogitFunction(predictor), batch["sequence"], batch["halflife"])
    calls = []
    monkeypatch.setattr("raygenex.explain.compute.gradient", lambda *arguments: calls.append(1) or gradient(*arguments))
    found = explained(predictor, batch, "saliency", "input_x_gradient", hypothetical=True)
    assert calls == [1]
    np.testing.assert_allclose(found["saliency"]["attribution"], saliency(slopes), rtol=1e-4, atol=1e-8)
    own = input_x_gradient(slopes, batch["sequence"])
    np.testing.assert_allclose(found["input_x_gradient"]["attribution"], own, rtol=1e-4, atol=1e-8)
    # In float16, gradients as small as those of long promoters would be zero.
    assert found["saliency"]["hypothetical"].dtype == np.float32
    np.testing.assert_allclose(found["saliency"]["hypothetical"], slopes, rtol=1e-4, atol=1e-9)
    assert set(explained(predictor, batch, "saliency")["saliency"]) == {"attribution"}


@pytest.mark.parametrize("reference", ["unknown", "uniform", "shuffled"])
@pytest.mark.parametrize("method", ["integrated_gradients", "deeplift"])
def test_sums_are_the_change_of_the_logit(predictor, batch, method, reference):
    found = explained(predictor, batch, method, reference=reference, references=2, tolerance=0.01)[method]
    assert found["attribution"].shape == (GENES, WINDOW)
    change = found["attribution"].sum(axis=1, dtype=np.float64) - found["difference"]
    np.testing.assert_allclose(change, found["delta"], atol=1e-6)
    assert (np.abs(found["delta"]) <= 0.01 * np.abs(found["difference"]) + 1e-5).all()


def test_a_region_is_in_bases_from_the_tss(predictor, batch):
    found = explained(predictor, batch, "mutagenesis", region=(-3, 2), hypothetical=True)["mutagenesis"]
    known = np.isfinite(found["attribution"])
    # The window begins 12 bases before the TSS.
    assert not known[:, :9].any()
    assert not known[:, 14:].any()
    assert known[:, 9:14][batch["sequence"][:, 9:14] < 4].all()
    assert found["hypothetical"].shape == (GENES, WINDOW, 4)
    whole = explained(predictor, batch, "mutagenesis")["mutagenesis"]["attribution"]
    np.testing.assert_allclose(whole[:, 9:14], found["attribution"][:, 9:14], rtol=1e-3, atol=1e-7)


def test_half_life_features_share_the_logit_and_are_shuffled_one_at_a_time(predictor, batch):
    found = explained(predictor, batch, "halflife")["halflife"]
    function = LogitFunction(predictor)
    logit = function.logits_of_codes(batch["sequence"], batch["halflife"])
    np.testing.assert_allclose(found["attribution"].sum(axis=1) + found["base"], logit, rtol=1e-4, atol=1e-6)
    base = function.logits_of_codes(batch["sequence"], np.tile(MEDIAN, (GENES, 1)))
    np.testing.assert_allclose(found["base"], base, rtol=1e-5, atol=1e-7)
    assert found["permuted"].shape == (GENES, 2, 8)
    donors = batch["donors"].reshape(GENES, 2, 8)
    for number, feature in ((0, 0), (1, 5)):
        mixed = batch["halflife"].copy()
        mixed[:, feature] = donors[:, number, feature]
        expected = function.logits_of_codes(batch["sequence"], mixed)
        np.testing.assert_allclose(found["permuted"][:, number, feature], expected, rtol=1e-5, atol=1e-6)
    without = batch | {"donors": np.zeros((GENES, 0), dtype=np.float32)}
    assert explained(predictor, without, "halflife")["halflife"]["permuted"].shape == (GENES, 0, 8)


def test_settings_name_what_numbers_depend_on():
    config = small_config(explain={"reference": "shuffled", "references": 4, "region": (-5, 5), "permutations": 3})
    assert method_settings(config, SCORES, True, -8) == {}
    assert method_settings(config, "saliency", True, -8) == {"hypothetical": False}
    assert method_settings(config, "deeplift", True, -8) == {
        "hypothetical": False,
        "reference": "shuffled",
        "references": 4,
        "seed": 0,
    }
    assert method_settings(config, "mutagenesis", True, -8) == {"hypothetical": False, "positions": [3, 13]}
    assert method_settings(config, "halflife", True, -8)["permutations"] == 3
    assert method_settings(config, "halflife", False, -8)["permutations"] == 0
