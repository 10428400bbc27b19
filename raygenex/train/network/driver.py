"""Fitting a network with Ray Train, from the driver: the half-life stage, the workers, and the best epoch."""

import logging
import shutil
from pathlib import Path
from typing import Any

from ray.train.torch import TorchConfig, TorchTrainer

from raygenex.terminal.progress import progress
from raygenex.train.checkpoint import BACKBONE
from raygenex.train.epoch_log import follow, open_epoch_log
from raygenex.train.inputs import prepare_backbone
from raygenex.train.network.epochs import STATE
from raygenex.train.network.halflife_stage import prepare_halflife
from raygenex.train.network.loop import train_worker
from raygenex.train.ray_train import fit_until_done, how_many, keep_best, trainer_options, worker_settings
from raygenex.train.training import TrackedTraining, Training

logger = logging.getLogger(__name__)


def fit_network(training: TrackedTraining, target: Path) -> None:
    """Pretrain the half-life encoder, if there is one, train the model, and make ``target`` of its best epoch."""
    config, tables = training.config, training.inputs.tables
    encoder = prepare_halflife(training)
    inputs = training.inputs
    backbone = prepare_backbone(config.online, inputs.info.window, inputs.backbone_sha256, training.folder)
    log = open_epoch_log()
    trainer = network_trainer(training, encoder, backbone, log)
    logger.info("training %s on %d genes with %s workers", config.model.kind, tables["train"].count, how_many(config))
    with progress("training epochs", config.train.epochs) as advance, follow(log, training.epoch_shower(advance)):
        result = fit_until_done(trainer)
    keep_best(training, result, target)
    (target / STATE).unlink()
    if backbone is not None and not (target / BACKBONE).exists():
        # Epochs carry its weights only where they move.
        shutil.copytree(backbone, target / BACKBONE)


def network_trainer(
    training: Training, encoder: str | None, backbone: str | None, log: Any, stop: str | None = None
) -> TorchTrainer:
    """Return Ray Train's trainer of a network.

    Parameters
    ----------
    training
        What is trained on what.
    encoder
        Folder of what the half-life branch starts from.
    backbone
        Folder of what `prepare_backbone` wrote.
    log
        Mailbox that epochs are sent to.
    stop
        A file that ends the training after the epoch during which it appears.
    """
    use_gpu = training.config.train.use_gpu
    return TorchTrainer(
        train_worker,
        train_loop_config=worker_settings(training) | {"encoder": encoder, "backbone": backbone, "stop": stop},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        **trainer_options(training, log, use_gpu),
    )
