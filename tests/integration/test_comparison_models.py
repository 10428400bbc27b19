"""The paper's comparison models, end to end: train, evaluate, predict, and the same numbers from the same seed."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from raygenex.config.model import AutoencoderXgboost, LstmConfig, TreesConfig
from raygenex.config.run import RunConfig
from raygenex.embed.run import embed
from raygenex.evaluate import evaluate
from raygenex.predict.run import predict
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import file_sha256, read_info
from raygenex.train.run import TrainResult, train

pytestmark = pytest.mark.usefixtures("ray_cluster")

LSTM = LstmConfig(width=8, hidden=8, dense=(8,), dropout=0.2)
AUTOENCODER = AutoencoderXgboost(
    channels=(16, 8, 4, 1), epochs=3, learning_rate=3e-3, trees=TreesConfig(trees=12, depth=3)
)


@pytest.fixture
def make(make_config: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """Build configurations of a comparison model; the session's own default is a CNN."""

    return partial(configure, make_config)


def configure(
    make_config: Callable[..., RunConfig], model: LstmConfig | AutoencoderXgboost, **sections: object
) -> RunConfig:
    config = make_config(train={"epochs": 2}, predict={"cpus_per_worker": 0.5}, **sections)
    return config.model_copy(update={"model": model})


@pytest.fixture(scope="module")
def autoencoder(
    ray_cluster: None,
    config_in: Callable[[Path], Callable[..., RunConfig]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RunConfig, TrainResult]:
    """A trained autoencoder with its trees, made once."""
    config = configure(config_in(tmp_path_factory.mktemp("autoencoder")), AUTOENCODER)
    return config, train(config)


def use(config: RunConfig, trained: TrainResult, promoters: Path, tmp_path: Path) -> None:
    """Check that evaluation and prediction find what training found on valid."""
    measured = evaluate(config, "valid")
    for name, interval in measured.metrics.items():
        assert interval.value == pytest.approx(trained.metrics[name], abs=1e-6), name
    output = tmp_path / f"{config.name}.csv"
    assert predict(config, [str(promoters / "valid.h5")], trained.checkpoint, str(output)).genes == 81
    scores = pd.read_csv(output)
    before = pd.read_parquet(Path(measured.folder, "predictions.parquet"))
    np.testing.assert_allclose(scores["probability"], before["probability"], atol=1e-6)
    assert scores["probability"].nunique() > 10


@pytest.mark.slow
def test_an_lstm_trains_on_two_workers(make: Callable[..., RunConfig], promoters: Path, tmp_path: Path):
    config = make(LSTM)
    trained = train(config)
    info = read_info(trained.checkpoint)
    assert len(info.history) == trained.epochs == 2
    # The scaler comes from the training genes, so it is not the one that a new model has.
    assert info.feature_scaler is not None
    assert info.feature_scaler["mean"] != [0.0] * 8
    use(config, trained, promoters, tmp_path)
    again = train(make(LSTM, name="again"))
    assert json.dumps(read_info(again.checkpoint).history) == json.dumps(info.history)


@pytest.mark.slow
def test_an_autoencoder_and_trees_train_together(
    autoencoder: tuple[RunConfig, TrainResult], promoters: Path, tmp_path: Path
):
    config, trained = autoencoder
    info = read_info(trained.checkpoint)
    # The history is that of the trees; the autoencoder's is in MLflow.
    assert len(info.history) == trained.epochs == 12
    # Without early stopping all trees are kept.
    assert info.epoch == 11
    assert trained.metrics["auroc"] == pytest.approx(info.history[trained.epoch]["valid_auroc"], abs=1e-6)
    client = mlflow.MlflowClient(tracking_uri(config))
    losses = [metric.value for metric in client.get_metric_history(trained.run_id, "autoencoder_train_loss")]
    assert len(losses) == 3
    assert losses[-1] < losses[0] < 1.5
    use(config, trained, promoters, tmp_path)


@pytest.mark.slow
def test_a_trained_autoencoder_is_not_trained_again(
    make: Callable[..., RunConfig],
    autoencoder: tuple[RunConfig, TrainResult],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """The driver dies when the trees begin; the next one goes on there, and ends with the undisturbed numbers."""
    _, undisturbed = autoencoder
    config = make(AUTOENCODER, name="broken")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("raygenex.train.tables.autoencoder.grow_trees", fail)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    caplog.clear()
    with caplog.at_level("INFO", "raygenex"):
        resumed = train(config)
    assert not [record for record in caplog.records if "autoencoder, epoch" in record.getMessage()]
    weights = [Path(result.checkpoint, "model.safetensors") for result in (undisturbed, resumed)]
    assert file_sha256(weights[0]) == file_sha256(weights[1])
    assert resumed.metrics == undisturbed.metrics


@pytest.mark.slow
def test_they_read_embeddings_too(make: Callable[..., RunConfig], promoters: Path, tmp_path: Path):
    sections = {
        "backbone": {"kind": "hyenadna", "d_model": 16, "n_layer": 1},
        "embed": {"bin_size": 20, "cpus_per_actor": 0.5, "store": str(tmp_path / "embeddings")},
    }
    embed(make(LSTM, **sections))
    for model in (LSTM, AUTOENCODER):
        config = make(model, name=model.kind, **sections)
        trained = train(config)
        measured = evaluate(config, "valid")
        assert measured.metrics["auroc"].value == pytest.approx(trained.metrics["auroc"], abs=1e-6)
        # Of bases, embedded anew, the numbers are those of the stored embeddings but for the store's rounding.
        output = tmp_path / f"{config.name}.csv"
        predict(config, [str(promoters / "valid.h5")], trained.checkpoint, str(output))
        before = pd.read_parquet(Path(measured.folder, "predictions.parquet"))
        difference = np.abs(pd.read_csv(output)["probability"] - before["probability"])
        assert np.median(difference) < 1e-5
