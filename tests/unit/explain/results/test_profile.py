"""Profiles and top positions, against means and intervals worked out by hand."""

import csv
import math

import numpy as np
import pytest

from raygenex.explain.results import profile

ATTRIBUTION = np.array([[1, -2, 0, 4], [3, 2, np.nan, 0], [-5, 6, 2, 0]], dtype=np.float32)
HIGH = np.array([True, True, False])


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_means_of_every_group():
    found = profile.profiles(ATTRIBUTION, HIGH, -2)
    assert list(found) == ["all", "high", "low"]
    np.testing.assert_array_equal(found["all"].position, [-2, -1, 0, 1])
    np.testing.assert_allclose(found["all"].mean, [3, 10 / 3, 1, 4 / 3])
    np.testing.assert_allclose(found["all"].signed, [-1 / 3, 2, 1, 4 / 3])
    np.testing.assert_allclose(found["high"].mean, [2, 2, 0, 2])
    np.testing.assert_allclose(found["low"].mean, [5, 6, 2, 0])
    assert [one.genes for one in found.values()] == [3, 2, 1]


def test_the_interval_of_two_genes_is_their_values():
    # A resample of two genes has one twice with probability 1/4 each, beyond either end of a 95 % interval.
    high = profile.profiles(ATTRIBUTION, HIGH, 0)["high"]
    np.testing.assert_allclose(high.low, [1, 2, 0, 0])
    np.testing.assert_allclose(high.high, [3, 2, 0, 4])


def test_the_interval_of_one_gene_is_its_value():
    low = profile.profiles(ATTRIBUTION, HIGH, 0)["low"]
    np.testing.assert_allclose(low.low, [5, 6, 2, 0])
    np.testing.assert_allclose(low.high, [5, 6, 2, 0])


def test_a_group_without_genes_is_left_out():
    assert list(profile.profiles(ATTRIBUTION, np.ones(3, dtype=bool), 0)) == ["all", "high"]


def test_a_position_that_no_gene_has_stays_empty():
    values = ATTRIBUTION.copy()
    values[:, 1] = np.nan
    found = profile.profiles(values, HIGH, 0, smoothing=3)["all"]
    assert np.isnan([found.mean[1], found.low[1], found.high[1], found.signed[1]]).all()
    # The others pass over it: position 0 is alone, 2 and 3 are averaged with each other.
    np.testing.assert_allclose(found.mean[[0, 2, 3]], [3, 7 / 6, 7 / 6])


def test_the_seed_decides_the_interval():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 5)).astype(np.float32)
    high = np.ones(30, dtype=bool)
    one, same, other = (profile.profiles(values, high, 0, seed=seed)["all"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.low, same.low)
    assert (one.low != other.low).any()


def test_blocks_of_positions_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 101)).astype(np.float32)
    values[3, 17] = np.nan
    values[:, 40:44] = np.nan
    high = rng.random(20) < 0.5
    whole = profile.profiles(values, high, 0, smoothing=6)
    monkeypatch.setattr(profile, "_BLOCK", 20_000)
    parts = profile.profiles(values, high, 0, smoothing=6)
    for group in whole:
        for name in ("mean", "low", "high", "signed"):
            expected = getattr(whole[group], name)
            np.testing.assert_allclose(getattr(parts[group], name), expected, rtol=1e-5)


def test_intervals_cover_the_true_mean():
    # |x| of a standard normal has mean sqrt(2 / pi); 400 positions are 400 experiments.
    values = np.random.default_rng(3).normal(size=(200, 400)).astype(np.float32)
    found = profile.profiles(values, np.ones(200, dtype=bool), 0, confidence=0.9)["all"]
    truth = math.sqrt(2 / math.pi)
    covered = ((found.low <= truth) & (truth <= found.high)).mean()
    assert 0.84 < covered < 0.95


def test_smooth():
    values = np.array([1.0, 2, 3, 4, 10])
    np.testing.assert_allclose(profile.smooth(values, 1), values)
    np.testing.assert_allclose(profile.smooth(values, 3), [1.5, 2, 3, 17 / 3, 7])
    # An even width reaches further left.
    np.testing.assert_allclose(profile.smooth(values, 2), [1, 1.5, 2.5, 3.5, 7])
    np.testing.assert_allclose(profile.smooth(values, 99), np.full(5, 4))


def test_smooth_passes_over_nan():
    np.testing.assert_allclose(profile.smooth(np.array([1.0, np.nan, 3, 5]), 3), [1, np.nan, 4, 4])


def test_mean_importance_by_blocks(monkeypatch):
    monkeypatch.setattr(profile, "_BLOCK", 4)
    np.testing.assert_allclose(profile.mean_importance(ATTRIBUTION), [3, 10 / 3, 1, 4 / 3])


def test_top_positions():
    gene_id = np.array(["a", "b", "c"])
    probability = np.array([0.6, 0.9, 0.1])
    top = profile.top_positions(ATTRIBUTION, gene_id, probability, 0.5, -2, positions=3, genes=100)
    # Means over a and b: 2, 2, 0 (a alone), 2; equal ones from the left.
    np.testing.assert_array_equal(top.position, [-2, -1, 1])
    np.testing.assert_allclose(top.importance, [2, 2, 2])
    assert top.gene_id.tolist() == ["b", "a"]
    np.testing.assert_array_equal(top.value, [[3, 2, 0], [1, -2, 4]])
    assert top.predicted_high == 2


def test_top_positions_of_the_most_probable_genes_are_those_of_all_predicted_high():
    gene_id = np.array(["a", "b", "c"])
    top = profile.top_positions(ATTRIBUTION, gene_id, np.array([0.6, 0.9, 0.5]), 0.5, 0, positions=1, genes=1)
    assert top.position.tolist() == [1]
    np.testing.assert_allclose(top.importance, [10 / 3])
    assert top.gene_id.tolist() == ["b"]
    np.testing.assert_array_equal(top.value, [[2]])


def test_top_positions_without_a_gene_predicted_high():
    top = profile.top_positions(ATTRIBUTION, np.array(["a", "b", "c"]), np.zeros(3), 0.5, 0)
    assert (top.position.size, top.gene_id.size, top.value.shape) == (0, 0, (0, 0))


def test_positions_that_nobody_has_are_never_top():
    values = np.full((2, 3), np.nan, dtype=np.float32)
    values[:, 1] = 1
    top = profile.top_positions(values, np.array(["a", "b"]), np.ones(2), 0.5, 10)
    assert top.position.tolist() == [11]


def test_tables(tmp_path):
    values = ATTRIBUTION.copy()
    values[:, 1] = np.nan
    profile.write_profiles(tmp_path / "importance_saliency.csv", profile.profiles(values, HIGH, -2))
    rows = rows_of(tmp_path / "importance_saliency.csv")
    assert list(rows[0]) == ["position", "group", "mean", "low", "high", "genes", "signed"]
    assert [row["group"] for row in rows] == ["all"] * 4 + ["high"] * 4 + ["low"] * 4
    assert rows[1]["position"] == "-1"
    assert rows[1]["mean"] == rows[1]["low"] == ""
    assert (float(rows[4]["mean"]), rows[4]["genes"]) == (2, "2")
    top = profile.top_positions(ATTRIBUTION, np.array(["a", "b", "c"]), np.ones(3), 0.5, -2, positions=2)
    profile.write_top(tmp_path, "saliency", top)
    rows = rows_of(tmp_path / "top_saliency.csv")
    assert [(row["rank"], row["position"]) for row in rows] == [("1", "-1"), ("2", "-2")]
    with np.load(tmp_path / "top_saliency.npz") as stored:
        assert stored["gene_id"].tolist() == ["a", "b", "c"]
        assert stored["position"].tolist() == [-1, -2]
        np.testing.assert_array_equal(stored["value"], [[-2, 1], [2, 3], [6, -5]])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "importance_saliency.csv",
        "top_saliency.csv",
        "top_saliency.npz",
    ]


@pytest.mark.parametrize("smoothing", [1, 50])
def test_a_long_promoter_in_little_memory(smoothing):
    values = np.zeros((40, 20_000), dtype=np.float32)
    values[:, 10_000] = 1
    found = profile.profiles(values, np.ones(40, dtype=bool), -10_000, smoothing)["all"]
    assert found.position[np.argmax(found.mean)] in range(-25, 26)
    np.testing.assert_allclose(found.mean.max(), 1 / smoothing)
    np.testing.assert_allclose(found.mean.sum(), 1)
