"""What is explained of a model of targets, by every method, against its predictions."""

import numpy as np
import pandas as pd
import pytest
from toy_explain import bases_function, draw_genes, target_function
from toy_models import columns, save_targets, sentence, small_config, write_promoters

from raygenex.config.load import parse_config
from raygenex.errors import ConfigError, DataError
from raygenex.explain.methods.deeplift import deeplift
from raygenex.explain.methods.gradients import gradient
from raygenex.explain.methods.integrated import integrated_gradients
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.mutagenesis import mutagenesis
from raygenex.explain.methods.references import unknown
from raygenex.explain.methods.shapley import halflife_shapley
from raygenex.explain.target import explained_target, measured_of
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import InputInfo

TARGETS = ("level", "high", "reads", "life")


def from_prediction(predictor, target, codes, halflife):
    """Return what a target's attributions must share out, from the columns that users read."""
    found = predictor.predict_arrays(codes, halflife)
    return {
        "level": lambda: np.log2(1 + found["level"]),
        "high": lambda: np.log(found["high_probability"] / (1 - found["high_probability"])),
        "reads": lambda: np.log(found["reads"]),
        "life": lambda: found["life"],
    }[target]()


@pytest.mark.parametrize("target", TARGETS)
def test_the_number_is_that_of_prediction(target, tmp_path):
    function = target_function(tmp_path / "a", target)
    codes, halflife = draw_genes()
    wanted = from_prediction(function.predictor, target, codes, halflife)
    np.testing.assert_allclose(function.logits_of_codes(codes, halflife), wanted, rtol=1e-6)
    np.testing.assert_allclose(function.logits(function.one_hot(codes), halflife).numpy(force=True), wanted, rtol=1e-6)
    mixed = np.stack([halflife, halflife[::-1]], axis=1)
    many = function.logits_of_halflives(codes, mixed)
    np.testing.assert_allclose(many[:, 0], wanted, rtol=1e-6)
    np.testing.assert_allclose(
        many[:, 1], from_prediction(function.predictor, target, codes, halflife[::-1]), rtol=1e-6
    )


@pytest.mark.parametrize("target", TARGETS)
def test_attributions_sum_to_the_change_of_the_target(target, tmp_path):
    function = target_function(tmp_path / "a", target)
    codes, halflife = draw_genes(3)
    scored = [from_prediction(function.predictor, target, bases, halflife) for bases in (codes, np.full_like(codes, 4))]
    change = scored[0] - scored[1]
    paths = integrated_gradients(function, codes, halflife, unknown(codes), tolerance=0.01)
    assert paths.converged.all()
    np.testing.assert_allclose(paths.difference, change, atol=1e-5)
    np.testing.assert_allclose(paths.attribution.sum(axis=1), change, atol=0.01 * np.abs(change).max() + 1e-5)
    pytest.importorskip("tangermeme")
    lifted = deeplift(function, codes, halflife, unknown(codes))
    np.testing.assert_allclose(lifted.difference, change, atol=1e-5)
    np.testing.assert_allclose(lifted.attribution.sum(axis=1), change, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("route", ["receptive_field", "whole", "prefix"])
def test_mutagenesis_is_every_substitution_predicted(target, route, tmp_path, monkeypatch):
    if route != "prefix":
        monkeypatch.setattr("raygenex.explain.methods.receptive_field._LARGEST_SHARE", float(route != "whole"))
    function = target_function(tmp_path / "a", target, embeds=route == "prefix")
    codes, halflife = draw_genes(2)
    found = mutagenesis(function, codes, halflife, 10, 14)
    own = from_prediction(function.predictor, target, codes, halflife)
    for gene in range(2):
        for place in range(10, 14):
            others = []
            for base in set(range(4)) - {int(codes[gene, place])}:
                changed = codes[gene : gene + 1].copy()
                changed[0, place] = base
                others.append(from_prediction(function.predictor, target, changed, halflife[gene : gene + 1])[0])
            # Stored embeddings are rounded to float16.
            tolerance = 1e-3 if route == "prefix" else 1e-5
            assert found.attribution[gene, place] == pytest.approx(own[gene] - np.mean(others), abs=tolerance)


@pytest.mark.parametrize("target", TARGETS)
def test_shapley_values_sum_to_the_change_of_the_target(target, tmp_path):
    function = target_function(tmp_path / "a", target)
    codes, halflife = draw_genes(3)
    reference = np.zeros(8, np.float32)
    attribution, base = halflife_shapley(function, codes, halflife, reference)
    at_reference = from_prediction(function.predictor, target, codes, np.zeros_like(halflife))
    np.testing.assert_allclose(base, at_reference, rtol=1e-5)
    whole = from_prediction(function.predictor, target, codes, halflife)
    np.testing.assert_allclose(attribution.sum(axis=1), whole - at_reference, atol=1e-5)


def test_a_gradient_is_in_units_of_the_target(tmp_path):
    functions = [target_function(tmp_path / name, name) for name in ("level", "life")]
    codes, halflife = draw_genes(2)
    step = np.zeros((2, 60, 4), np.float32)
    for function in functions:
        slopes = gradient(function, codes, halflife)
        assert slopes.shape == step.shape
        assert np.abs(slopes).max() > 0
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(*(gradient(function, codes, halflife) for function in functions), atol=1e-6)


def test_a_large_mean_costs_no_digits(tmp_path):
    function = target_function(tmp_path / "a", "life")
    codes, halflife = draw_genes(3)
    near = halflife_shapley(function, codes, halflife, np.zeros(8, np.float32))[0]
    function.target.mean = 1e6
    assert function.logits_of_codes(codes, halflife).min() > 9e5
    np.testing.assert_allclose(halflife_shapley(function, codes, halflife, np.zeros(8, np.float32))[0], near, atol=1e-7)


def test_the_first_target_is_explained_unless_another_is_named(tmp_path):
    info = target_function(tmp_path / "a").predictor.info
    assert explained_target(info, None).name == "level"
    assert explained_target(info, "reads").name == "reads"
    with pytest.raises(ConfigError) as other:
        explained_target(info, "label")
    sentence(other, "explain.target is label", "level, high, reads, life")
    label = bases_function(tmp_path / "b")
    assert explained_target(label.predictor.info, None) is explained_target(label.predictor.info, "label") is None
    with pytest.raises(ConfigError) as none:
        LogitFunction(label.predictor, target="level")
    sentence(none, "explain.target is level", "the label alone")


def configured(tmp_path, **sections):
    return parse_config({"data": {"valid": str(tmp_path / "valid.h5")}} | sections, "test")


def test_measured_values_are_on_the_scale_of_the_target(tmp_path):
    save_targets(tmp_path / "model", small_config(), InputInfo(kind="bases", length=20, channels=4, window=20))
    level = Predictor.describe(tmp_path / "model").targets[0]
    write_promoters(tmp_path / "valid.h5", columns(4, 20))
    table = str(tmp_path / "levels.tsv")
    pd.DataFrame({"gene_id": ["G0", "G2", "G3"], "level": [0.0, 7.0, np.nan]}).to_csv(table, sep="\t", index=False)
    target = {"name": "level", "table": table, "unit": "TPM"}
    np.testing.assert_array_equal(measured_of(configured(tmp_path, targets=[target]), level), [0, np.nan, 3, np.nan])
    # The configuration need not know the target.
    assert np.isnan(measured_of(configured(tmp_path), level)).all()
    assert np.isnan(measured_of(configured(tmp_path, targets=["label"]), level)).all()
    with pytest.raises(DataError) as other:
        measured_of(configured(tmp_path, targets=[target | {"unit": "hours"}]), level)
    sentence(other, "hours", "TPM")
