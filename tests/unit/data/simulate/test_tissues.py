"""Tissues of a simulation: how much they share, what a perfect model reaches, and what files say of them."""

import csv
import json

import numpy as np
import pytest
from toy_models import sentence

from raygenex.config.data import SimulateConfig
from raygenex.config.load import parse_config
from raygenex.data.hdf5.read import inspect, read_table, read_targets
from raygenex.data.simulate.run import simulate
from raygenex.data.simulate.tissues import draw_tissues
from raygenex.data.simulate.truth import draw_truth
from raygenex.errors import ConfigError
from raygenex.stats.quantities import specificity


def draw(genes=4000, **settings):
    config = SimulateConfig(window=400, **settings)
    return draw_tissues(config, draw_truth(config, genes, np.random.default_rng(0)), np.random.default_rng(1))


def test_levels_vary_by_one_and_correlate_by_what_is_shared():
    """Own parts are near independent, since each tissue weighs eleven motifs in its own way."""
    tissues = draw(targets=40, target_specific=0.4)
    np.testing.assert_allclose(tissues.level.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(tissues.level.std(axis=0), 1, atol=1e-9)
    between = np.corrcoef(tissues.level.T)[np.triu_indices(40, 1)]
    assert np.mean(between) == pytest.approx(0.6, abs=0.06)
    same = draw(targets=3, target_specific=0.0).level
    np.testing.assert_allclose(same, same[:, [0]].repeat(3, axis=1))


def test_the_ceiling_is_that_of_the_noise():
    tissues = draw(targets=5, target_noise=0.75)
    found = tissues.ceilings(slice(0, 4000))
    # Levels vary by about 1, and noise by 0.75 squared: r is sqrt(1 / (1 + 0.5625)).
    assert found["target_pearson"] == pytest.approx(0.8, abs=0.02)
    assert found["target_specificity"] == specificity(tissues.measured, tissues.level)
    assert draw(targets=5, target_noise=0.0).ceilings(slice(0, 4000))["target_pearson"] == pytest.approx(1)


def test_values_are_missing_by_their_share():
    missing = np.isnan(draw(targets=10, target_missing=0.3).measured)
    assert missing.mean() == pytest.approx(0.3, abs=0.01)
    assert draw(targets=2, genes=1).ceilings(slice(0, 1)) == {"target_pearson": None, "target_specificity": None}


def test_files_and_truth_hold_them_and_the_labels_stay_what_they_were(tmp_path):
    plain = SimulateConfig(train=30, valid=10, test=5, window=200, seed=3)
    simulate(plain, tmp_path / "plain")
    config = plain.model_copy(update={"targets": 12, "target_missing": 0.1})
    result = simulate(config, tmp_path / "tissues")
    with open(result.files["truth"], encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 45
    file, before = (inspect(str(tmp_path / folder / "train.h5")) for folder in ("tissues", "plain"))
    assert [target.name for target in file.targets] == [f"tissue{number:02d}" for number in range(1, 13)]
    measured = read_targets(file, "tissue07")
    level = np.array([float(row["tissue07"]) for row in rows[:30]])
    assert np.nanmax(np.abs(measured - level)) < 4 * config.target_noise
    np.testing.assert_array_equal(read_table(file).label, read_table(before).label)
    assert f"Pearson r {result.target_pearson['valid']:.4f}" in result.text()
    assert simulate(config, tmp_path / "tissues").target_specificity == result.target_specificity
    # What older versions wrote is still this data set.
    assert "targets" not in json.loads((tmp_path / "plain" / "simulation.json").read_text())["config"]
    assert simulate(plain, tmp_path / "plain").reused


def test_keys_of_targets_need_some():
    with pytest.raises(ConfigError) as info:
        parse_config({"simulate": {"target_noise": 0.1}}, "test")
    sentence(info, "target_noise", "simulate.targets")
    config = parse_config({"simulate": {}}, "test")
    assert config.hash() != parse_config({"simulate": {"targets": 1}}, "test").hash()
