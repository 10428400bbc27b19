"""Boosted trees on Ray Train's workers: the same verbs, and nearly the trees of one process."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from toy_registry import served_answer

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.evaluate import evaluate
from raygenex.predict.run import predict
from raygenex.registry.register import register
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import read_info
from raygenex.train.run import train

pytest.importorskip("xgboost")
pytestmark = pytest.mark.usefixtures("ray_cluster")

MODEL = {
    "kind": "xgboost_kmer",
    "k": (1, 2, 3),
    "trees": {"trees": 45, "depth": 3, "learning_rate": 0.2, "early_stopping": None},
}


@pytest.mark.slow
def test_two_workers_grow_nearly_the_trees_of_one_process(
    make_config: Callable[..., RunConfig], promoters: Path, tmp_path: Path
):
    def config(name: str, workers: int) -> RunConfig:
        made = make_config(name=name, train={"workers": workers}, predict={"cpus_per_worker": 0.5})
        return parse_config(made.dump() | {"model": MODEL}, "the test's configuration")

    alone, shared = config("alone", 1), config("shared", 2)
    one, two = train(alone), train(shared)
    assert two.epochs == 45
    infos = [read_info(result.checkpoint) for result in (one, two)]
    losses = [np.array([tree["train_loss"] for tree in info.history]) for info in infos]
    # Each worker draws its own genes for a tree, and cuts features at quantiles of both: close, not equal.
    np.testing.assert_allclose(losses[0], losses[1], atol=0.05)
    assert two.metrics["auroc"] == pytest.approx(one.metrics["auroc"], abs=0.05)
    assert two.metrics["auroc"] > 0.6
    assert two.metrics["auroc"] == pytest.approx(infos[1].history[two.epoch]["valid_auroc"], abs=1e-6)
    assert {path.name for path in Path(two.checkpoint).iterdir()} == {"checkpoint.json", "model.safetensors"}
    assert not Path(shared.folder, "ray_train").exists()

    # MLflow has every tree, though few were reported.
    client = mlflow.MlflowClient(tracking_uri(shared))
    logged = client.get_metric_history(two.run_id, "epoch_train_loss")
    assert [metric.value for metric in sorted(logged, key=lambda metric: metric.step)] == losses[1].tolist()

    measured = evaluate(shared, "valid")
    for name, interval in measured.metrics.items():
        assert interval.value == pytest.approx(two.metrics[name], abs=1e-6), name
    output = tmp_path / "scores.csv"
    predict(shared, [str(promoters / "valid.h5")], two.checkpoint, str(output))
    scores = pd.read_csv(output)
    before = pd.read_parquet(Path(measured.folder, "predictions.parquet"))
    np.testing.assert_allclose(scores["probability"], before["probability"], atol=1e-6)

    # The registered model scores raw DNA alike, and says that it needs xgboost.
    registered = register(shared)
    answer = served_answer(shared, registered.uri, promoters / "valid.h5", 4)
    np.testing.assert_allclose(answer["probability"], scores["probability"][:4], atol=1e-6)
    needed = Path(mlflow.artifacts.download_artifacts(registered.uri + "/requirements.txt")).read_text()
    assert "xgboost" in needed
