"""What makes a training of a fitted model: its threshold and its metrics on valid, and what MLflow has of it."""

import shutil
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from raygenex.stats.metrics import binary_metrics, choose_threshold
from raygenex.train.checkpoint import BACKBONE, VALID_SCORES, CheckpointInfo, read_info, save_checkpoint_info
from raygenex.train.training import TrackedTraining


def complete_checkpoint(training: TrackedTraining, folder: Path) -> CheckpointInfo:
    """Choose the threshold on valid, and complete the checkpoint that a fit made in a folder."""
    info = read_info(folder)
    scores = load_file(folder / VALID_SCORES)
    labels = scores["labels"].astype(np.uint8)
    probability = 1.0 / (1.0 + np.exp(-scores["logits"].astype(np.float64)))
    info.threshold = choose_threshold(labels, probability, training.config.evaluate.threshold_metric)
    info.metrics = binary_metrics(labels, probability, info.threshold)
    save_checkpoint_info(folder, info)
    (folder / VALID_SCORES).unlink()
    if training.inputs.backbone is not None:
        shutil.copytree(training.inputs.backbone, folder / BACKBONE)
    return info


def track(training: TrackedTraining, final: Path, info: CheckpointInfo) -> None:
    """Let the outbox log what MLflow has of a finished training."""
    from raygenex.drawing.figures import loss_figure
    from raygenex.drawing.style import save

    figures = final.parent / "figures"
    figures.mkdir(exist_ok=True)
    save(loss_figure(info.history), figures / "loss.png")
    tracker, run_id, add = training.tracker, training.run_id, training.outbox.add
    best = {f"best_valid_{name}": value for name, value in info.metrics.items()}
    measured_ms = int(time.time() * 1000)
    add(training.complete_series, "the series of epochs")
    add(lambda: tracker.log_series(run_id, {info.epoch: best}, measured_ms), "the best epoch")
    add(lambda: tracker.log_folder(run_id, final, "checkpoint"), "the checkpoint")
    add(lambda: tracker.log_folder(run_id, figures, "figures"), "the figures")
