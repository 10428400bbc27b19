"""What every Ray Train worker runs."""

import math
import tempfile
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from raygenex.config import RunConfig, parse_config
from raygenex.errors import RaygenexError
from raygenex.metrics import auroc, bce_with_logits
from raygenex.models import Cnn, build_model
from raygenex.train.checkpoint import WEIGHTS, CheckpointInfo, load_weights, save_checkpoint, scaler_values
from raygenex.train.encoder import SCALER
from raygenex.train.shard import WorkerShard, derive_seed, ray_stream
from raygenex.train.steps import gather, score_shard, shard_sizes, train_epoch

STATE = "training_state.pt"
VALID_SCORES = "valid_scores.safetensors"
# Scoring holds no gradients, so its batches can be larger than training's.
SCORE_FACTOR = 8


class Progress:
    """Where training stands, and whether to go on; part of every checkpoint, so that a resumed run decides alike."""

    def __init__(self, history: list[dict[str, float]], patience: int | None, epochs: int) -> None:
        self.history = history
        self.patience = patience
        self.epochs = epochs

    @property
    def next_epoch(self) -> int:
        """The epoch to train next."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest valid AUROC."""
        return max(range(len(self.history)), key=lambda epoch: (self.history[epoch]["valid_auroc"], -epoch))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the last ``patience`` of them brought no better valid AUROC."""
        if self.next_epoch >= self.epochs:
            return True
        if self.patience is None or not self.history:
            return False
        return self.next_epoch - 1 - self.best_epoch >= self.patience


def train_worker(settings: dict[str, Any]) -> None:
    """Train on this worker's shard until the shared decision to stop, with a checkpoint every epoch.

    Parameters
    ----------
    settings
        ``config`` (resolved, plain values), ``info`` (a `CheckpointInfo` to complete, plain values), ``encoder``
        (folder of the pretrained half-life encoder, or None), ``counts`` (genes of train and valid) and ``row_bytes``.
    """
    config = parse_config(settings["config"], "the run configuration")
    info = CheckpointInfo.model_validate(settings["info"])
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(config.train.cpus_per_worker)))
    sizes = {split: shard_sizes(count, world_size) for split, count in settings["counts"].items()}
    shards = {split: _open_shard(split, sizes[split][rank], settings["row_bytes"], config) for split in sizes}
    batch_size = config.train.global_batch_size // world_size

    torch.manual_seed(derive_seed(config.seed))
    model = build_model(config.model, config.halflife, info.inputs.shape)
    start_from(model, config, settings["encoder"])
    model.to(device)
    progress = Progress([], config.train.patience, config.train.epochs)
    optimizer = build_optimizer(model, config)
    _resume(model, optimizer, progress)
    trained = ray.train.torch.prepare_model(model)

    def autocast() -> torch.autocast:
        lower = device.type == "cuda" and config.train.precision == "bf16"
        return torch.autocast(device.type, torch.bfloat16, enabled=lower)

    while not progress.finished:
        epoch = progress.next_epoch
        # Seeds come from the epoch, not from a running state: a resumed run draws what an undisturbed one would.
        seed = derive_seed(config.seed, epoch, rank)
        torch.manual_seed(seed)
        train_loss = train_epoch(
            trained, shards["train"], optimizer, sizes["train"], batch_size, seed, device, autocast
        )
        logits, labels = score_shard(model, shards["valid"], batch_size * SCORE_FACTOR, device, autocast)
        logits, labels = gather(logits, sizes["valid"]), gather(labels, sizes["valid"])
        metrics = _decide(logits, labels, train_loss, epoch, rank, world_size, device)
        progress.history.append(metrics)
        _report(model, optimizer, progress, info, rank, {"logits": logits, "labels": labels})


def _open_shard(split: str, count: int, row_bytes: int, config: RunConfig) -> WorkerShard:
    keep = count * row_bytes <= config.train.memory_gib * 2**30
    iterator = ray.train.get_dataset_shard(split)
    return WorkerShard(ray_stream(iterator, config.train.shuffle_buffer), count, keep)


def start_from(model: Cnn, config: RunConfig, encoder: str | None) -> None:
    """Load the pretrained scaler and half-life encoder, and freeze the encoder unless it is to be fine-tuned."""
    if not model.uses_halflife:
        return
    assert encoder is not None, "a model with half-life features starts from their scaler"
    load_weights(model.scaler, Path(encoder, SCALER))
    if model.encoder is not None:
        load_weights(model.encoder, Path(encoder, WEIGHTS))
        model.encoder.requires_grad_(config.halflife.finetune)


def build_optimizer(model: Cnn, config: RunConfig) -> torch.optim.Optimizer:
    """Return Adam (AdamW when weights decay) over the parameters that learn."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(learning, lr=config.train.learning_rate, weight_decay=config.train.weight_decay)


def _resume(model: Cnn, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
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
    model: Cnn,
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
            save_checkpoint(folder, model, info)
            save_file({name: values.cpu() for name, values in valid.items()}, Path(folder, VALID_SCORES))
            torch.save({"optimizer": optimizer.state_dict(), "history": progress.history}, Path(folder, STATE))
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        # Ray keeps the later of equal scores; the first of equal epochs shall win. No two AUROCs are this close.
        score = metrics["valid_auroc"] - 1e-12 * epoch
        ray.train.report({**metrics, "score": score}, checkpoint=checkpoint, checkpoint_dir_name=f"epoch_{epoch:04d}")
