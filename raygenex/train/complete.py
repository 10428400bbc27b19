"""What makes a training of a fitted model: its threshold and its metrics on valid, and what MLflow has of it."""

import math
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from raygenex.stats.metrics import binary_metrics, choose_threshold
from raygenex.train.checkpoint import BACKBONE, VALID_SCORES, CheckpointInfo, read_info, save_checkpoint_info
from raygenex.train.stopping import SCORE
from raygenex.train.targets import outputs_of
from raygenex.train.training import TrackedTraining


def complete_checkpoint(training: TrackedTraining, folder: Path) -> CheckpointInfo:
    """Choose the threshold on valid, and complete the checkpoint that a fit made in a folder."""
    info = read_info(folder)
    scores = load_file(folder / VALID_SCORES)
    metric = training.config.evaluate.threshold_metric
    if info.targets:
        _measure_targets(info, scores["logits"], scores["labels"], metric)
    else:
        labels = scores["labels"].astype(np.uint8)
        probability = 1.0 / (1.0 + np.exp(-scores["logits"].astype(np.float64)))
        info.threshold = choose_threshold(labels, probability, metric)
        info.metrics = binary_metrics(labels, probability, info.threshold)
    save_checkpoint_info(folder, info)
    (folder / VALID_SCORES).unlink()
    if training.inputs.backbone is not None:
        shutil.copytree(training.inputs.backbone, folder / BACKBONE)
    return info


def _measure_targets(
    info: CheckpointInfo, outputs: NDArray[Any], values: NDArray[Any], metric: Literal["mcc", "f1", "accuracy"]
) -> None:
    """Choose the thresholds of binary targets, and measure all, from outputs ``(N, K)`` and learned values ``(N, T)``.

    ``values`` are as the model learns them; errors are measured before standardisation.
    """
    outputs = outputs.reshape(len(values), -1)
    for column, (target, place) in enumerate(zip(info.targets, outputs_of(info.targets), strict=True)):
        known = ~np.isnan(values[:, column])
        truth = values[known, column].astype(np.float64) * target.scale + target.mean
        predicted = target.predicted(outputs[known, place])
        if target.kind == "binary":
            target.threshold = choose_threshold(truth, predicted, metric)
        measured = target.measure(truth, predicted)
        # A correlation with predictions that do not differ is not defined, and JSON has no word for that.
        info.metrics |= {f"{target.name}_{name}": value for name, value in measured.items() if math.isfinite(value)}


def track(training: TrackedTraining, final: Path, info: CheckpointInfo) -> None:
    """Let the outbox log what MLflow has of a finished training."""
    from raygenex.drawing.figures import loss_figure
    from raygenex.drawing.style import save

    figures = final.parent / "figures"
    figures.mkdir(exist_ok=True)
    save(loss_figure(info.history, SCORE if info.targets else "valid_auroc"), figures / "loss.png")
    tracker, run_id, add = training.tracker, training.run_id, training.outbox.add
    best = {f"best_valid_{name}": value for name, value in info.metrics.items()}
    measured_ms = int(time.time() * 1000)
    add(training.complete_series, "the series of epochs")
    add(lambda: tracker.log_series(run_id, {info.epoch: best}, measured_ms), "the best epoch")
    add(lambda: tracker.log_folder(run_id, final, "checkpoint"), "the checkpoint")
    add(lambda: tracker.log_folder(run_id, figures, "figures"), "the figures")
