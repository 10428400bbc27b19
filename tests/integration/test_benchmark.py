"""The comparison of models, end to end: trained side by side, resumed, and a failure that sinks no other."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest

from raygenex.benchmark.run import BenchmarkResult, benchmark, plan_benchmark
from raygenex.config.run import RunConfig
from raygenex.errors import CheckpointError, ConfigError
from raygenex.predict.run import predict
from raygenex.registry.register import fetch_checkpoint
from raygenex.stats.metrics import METRICS, binary_metrics

pytestmark = pytest.mark.usefixtures("ray_cluster")

TREES = {"trees": 12, "depth": 2, "learning_rate": 0.3, "early_stopping": None}
MODELS = [
    {"name": "trees", "set": {"model.kind": "xgboost_kmer", "model.k": [1, 2], "model.trees": TREES}},
    {"name": "regression", "set": {"model.kind": "logistic", "model.k": [1, 2]}},
    {"name": "network", "set": {"model.kind": "cnn_dna_only", "train.epochs": 1, "train.workers": 1}},
    {"name": "broken", "set": {"model.kind": "xgboost_kmer", "train.memory_gib": 0.0}},
]


@pytest.fixture
def config(make_config: Callable[..., RunConfig]) -> RunConfig:
    """Three models that train and one that cannot, one seed each, two trainings at a time."""
    return make_config(
        benchmark={"models": MODELS, "seeds": [0], "parallel": 2}, train={"workers": 1}, evaluate={"bootstrap": 100}
    )


def rows(result: BenchmarkResult) -> dict[str, dict[str, str]]:
    with Path(result.folder, "tables.csv").open(encoding="utf-8", newline="") as file:
        return {line["name"]: line for line in csv.DictReader(file)}


@pytest.mark.slow
def test_models_are_compared_and_a_failure_is_a_row(config: RunConfig, promoters: Path, tmp_path: Path):
    first = benchmark(config)
    table = first.table
    assert {row.name: len(row.seeds) for row in table.rows} == {"trees": 1, "regression": 1, "network": 1}
    assert [(part.name, part.seed) for part in table.failures] == [("broken", 0)]
    assert "train.memory_gib" in table.failures[0].error
    assert (table.split, table.genes) == ("test", 40)
    # The tables say what each run's own evaluation says.
    lines = rows(first)
    for name in ("trees", "regression", "network"):
        report = _report(config, f"{name}-0", "test")
        for metric in METRICS:
            assert float(lines[name][f"test_{metric}"]) == pytest.approx(report["metrics"][metric]["value"])
    assert lines["broken"]["test_auroc"] == ""
    assert all(float(lines[name]["peak_mb"]) > 50 for name in ("trees", "regression", "network"))

    # Valid alone chooses the winner.
    valid = {row.name: row.valid["auroc"].mean for row in table.rows}
    assert first.winner == max(valid, key=valid.__getitem__)
    files = {path.name for path in Path(first.folder).iterdir()}
    assert {"tables.md", "tables.csv", "tables.json", "roc.svg", "precision_recall.pdf", "learning.png"} <= files

    _check_tracking(config, first)
    _check_registered(config, first, promoters, tmp_path)

    plan = [line.split(" (")[-1] for line in plan_benchmark(config, force=False)[1:5]]
    assert plan[:3] == ["finished)"] * 3
    assert plan[3].startswith("will fail: 1852 features of 160 genes take")
    stamps = {path: path.stat().st_mtime_ns for path in Path(config.folder).glob("*/checkpoint/*")}
    second = benchmark(config)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert second.run_id == first.run_id
    assert second.registered == first.registered
    assert rows(second) == lines

    # Rows with other settings are no part of this comparison, and nothing is trained beside them.
    other = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 9})})
    with pytest.raises(CheckpointError, match="holds a run with other settings or data: rename the row trees"):
        benchmark(other)


def _report(config: RunConfig, name: str, split: str) -> dict:
    return json.loads(Path(config.folder, name, "evaluation", split, "metrics.json").read_text(encoding="utf-8"))


def _check_tracking(config: RunConfig, result: BenchmarkResult) -> None:
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{config.output_root}/mlflow.db")
    parent = client.get_run(result.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["trees_test_auroc"] == pytest.approx(_mean(result, "trees"))
    found = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{result.run_id}'", max_results=50
    )
    names = {run.info.run_name for run in found}
    assert names >= {f"{name}-0" for name in ("trees", "regression", "network")}
    assert {path.path for path in client.list_artifacts(result.run_id, "benchmark")} >= {"benchmark/tables.md"}


def _mean(result: BenchmarkResult, name: str) -> float:
    return next(row.test["auroc"].mean for row in result.table.rows if row.name == name)


def _check_registered(config: RunConfig, result: BenchmarkResult, promoters: Path, tmp_path: Path) -> None:
    """The registered model is the winner's median seed, and scores as that run did."""
    assert result.registered == "models:/raygenex@candidate"
    row = next(row for row in result.table.rows if row.name == result.winner)
    output = tmp_path / "scores.parquet"
    predict(config, [str(promoters / "test.h5")], fetch_checkpoint(config, result.registered), str(output))
    import pandas as pd

    scores = pd.read_parquet(output)
    name = f"{row.name}-{row.median_seed}"
    before = pd.read_parquet(Path(config.folder, name, "evaluation", "test", "predictions.parquet"))
    np.testing.assert_allclose(scores["probability"], before["probability"], atol=1e-6)
    labels = np.array([_labels(promoters)[gene] for gene in scores["gene_id"]])
    assert binary_metrics(labels, scores["probability"], row.threshold)["mcc"] == pytest.approx(
        _report(config, name, "test")["metrics"]["mcc"]["value"], abs=1e-6
    )


def _labels(promoters: Path) -> dict[str, int]:
    import h5py

    with h5py.File(promoters / "test.h5") as file:
        return dict(zip(file["gene_id"].asstr()[:], file["label"][:].tolist(), strict=True))


def test_a_split_that_is_not_there_is_refused_at_once(config: RunConfig):
    data = config.data.model_copy(update={"test": ()})
    with pytest.raises(ConfigError, match=r"benchmark\.split is test, but data\.test is not set"):
        benchmark(config.model_copy(update={"data": data}))
    assert not Path(config.folder).exists()
