"""What an explanation says, and whole ones of a model of targets: manifest, tables, and another target."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from toy_models import sentence
from toy_targets import GENES, explain_here, make_target_run

from raygenex.errors import CheckpointError, ConfigError
from raygenex.explain.parts import read_manifest, read_parts
from raygenex.explain.run import ExplainResult, explain, plan_explain
from raygenex.predict.predictor import Predictor


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that explains a run of targets in this process."""
    explain_here(monkeypatch)

    def call(config=None, **options):
        made = config or make_target_run(tmp_path, top_genes=4, permutations=2, rows_per_file=16, **options)
        return made, explain(made, made.checkpoint)

    return call


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def other_target(config, name):
    return config.model_copy(update={"explain": config.explain.model_copy(update={"target": name})})


def test_the_first_target_of_quantities(run, monkeypatch):
    said = []
    monkeypatch.setattr("raygenex.explain.job.logger.info", lambda text, *values: said.append(text % values))
    _, found = run()
    assert "explaining level, the first target: explain.target names another of high, reads, life" in said
    assert "target: level, in level, log2(1 + TPM)" in found.text()
    folder = Path(found.folder)
    manifest = read_manifest(folder)
    assert (manifest.target.name, manifest.threshold) == ("level", None)

    scores = read_parts(folder / "scores")
    projection = rows_of(folder / "projection.csv")
    assert list(projection[0]) == ["gene_id", "x", "y", "predicted", "measured"]
    predicted = np.array([float(row["predicted"]) for row in projection])
    np.testing.assert_allclose(predicted, scores["predicted"], rtol=1e-6)
    assert [row["gene_id"] for row in projection if not row["measured"]] == ["valid-3", "valid-17"]
    numbers = json.loads((folder / "projection.json").read_text())
    assert numbers.keys() == {"genes", "width", "neighbours", "min_distance", "seed"}
    assert "Predicted level, log2(1 + TPM)" in (folder / "projection.html").read_text(encoding="utf-8")

    # The four with the highest predictions stand for those predicted high.
    top = np.load(folder / "top_saliency.npz")
    assert top["gene_id"].tolist() == scores["gene_id"][np.argsort(-predicted)[:4]].tolist()
    groups = {row["group"]: int(row["genes"]) for row in rows_of(folder / "importance_saliency.csv")}
    assert groups == {"all": GENES, "high": 4, "low": GENES - 4}

    # The loss of Pearson's r, by hand from the parts.
    measured = np.array([float(row["measured"] or "nan") for row in projection])
    known = np.isfinite(measured)
    permuted = read_parts(folder / "halflife")["permuted"]
    assert permuted.shape == (GENES, 2, 8)
    best = found.summary["halflife"]
    assert best["metric"] == "Pearson's r"
    rows = {row["feature"]: float(row["drop"]) for row in rows_of(folder / "halflife_importance.csv")}
    r = pearsonr(measured[known], predicted[known])[0]
    drops = [
        r - np.mean([pearsonr(measured[known], permuted[known, shuffle, column])[0] for shuffle in range(2)])
        for column in range(8)
    ]
    assert sorted(rows.values()) == pytest.approx(sorted(drops), abs=1e-5)
    assert f"Pearson's r loses {max(drops):.4f}" in found.text()


def test_a_binary_target_has_classes_and_another_one_has_the_folder(run):
    config, found = run(target="high", methods=["halflife"])
    folder = Path(found.folder)
    manifest = read_manifest(folder)
    assert (manifest.target.name, manifest.threshold) == ("high", 0.55)
    projection = rows_of(folder / "projection.csv")
    assert [int(row["label"]) for row in projection] == [0, 1] * 20
    outputs = Predictor(config.checkpoint).logits(*genes_of(config))
    probability = 1 / (1 + np.exp(-outputs[:, 1]))
    np.testing.assert_allclose([float(row["probability"]) for row in projection], probability, rtol=1e-5)
    assert found.summary["halflife"]["metric"] == "AUROC"
    assert explain(config, config.checkpoint).computed == 0

    reads = other_target(config, "reads")
    with pytest.raises(CheckpointError) as other:
        explain(reads, config.checkpoint)
    sentence(other, "target (high there, reads here)", "--force")
    assert "target: reads, in ln reads" in "\n".join(plan_explain(reads, config.checkpoint, force=True))
    with pytest.raises(ConfigError) as unknown:
        plan_explain(other_target(config, "label"), config.checkpoint, force=True)
    sentence(unknown, "explain.target is label", "level, high, reads, life")


def genes_of(config):
    from raygenex.data.hdf5.read import inspect, read_rows, read_table

    file = inspect(config.data.valid[0])
    return read_rows(file, 0, GENES)["sequence"], read_table(file).halflife


def test_gaps_are_in_logits():
    summary = {"projection": None, "halflife": None, "agreement": [], "notes": []}
    methods = {"integrated_gradients": {"genes": 7, "seconds": 1.5, "largest_delta": 0.0123, "unconverged": 2}}
    found = ExplainResult("/runs/a", "cnn_dna_only", "valid", 7, 20, -10, False, methods, 7, summary, 2.0)
    line = found.text().splitlines()[2]
    assert line.endswith("7 genes       1.5 s, largest gap 0.012 logits, 2 genes above explain.tolerance")
