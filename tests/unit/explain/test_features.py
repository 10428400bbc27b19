"""Explanations of a model that reads other features than the eight: names, gaps, and how many there may be."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_models import columns, save_toy, sentence, small_config, write_promoters
from toy_targets import explain_here

from raygenex.config.load import parse_config
from raygenex.errors import ConfigError
from raygenex.explain.parts import read_manifest, read_parts
from raygenex.explain.run import explain, plan_explain
from raygenex.report.collect import collect
from raygenex.report.page import render_page
from raygenex.train.checkpoint import InputInfo

WINDOW, GENES = 20, 24
NAMES = ("UTR5LEN", "openness", "methylation")


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a run of a model that reads `NAMES`, one of which half the genes lack."""
    genes = columns(GENES, WINDOW)
    file = write_promoters(tmp_path / "valid.h5", genes)
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"gene_id": genes["gene_id"], "openness": rng.normal(size=GENES)})
    table["methylation"] = np.where(np.arange(GENES) % 3 == 0, np.nan, rng.uniform(size=GENES))
    path = str(tmp_path / "marks.tsv")
    table.to_csv(path, sep="\t", index=False)

    def configure(names=NAMES, **explain):
        marks = [{"name": name, "table": path} for name in names[1:]]
        data = {"valid": file, "features": [names[0], *marks]}
        values = small_config().dump() | {"name": "toy", "output": str(tmp_path / "runs"), "data": data}
        config = parse_config(values | {"explain": {"methods": ["saliency", "halflife"]} | explain}, "test")
        if not Path(config.checkpoint).exists():
            inputs = InputInfo(
                kind="bases", length=WINDOW, channels=4, window=WINDOW, features=names, lacking=("methylation",)
            )
            save_toy(Path(config.checkpoint), config, inputs, metrics={"auroc": 0.5})
        return config

    return configure


def test_names_sums_and_figures(make, monkeypatch):
    explain_here(monkeypatch)
    drawn = {}
    monkeypatch.setattr(
        "raygenex.explain.results.explained.save_figure",
        lambda folder, name, size, plot: drawn.update({name: plot}),
    )
    config = make(permutations=2)
    found = explain(config, config.checkpoint)
    folder = Path(found.folder)
    assert read_manifest(folder).features == NAMES
    with (folder / "halflife_importance.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["feature"] for row in csv.DictReader(stream)} == set(NAMES)
    assert f"most important feature: {found.summary['halflife']['feature']}" in found.text().replace("half-life ", "")

    parts, scores = read_parts(folder / "halflife"), read_parts(folder / "scores")
    assert parts["attribution"].shape == (GENES, 3)
    assert parts["permuted"].shape == (GENES, 2, 3)
    np.testing.assert_allclose(parts["base"] + parts["attribution"].sum(axis=1), scores["logit"], atol=1e-5)
    # A gap is none of the values: genes that lack one differ from the median of those that have it.
    assert np.abs(parts["attribution"][::3, 2]).min() > 0

    captions = json.loads((folder / "figures" / "captions.json").read_text())
    assert captions["halflife"]["title"] == "What the features add to the score"
    assert captions["halflife"]["caption"].startswith(
        "Shapley values of the features, a dot per gene. Grey crosses: no value of the feature."
    )
    assert {"halflife", "halflife_importance"} <= drawn.keys()


def test_the_report_names_them(make, monkeypatch, blank_figures):
    explain_here(monkeypatch)
    config = make()
    explain(config, config.checkpoint)
    facts = collect(config.folder)
    page = render_page(facts, "2026-01-01")
    assert "features UTR5LEN, openness, methylation (genes of train lack methylation)" in page
    assert "<h4>Features</h4>" in page
    assert "Features, Shapley values, valid" in page
    assert "alf-life features" not in page.split("<h2>How")[1]


def test_a_changed_table_makes_the_parts_stale(make, monkeypatch):
    explain_here(monkeypatch)
    config = make()
    explain(config, config.checkpoint)
    assert not any("its settings changed" in line for line in plan_explain(config, config.checkpoint, force=False))
    table = Path(config.data.features[1].table)
    values = pd.read_csv(table, sep="\t")
    values.loc[0, "openness"] += 1
    values.to_csv(table, sep="\t", index=False)
    plan = plan_explain(config, config.checkpoint, force=False)
    assert f"halflife: {GENES} of {GENES} genes to do (its settings changed)" in plan


def test_shapley_values_of_many_features_are_refused(make):
    config = make(names=("UTR5LEN", "methylation", *(f"mark{i}" for i in range(13))))
    with pytest.raises(ConfigError) as info:
        plan_explain(config, config.checkpoint, force=False)
    sentence(info, "halflife", "2^15 mixtures", "14 features at most", "explain.methods=[saliency]")
