"""The main job on Ray: train, evaluate, register, predict; the same seed gives the same numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from toy_embed import EMBED, HYENA
from toy_registry import served_answer

from raygenex.cluster.connect import Request, preflight
from raygenex.config.run import RunConfig
from raygenex.embed.run import embed
from raygenex.errors import CheckpointError, ClusterError, DataError
from raygenex.evaluate import evaluate
from raygenex.predict.run import predict
from raygenex.registry.register import fetch_checkpoint, register
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import read_info
from raygenex.train.run import train

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_chain_through_embeddings_agrees_with_itself_everywhere(
    make_config: Callable[..., RunConfig], promoters: Path, finished_store: Path, tmp_path: Path
):
    config = make_config(backbone=HYENA, embed=EMBED, predict={"cpus_per_worker": 0.5})
    shutil.copytree(finished_store, config.store)
    assert embed(config).reused == 281
    trained = train(config)
    info = read_info(trained.checkpoint)
    assert len(info.history) == trained.epochs == 3
    assert trained.metrics["auroc"] == pytest.approx(info.history[trained.epoch]["valid_auroc"], abs=1e-12)

    # MLflow holds the run, its parameters, every epoch, and the half-life stage as a child.
    client = mlflow.MlflowClient(tracking_uri(config))
    run = client.get_run(trained.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.kind"] == "cnn_halflife_encoded"
    logged = client.get_metric_history(trained.run_id, "epoch_valid_auroc")
    assert [metric.value for metric in logged] == [epoch["valid_auroc"] for epoch in info.history]
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"train", "valid"}
    assert {item.path for item in client.list_artifacts(trained.run_id, "figures")} == {"figures/loss.png"}
    child = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{trained.run_id}'")
    assert [entry.info.run_name for entry in child] == ["test-halflife"]
    assert len(client.get_metric_history(child[0].info.run_id, "triplet_loss")) == 2

    # Evaluation scores anew through Ray Data and must find what training found.
    measured = evaluate(config, "valid")
    for name, interval in measured.metrics.items():
        assert interval.value == pytest.approx(trained.metrics[name], abs=1e-6), name
        assert interval.low <= interval.value <= interval.high
    assert measured.genes == 81
    pictures = {path.name for path in Path(measured.folder).glob("*.png")}
    assert pictures == {"roc.png", "precision_recall.png", "calibration.png", "confusion.png"}
    assert "valid_auroc_low" in client.get_run(trained.run_id).data.metrics
    assert evaluate(config, "valid").reused

    # A second training of the same thing is reused, of another thing refused.
    assert train(config).reused
    with pytest.raises(CheckpointError, match="other settings"):
        train(config.model_copy(update={"seed": 5}))

    # The registered model, loaded by name, scores raw DNA as `predict` does, and as the embeddings did.
    registered = register(config)
    assert registered.uri == "models:/raygenex@candidate"
    assert register(config).reused
    output = tmp_path / "scores.csv"
    result = predict(config, [str(promoters / "valid.h5")], fetch_checkpoint(config, registered.uri), str(output))
    scores = pd.read_csv(output)
    assert result.genes == len(scores) == 81
    before = pd.read_parquet(Path(measured.folder, "predictions.parquet"))
    assert scores["gene_id"].tolist() == before["gene_id"].tolist()
    np.testing.assert_allclose(scores["probability"], before["probability"], atol=1e-5)

    answer = served_answer(config, registered.uri, promoters / "valid.h5", 4)
    np.testing.assert_allclose(answer["probability"], scores["probability"][:4], atol=1e-6)
    assert answer["prediction"].tolist() == scores["prediction"][:4].tolist()

    cropped = config.model_copy(update={"data": config.data.model_copy(update={"window": 100})})
    with pytest.raises(DataError, match="reads 200 bases"):
        predict(cropped, [str(promoters / "valid.h5")], trained.checkpoint, str(tmp_path / "other.csv"))
    assert not (tmp_path / "other.csv").exists()


@pytest.fixture(scope="module")
def kept(
    ray_cluster: None, config_in: Callable[[Path], Callable[..., RunConfig]], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, float]]:
    """The epochs of a training that keeps its genes in memory."""
    config = config_in(tmp_path_factory.mktemp("kept"))(name="kept")
    return read_info(train(config).checkpoint).history


@pytest.mark.slow
def test_same_seed_gives_the_same_numbers(make_config: Callable[..., RunConfig], kept: list[dict[str, float]]):
    again = read_info(train(make_config(name="again")).checkpoint).history
    assert json.dumps(again) == json.dumps(kept)


@pytest.mark.slow
def test_streamed_shards_see_every_gene(make_config: Callable[..., RunConfig], kept: list[dict[str, float]]):
    # With no memory allowed, shards are streamed in another order: other numbers, same genes, same kind of result.
    streamed = read_info(train(make_config(name="streamed", train={"memory_gib": 0.0})).checkpoint).history
    assert len(streamed) == 3
    assert streamed != kept
    assert streamed[0]["train_loss"] == pytest.approx(kept[0]["train_loss"], abs=0.1)


def test_request_that_cannot_fit_is_refused_at_once(make_config: Callable[..., RunConfig]):
    with pytest.raises(ClusterError, match=r"training needs 64 x 1 CPU .* but the cluster has 4 CPU .*train\.workers"):
        preflight(Request("training", 64, 1.0, 0.0, "train.workers"))
    with pytest.raises(ClusterError, match="needs 1 x 1 CPU \\+ 1 GPU"):
        preflight(Request("training", 1, 1.0, 1.0, "train.workers"))
    config = make_config(train={"workers": 8, "global_batch_size": 16})
    with pytest.raises(ClusterError, match="8 x 1 CPU"):
        train(config)
    assert not Path(config.folder).exists(), "nothing was begun"
