"""Fitting the autoencoder on Ray Train's workers, then trees to its codes in this process, from the driver."""

import logging
from collections.abc import Callable
from pathlib import Path

from ray.train.torch import TorchConfig, TorchTrainer
from safetensors.numpy import load_file, save_file

from raygenex.cluster.torch_process import threads
from raygenex.config.model import AutoencoderXgboost
from raygenex.models.autoencoder import AutoencoderTrees
from raygenex.terminal.progress import progress
from raygenex.train.checkpoint import VALID_SCORES, WEIGHTS, load_weights, new_model, save_checkpoint
from raygenex.train.epoch_log import follow, open_epoch_log
from raygenex.train.ray_train import (
    fit_until_done,
    how_many,
    refuse_without_checkpoint,
    trainer_options,
    worker_settings,
)
from raygenex.train.tables.autoencoder_worker import FEATURES, read_history, train_autoencoder
from raygenex.train.tables.inprocess import grow_trees, score_table
from raygenex.train.tables.table import FeatureTable
from raygenex.train.training import TrackedTraining

logger = logging.getLogger(__name__)

LOSSES = ("train_loss", "valid_loss")


def fit_autoencoder(training: TrackedTraining, target: Path) -> None:
    """Train the autoencoder, keep its best epoch, fit trees to its codes, and make ``target`` of encoder and trees."""
    config, rows = training.config, training.inputs.tables
    section = config.model
    assert isinstance(section, AutoencoderXgboost), section.kind
    log = open_epoch_log()
    trainer = TorchTrainer(
        train_autoencoder,
        train_loop_config=worker_settings(training),
        torch_config=TorchConfig(backend="nccl" if config.train.use_gpu else "gloo"),
        **trainer_options(training, log, config.train.use_gpu),
    )
    logger.info("training the autoencoder on %d genes with %s workers", rows["train"].count, how_many(config))
    with progress("autoencoder epochs", section.epochs) as advance, follow(log, _shower(training, advance)):
        result = fit_until_done(trainer)
    refuse_without_checkpoint(training, result)
    info = training.new_info()
    model = new_model(config, info)
    assert isinstance(model, AutoencoderTrees), section.kind
    with result.checkpoint.as_directory() as folder:
        load_weights(model.dna_encoder, Path(folder, WEIGHTS))
        columns = load_file(Path(folder, FEATURES))
        # The checkpoint knows the epochs that another process trained, too.
        training.remember({int(metrics["epoch"]): _numbers(metrics) for metrics in read_history(folder)})
    tables = {name: FeatureTable(columns[f"{name}_features"], columns[f"{name}_label"]) for name in rows}
    logger.info("fitting trees to %d features of %d genes", model.width, len(tables["train"].label))
    with threads(max(1, int(config.train.cpus_per_worker))):
        grow_trees(training, section.trees, model.booster, tables, info)
        target.mkdir(exist_ok=True)
        save_checkpoint(target, model, info)
        save_file(score_table(model, tables["valid"]), target / VALID_SCORES)


def _shower(training: TrackedTraining, advance: Callable[[int, str], None]) -> Callable[[dict[str, float]], None]:
    """Return what an epoch's numbers are given to: the log, the progress bar and MLflow, by names of their own."""

    def show(metrics: dict[str, float]) -> None:
        epoch = int(metrics["epoch"])
        note = "  ".join(f"{name} {metrics[name]:.5f}" for name in LOSSES)
        logger.info("autoencoder, epoch %d: %s", epoch, note)
        advance(1, f"valid loss {metrics['valid_loss']:.5f}")
        training.log(training.run_id, epoch, _numbers(metrics))

    return show


def _numbers(metrics: dict[str, float]) -> dict[str, float]:
    return {f"autoencoder_{name}": metrics[name] for name in LOSSES}
