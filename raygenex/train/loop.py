"""What every Ray Train worker runs."""

import math
import resource
import tempfile
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from raygenex.config import RunConfig
from raygenex.errors import RaygenexError
from raygenex.metrics import auroc, bce_with_logits
from raygenex.models import ExpressionModel, build_model
from raygenex.train.checkpoint import (
    VALID_SCORES,
    WEIGHTS,
    CheckpointInfo,
    load_weights,
    save_checkpoint,
    scaler_values,
)
from raygenex.train.encoder import SCALER
from raygenex.train.history import Progress
from raygenex.train.schedule import epoch_rate
from raygenex.train.shard import derive_seed
from raygenex.train.steps import gather, score_shard, steps_of_epoch, train_epoch
from raygenex.train.worker import open_worker

STATE = "training_state.pt"
# Scoring holds no gradients, so its batches can be larger than training's.
SCORE_FACTOR = 8


def train_worker(settings: dict[str, Any]) -> None:
    """Train on this worker's shard until the shared decision to stop, with a checkpoint every epoch.

    Parameters
    ----------
    settings
        ``config`` (resolved, plain values), ``info`` (a `CheckpointInfo` to complete, plain values), ``encoder``
        (folder of the pretrained half-life encoder, or None), ``counts`` (genes of train and valid) and ``row_bytes``.
    """
    worker = open_worker(settings)
    config, rank, device, sizes, shards = worker.config, worker.rank, worker.device, worker.sizes, worker.shards
    torch.manual_seed(derive_seed(config.seed))
    model = build_model(config.model, config.halflife, worker.info.inputs.shape)
    start_from(model, config, settings["encoder"])
    model.to(device)
    progress = Progress([], config.train.patience, config.train.epochs)
    optimizer = build_optimizer(model, config)
    _resume(model, optimizer, progress)
    trained = ray.train.torch.prepare_model(model)
    steps = steps_of_epoch(sizes["train"], worker.batch_size)
    while not progress.finished:
        epoch = progress.next_epoch
        # Seeds come from the epoch, not from a running state: a resumed run draws what an undisturbed one would.
        seed = derive_seed(config.seed, epoch, rank)
        torch.manual_seed(seed)
        train_loss = train_epoch(
            trained,
            shards["train"],
            optimizer,
            sizes["train"],
            worker.batch_size,
            seed,
            device,
            worker.autocast,
            rate=epoch_rate(config.train, epoch, steps),
        )
        batch_size = worker.batch_size * SCORE_FACTOR
        logits, labels = score_shard(model, shards["valid"], batch_size, device, worker.autocast)
        logits, labels = gather(logits, sizes["valid"]), gather(labels, sizes["valid"])
        metrics = _decide(logits, labels, train_loss, epoch, rank, worker.world_size, device)
        progress.history.append(metrics)
        _report(model, optimizer, progress, worker.info, rank, {"logits": logits, "labels": labels})


def start_from(model: ExpressionModel, config: RunConfig, encoder: str | None) -> None:
    """Load the pretrained scaler and half-life encoder, and freeze the encoder unless it is to be fine-tuned."""
    if model.scaler is None:
        return
    assert encoder is not None, "a model that standardises half-life features starts from their scaler"
    load_weights(model.scaler, Path(encoder, SCALER))
    if model.encoder is not None:
        load_weights(model.encoder, Path(encoder, WEIGHTS))
        model.encoder.requires_grad_(config.halflife.finetune)


def build_optimizer(model: ExpressionModel, config: RunConfig) -> torch.optim.Optimizer:
    """Return Adam (AdamW when weights decay) over the parameters that learn."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(learning, lr=config.train.learning_rate, weight_decay=config.train.weight_decay)


def _resume(model: ExpressionModel, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return
    with checkpoint.as_directory() as folder:
        load_weights(model, Path(folder, WEIGHTS))
        state = torch.load(Path(folder, STATE), weights_only=True, map_location="cpu")
    optimizer.load_state_dict(state["optimizer"])
    progress.history.extend(state["history"])


def _decide(
    logits: torch.Tensor,
    labels: torch.Tensor,
    train_loss: float,
    epoch: int,
    rank: int,
    world_size: int,
    device: torch.device,
) -> dict[str, float]:
    """Compute the metrics of an epoch on rank 0 and give every rank the same numbers, hence the same decision."""
    measured = torch.zeros(2, device=device, dtype=torch.float64)
    if not (math.isfinite(train_loss) and torch.isfinite(logits).all()):
        raise RaygenexError(f"training diverged in epoch {epoch}, its loss is not finite: lower train.learning_rate")
    if rank == 0:
        truth, scores = labels.cpu().numpy().astype("uint8"), logits.double().cpu().numpy()
        measured[0] = auroc(truth, scores)
        measured[1] = bce_with_logits(truth, scores)
    if world_size > 1:
        dist.broadcast(measured, src=0)
    return {
        "epoch": epoch,
        "train_loss": train_loss,
        "valid_loss": float(measured[1]),
        "valid_auroc": float(measured[0]),
    }


def _report(
    model: ExpressionModel,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    info: CheckpointInfo,
    rank: int,
    valid: dict[str, torch.Tensor],
) -> None:
    metrics = progress.history[-1]
    epoch = int(metrics["epoch"])
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if rank == 0:
            info.epoch = epoch
            info.feature_scaler = scaler_values(model)
            info.history = progress.history
            info.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            save_checkpoint(folder, model, info)
            save_file({name: values.cpu() for name, values in valid.items()}, Path(folder, VALID_SCORES))
            torch.save({"optimizer": optimizer.state_dict(), "history": progress.history}, Path(folder, STATE))
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        # Ray keeps the later of equal scores; the first of equal epochs shall win. No two AUROCs are this close.
        score = metrics["valid_auroc"] - 1e-12 * epoch
        ray.train.report({**metrics, "score": score}, checkpoint=checkpoint, checkpoint_dir_name=f"epoch_{epoch:04d}")
