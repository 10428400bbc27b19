"""The report of a model of targets: what was measured of each, what is drawn, and simple models beside it."""

import json
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge
from toy_targets import GENES, explain_here, make_target_run

from raygenex.benchmark.cells import plain
from raygenex.benchmark.tables import Failure
from raygenex.benchmark.target_tables import ModelRow, TargetBenchmark, TargetRow, TargetTable, TargetVersus
from raygenex.errors import DataError
from raygenex.evaluate import evaluate
from raygenex.explain.run import explain
from raygenex.report.collect import collect
from raygenex.report.page import render_page
from raygenex.report.targets import measure_target_baselines
from raygenex.stats.compare import Summary
from raygenex.stats.resamples import Comparison, Interval


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of targets that was measured on valid, and explained."""
    config = make_target_run(tmp_path_factory.mktemp("run"), methods=["saliency", "halflife"], top_genes=4)
    result = evaluate(config, "valid")
    with pytest.MonkeyPatch.context() as patch:
        explain_here(patch)
        explain(config, config.checkpoint)
    return config, result


@pytest.fixture
def page(measured, blank_figures):
    return render_page(collect(measured[0].folder), "2026-01-01")


def test_numbers_are_those_of_evaluate(measured):
    config, result = measured
    valid = collect(config.folder).targets["valid"]
    assert valid.measured == {"level": 38, "high": 40, "reads": 40, "life": 38} == result.measured
    assert valid.metrics["level"]["pearson"] == result.metrics["level_pearson"]
    assert set(valid.metrics["high"]) == {name.removeprefix("high_") for name in result.metrics if "high_" in name}
    scores = valid.scores["level"]
    assert "valid-3" not in scores.gene_id
    assert pearsonr(scores.truth, scores.predicted)[0] == pytest.approx(result.metrics["level_pearson"].value)
    assert valid.scores["high"].truth.tolist() == [0, 1] * 20


def test_the_page(page, measured):
    r = measured[1].metrics["level_pearson"]
    said = unescape(page)
    for text in (
        f"level with Pearson r <b>{r.value:.3f}</b> ({r.low:.3f} to {r.high:.3f})",
        "reads: Spearman r",
        "high: AUROC",
        "level, log2(1 + TPM): genes measured",
        "38 of 40",
        "Losses and validation score by epoch",
        "level, Pearson r: half-life features",
        "high, AUROC: both",
        "1 from a probability of 0.5500 on",
        "The numbers explain level, log2(1 + TPM)",
        "Half-life features, loss of Pearson's r, valid",
        "Genes of valid by measured value",
    ):
        assert text in said, text
    for name in ("level", "high", "reads", "life"):
        assert f'aria-label="{name} on valid"' in page
    for text in ("Beside the paper", "Calls on", "logistic regressions on"):
        assert text not in page


def test_a_ridge_regression_by_hand(measured):
    facts = collect(measured[0].folder)
    (found, *_) = facts.target_baselines["valid"]
    assert (found.target, found.reads, found.metric) == ("level", "half-life features", "Pearson r")
    train, valid = (facts.data.truth[name] for name in ("train", "valid"))
    inputs = train.halflife.astype(float)
    mean, sd = inputs.mean(axis=0), inputs.std(axis=0)
    ridge = Ridge(alpha=1.0).fit((inputs - mean) / sd, np.log2(1 + train.values[:, 0].astype(float)))
    told = ridge.predict((valid.halflife - mean) / sd)
    known = np.isfinite(valid.values[:, 0])
    truth = np.log2(1 + valid.values[known, 0].astype(float))
    r = pearsonr(truth, told[known])[0]
    assert r > 0.8
    assert found.value == pytest.approx(r, abs=1e-6)
    own = measured[1].metrics["level_pearson"].value
    assert found.lead.difference == pytest.approx(own - r, abs=1e-6)
    assert found.lead.low < found.lead.difference < found.lead.high


def test_a_target_of_one_value_has_no_simple_model(measured):
    facts = collect(measured[0].folder)
    train, valid = (facts.data.truth[name] for name in ("train", "valid"))
    train.values[:, 0] = 3
    found = measure_target_baselines(facts.trained.info.targets, train, valid, facts.targets["valid"])
    assert {one.target for one in found} == {"high", "reads", "life"}


@pytest.fixture
def copied(measured, tmp_path):
    """The run in a folder of its own, and its table of values."""
    config = measured[0]
    shutil.copytree(Path(config.folder).parent.parent, tmp_path / "copy")
    return tmp_path / "copy"


def test_values_that_changed_are_said(measured, monkeypatch):
    config, _ = measured
    table = Path(config.targets[0].table)
    before = table.read_text()
    try:
        frame = pd.read_csv(table, sep="\t")
        frame.loc[frame.gene_id == "valid-5", "level"] = 99.0
        frame.to_csv(table, sep="\t", index=False)
        valid = collect(config.folder).targets["valid"]
        assert valid.missing == "the values of the targets in valid are not those that were measured"
        assert valid.scores == {}
        table.unlink()
        facts = collect(config.folder)
        assert "the values of the targets are not to be had" in facts.data.missing
        assert facts.targets["valid"].metrics
    finally:
        table.write_text(before)


def test_what_was_measured_with_another_checkpoint_is_left_out(copied):
    folder = copied / "runs" / "toy"
    path = folder / "evaluation" / "valid" / "metrics.json"
    report = json.loads(path.read_text())
    report["key"]["checkpoint_sha256"] = "0" * 64
    path.write_text(json.dumps(report))
    facts = collect(folder)
    assert facts.targets == {}
    assert facts.notes[0] == "what was measured on valid is of an earlier checkpoint and is left out"


def test_all_genes_are_counted(measured):
    assert collect(measured[0].folder).targets["valid"].genes == GENES


def comparison():
    """Return two models compared on two targets, of made-up numbers."""
    one = Summary(0.5, float("nan"), 1)
    models = tuple(ModelRow(name, "logistic", (0,), 0, one, 0, one, one, one) for name in ("ridge", "trees"))
    versus = TargetVersus(Comparison(-0.1, -0.2, 0.05, 0.3), 0.0004, Comparison(0.2, 0.1, 0.3, 0.04))

    def table(name, kind, main, other):
        metrics = {main: Summary(0.61, 0.02, 2), other: Summary(1.5, float("nan"), 1)}
        rows = [
            TargetRow(model, metrics, metrics, (0.6,), Interval(0.63, 0.5, 0.7), against)
            for model, against in (("ridge", None), ("trees", versus))
        ]
        return TargetTable(name, kind, "", "none", main, other, 38, tuple(rows))

    tables = (table("level", "continuous", "pearson", "mae"), table("high", "binary", "auroc", "auprc"))
    failed = (Failure("broken", "cnn", 1, "no memory"),)
    return TargetBenchmark(models, tables, failed, "test", None, "ridge", 100, 0.9)


def test_a_comparison_target_by_target(copied, blank_figures):
    folder = copied / "runs" / "toy"
    part = folder / "benchmark"
    part.mkdir()
    (part / "targets.json").write_text(json.dumps(plain(comparison())))
    (part / "high_auroc.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt"></svg>')
    facts = collect(folder)
    level, high = facts.target_benchmark.targets
    assert (level.test, level.figure) == ("Steiger's", None)
    assert (high.test, high.figure) == ("DeLong's", part / "high_auroc.svg")
    assert high.rows[1].difference == (-0.1, -0.2, 0.05, 0.0004)
    page = unescape(render_page(facts, "2026-01-01"))
    for text in (
        "Models on test, target by target, the best mean over targets on valid (AUROC, Pearson r) first",
        "difference from ridge's",
        "Models of level",
        "0.610 ± 0.020",
        "0.630 (0.500 to 0.700)",
        "\N{MINUS SIGN}0.100 (\N{MINUS SIGN}0.200 to +0.050)",
        "< 0.001",
        "broken, seed 1, failed: no memory",
        "AUROC of the compared models on test",
    ):
        assert text in page, text
    assert "was not compared with others" not in page
    (part / "targets.json").write_text('{"models": []}')
    with pytest.raises(DataError, match="raygenex benchmark"):
        collect(folder)


def test_a_search_of_models_of_targets(copied, blank_figures):
    folder = copied / "runs" / "toy"
    part = folder / "tune" / "report"
    part.mkdir(parents=True)
    head = "trial,state,reason,valid_score,epochs,training_s,wall_s,overhead_s,model.dropout"
    (part / "trials.csv").write_text(f"{head}\n0,finished,,0.41,3,1,1,0,0.1\n1,finished,,0.52,3,1,1,0,0.3\n")
    study = collect(folder).study
    assert (study.title, study.keys, study.scores.tolist()) == ("valid score", ("model.dropout",), [0.41, 0.52])
    page = render_page(collect(folder), "2026-01-01")
    assert "Valid score by trial" in page
    assert "A score that is the best of many is too high." in page
