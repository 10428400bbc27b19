"""What every Ray Train worker runs to train the autoencoder of the DNA and to make the features that trees read."""

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray.train
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn

from raygenex.config.model import AutoencoderXgboost
from raygenex.errors import RaygenexError
from raygenex.models.autoencoder import Autoencoder, AutoencoderTrees
from raygenex.train.checkpoint import WEIGHTS
from raygenex.train.ray_worker import average_gradients, open_worker
from raygenex.train.shard import GeneBatch, derive_seed
from raygenex.train.steps import gather, train_epoch
from raygenex.train.worker import Worker

FEATURES = "features.safetensors"
"""In the last checkpoint, next to the encoder's weights: ``train_features``, ``train_label`` and those of valid."""
STATE = "autoencoder_state.pt"
# Scoring holds no gradients, so its batches can be larger than training's.
SCORE_FACTOR = 2


@dataclass
class Standing:
    """The epochs so far, and the weights after the best of them."""

    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the lowest reconstruction loss on valid."""
        return min(range(len(self.history)), key=lambda epoch: self.history[epoch]["valid_loss"])

    def add(self, metrics: dict[str, float], model: nn.Module) -> None:
        """Add an epoch, and keep the weights if it is the best."""
        self.history.append(metrics)
        if self.best_epoch == len(self.history) - 1:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def train_autoencoder(settings: dict[str, Any]) -> None:
    """Train on this worker's shard, with a checkpoint every epoch; the last one holds the best encoder's features."""
    worker = open_worker(settings)
    section, shape = worker.config.model, worker.info.inputs.shape
    assert isinstance(section, AutoencoderXgboost), section.kind
    torch.manual_seed(derive_seed(worker.config.seed))
    model = Autoencoder(section, shape).to(worker.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=section.learning_rate)
    standing = Standing()
    _resume(model, optimizer, standing)
    trained = average_gradients(model)
    for epoch in range(len(standing.history), section.epochs):
        seed = derive_seed(worker.config.seed, epoch, worker.rank)
        train_loss = train_epoch(worker, trained, optimizer, seed, loss=restoring_loss)
        valid_loss = _valid_loss(model, worker)
        if not (math.isfinite(train_loss) and math.isfinite(valid_loss)):
            raise RaygenexError(f"the autoencoder diverged in epoch {epoch}: lower model.learning_rate")
        standing.add({"epoch": epoch, "train_loss": train_loss, "valid_loss": valid_loss}, model)
        features = None
        if len(standing.history) == section.epochs:
            model.load_state_dict(standing.best)
            scorer = AutoencoderTrees(section, shape).to(worker.device)
            scorer.dna_encoder = model.encoder
            features = {
                f"{split}_{name}": values
                for split in worker.shards
                for name, values in _make_features(scorer, split, worker).items()
            }
        _report(model, optimizer, standing, worker, features)


def restoring_loss(model: nn.Module, batch: GeneBatch, weight: float = 1.0) -> Tensor:
    """Return the summed reconstruction loss of an `Autoencoder`, wrapped or not, over a batch, times a weight."""
    return model(batch.sequence).sum() * weight


@torch.no_grad()
def _valid_loss(model: Autoencoder, worker: Worker) -> float:
    """Return the mean reconstruction loss of all valid genes, the same on every worker."""
    model.eval()
    total = torch.zeros((), device=worker.device, dtype=torch.float64)
    for batch in worker.shards["valid"].in_order(worker.batch_size * SCORE_FACTOR):
        with worker.autocast():
            total += restoring_loss(model, batch.to(worker.device))
    if worker.world_size > 1:
        dist.all_reduce(total)
    return float(total) / sum(worker.sizes["valid"])


@torch.no_grad()
def _make_features(scorer: AutoencoderTrees, split: str, worker: Worker) -> dict[str, Tensor]:
    """Return ``features`` and ``label`` of all genes of a split, in row order, in full precision."""
    scorer.eval()
    features, labels = [], []
    for batch in worker.shards[split].in_order(worker.batch_size * SCORE_FACTOR):
        moved = batch.to(worker.device)
        features.append(scorer.features(moved.sequence, moved.halflife))
        labels.append(moved.label)
    sizes = worker.sizes[split]
    return {"features": gather(torch.cat(features), sizes), "label": gather(torch.cat(labels), sizes)}


def _resume(model: Autoencoder, optimizer: torch.optim.Optimizer, standing: Standing) -> None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return
    with checkpoint.as_directory() as folder:
        state = torch.load(Path(folder, STATE), weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    standing.history, standing.best = state["history"], state["best"]


def read_history(folder: str | Path) -> list[dict[str, float]]:
    """Return the losses of all epochs up to the one of a checkpoint."""
    history: list[dict[str, float]] = torch.load(Path(folder, STATE), weights_only=True)["history"]
    return history


def _report(
    model: Autoencoder,
    optimizer: torch.optim.Optimizer,
    standing: Standing,
    worker: Worker,
    features: dict[str, Tensor] | None,
) -> None:
    metrics = standing.history[-1]
    epoch = int(metrics["epoch"])
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if worker.rank == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"history": standing.history, "best": standing.best}, Path(folder, STATE))
            if features is not None:
                save_file(model.encoder.state_dict(), Path(folder, WEIGHTS))
                save_file(
                    {name: values.cpu().contiguous() for name, values in features.items()}, Path(folder, FEATURES)
                )
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        # The latest checkpoint knows everything, so it scores highest and Ray keeps it.
        ray.train.report({**metrics, "score": epoch}, checkpoint=checkpoint, checkpoint_dir_name=f"epoch_{epoch:04d}")
