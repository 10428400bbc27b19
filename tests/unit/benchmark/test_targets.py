"""A comparison of models of several targets: end to end in this process, and its numbers by other means."""

import csv
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats
from toy_jobs import run_jobs_here, score_outputs
from toy_models import columns, sentence, write_splits

from raygenex.benchmark import run as door
from raygenex.config.load import parse_config
from raygenex.errors import ConfigError, DataError
from raygenex.stats.compare import delong, holm, paired_bootstrap
from raygenex.stats.quantities import steiger

WINDOW = 20
SMALL = {"model.k": [1], "model.onehot_bases": 0}
MODELS = [
    {"name": "ridge", "set": {"model.kind": "logistic", **SMALL, "model.l2": 3.0}},
    {"name": "stiff", "set": {"model.kind": "logistic", **SMALL, "model.l2": 1000.0}},
    {"name": "trees", "set": {"model.kind": "xgboost_kmer", **SMALL, "model.trees": {"trees": 12, "colsample": 1.0}}},
    {"name": "broken", "set": {"model.kind": "xgboost_kmer", "train.memory_gib": 0.0}},
]


@pytest.fixture
def config(tmp_path):
    files = write_splits(tmp_path, WINDOW)
    rng = np.random.default_rng(0)
    genes = [columns(32, WINDOW, 0, "T"), columns(21, WINDOW, 1, "V")]
    halflife = np.concatenate([part["halflife"] for part in genes]).astype(float)
    level = halflife[:, 0] + 0.3 * rng.normal(size=len(halflife))
    level[::5] = np.nan
    table = tmp_path / "levels.tsv"
    pd.DataFrame({"gene_id": np.concatenate([part["gene_id"] for part in genes]), "level": 7 + 2 * level}).to_csv(
        table, sep="\t", index=False
    )
    values = {
        "output": str(tmp_path),
        "data": files,
        "targets": ["label", {"name": "level", "table": str(table), "unit": "log2 TPM"}],
        "benchmark": {"models": MODELS, "seeds": [0, 1], "split": "valid"},
        "evaluate": {"bootstrap": 100},
    }
    return parse_config(values, "test")


@pytest.fixture
def compared(config, monkeypatch):
    """The comparison, with its trainings one after another in this process."""

    registered = []
    monkeypatch.setattr("raygenex.evaluate.score_rows", score_outputs)
    monkeypatch.setattr(door, "run_jobs", run_jobs_here)
    monkeypatch.setattr(door, "workers_ahead", lambda cluster: nullcontext())
    monkeypatch.setattr(
        door, "register", lambda config: registered.append(config.name) or SimpleNamespace(uri="models:/m/1")
    )
    return door.benchmark(config), registered


def predictions(config, model):
    """Return the mean prediction over seeds of each target on valid, beside what was measured."""
    parts = [
        pq.read_table(Path(config.folder, f"{model}-{seed}", "evaluation", "valid", "predictions.parquet"))
        .to_pandas()
        .set_index("gene_id")
        for seed in (0, 1)
    ]
    mean = sum(parts) / 2
    measured = pd.read_csv(config.targets[1].table, sep="\t").set_index("gene_id")["level"]
    return mean.assign(truth=measured, bit=dict(zip(*labels(), strict=True)))


def labels():
    genes = columns(21, WINDOW, 1, "V")
    return genes["gene_id"], genes["label"]


def test_models_are_compared_target_by_target(config, compared):
    result, registered = compared
    table = result.table
    assert [(one.target, one.main, one.other) for one in table.targets] == [
        ("label", "auroc", "auprc"),
        ("level", "pearson", "mae"),
    ]
    assert {part.name for part in table.failures} == {"broken"}
    assert {row.name for row in table.models} == {"ridge", "stiff", "trees"}

    # The winner has the highest mean, over seeds and targets, on valid; its median seed is registered.
    scores = {}
    for name in ("ridge", "stiff", "trees"):
        reports = [
            json.loads(Path(config.folder, f"{name}-{seed}", "evaluation", "valid", "metrics.json").read_text())
            for seed in (0, 1)
        ]
        values = [[one["metrics"][key]["value"] for key in ("label_auroc", "level_pearson")] for one in reports]
        scores[name] = np.mean(values)
    assert result.winner == max(scores, key=scores.__getitem__) == table.models[0].name
    assert {row.name: row.score.mean for row in table.models} == pytest.approx(scores)
    assert registered == [f"{result.winner}-{table.models[0].median_seed}"]

    best = predictions(config, result.winner)
    p_values, found = [], {}
    for one in table.targets:
        for row in one.rows:
            other = predictions(config, row.name)
            known = best.truth.notna() if one.target == "level" else slice(None)
            truth = (best.truth if one.target == "level" else best.bit)[known].to_numpy()
            column = "level" if one.target == "level" else "label_probability"
            a, b = (frame[column][known].to_numpy() for frame in (other, best))
            if one.target == "level":
                assert row.ensemble.value == pytest.approx(stats.pearsonr(truth, a)[0])
            if row.name == result.winner:
                assert row.versus is None
                continue
            test = steiger if one.target == "level" else delong
            expected = test(truth, a, b)
            assert row.versus.main == pytest.approx(expected)
            p_values.append(expected.p_value)
            found[one.target, row.name] = row.versus.adjusted_p
            if one.target == "label":
                assert row.versus.other == pytest.approx(paired_bootstrap(truth, a, b, "auprc", 100, 0.95, 0))
        assert one.genes == (best.truth.notna().sum() if one.target == "level" else 21)
    # One family of tests over all targets.
    assert list(found.values()) == pytest.approx(list(holm(p_values)))


def test_tables_and_figures_are_written(config, compared):
    result, _ = compared
    folder = Path(result.folder)
    for name in ("label_auroc", "level_pearson", "learning"):
        assert {(folder / f"{name}.{suffix}").exists() for suffix in ("svg", "pdf", "png")} == {True}
    text = (folder / "targets.md").read_text()
    assert text in result.text()
    assert "level on valid" in text
    assert "log2 TPM" in text
    assert "Steiger's" in text
    assert "DeLong's" in text
    assert "train.memory_gib" in text
    with (folder / "targets.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    row = next(one for one in lines if (one["target"], one["name"]) == ("level", "trees"))
    (table,) = [one for one in result.table.targets if one.target == "level"]
    (expected,) = [one for one in table.rows if one.name == "trees"]
    assert float(row["valid_pearson"]) == expected.test["pearson"].mean
    values = json.loads((folder / "targets.json").read_text())
    assert values == result.values()["table"]
    assert values["best"] == result.winner


def test_a_table_without_a_target_is_refused_before_training(config):
    broken = config.model_copy(
        update={"targets": parse_config({"targets": [{"name": "no", "table": config.targets[1].table}]}, "t").targets}
    )
    with pytest.raises(DataError, match="has no column no"):
        door.benchmark(broken)
    assert not Path(config.folder).exists()


def test_a_row_that_cannot_learn_the_targets_is_refused_before_anything_is_trained(config):
    values = config.dump()
    values["targets"][1]["loss"] = "gaussian"
    for doing in (door.benchmark, lambda config: door.plan_benchmark(config, force=False)):
        with pytest.raises(ConfigError) as info:
            doing(parse_config(values, "test"))
        sentence(info, "logistic does not learn level by loss gaussian")
