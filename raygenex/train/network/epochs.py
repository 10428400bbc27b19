"""The training of a network, epoch by epoch: the same in Ray Train's workers and in a trial's own process."""

import math
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn

from raygenex.config.run import RunConfig
from raygenex.errors import CheckpointError, RaygenexError
from raygenex.models.base import ExpressionModel
from raygenex.stats.metrics import auroc, bce_with_logits
from raygenex.train.checkpoint import VALID_SCORES, WEIGHTS, load_weights, new_model, save_checkpoint, scaler_values
from raygenex.train.losses import TargetLoss
from raygenex.train.network.halflife_start import Start, begin
from raygenex.train.shard import derive_seed
from raygenex.train.steps import epoch_rate, expression_loss, gather, score_shard, steps_of_epoch, train_epoch
from raygenex.train.stopping import SCORE, Progress
from raygenex.train.targets import epoch_scores, joint_score, score_names
from raygenex.train.worker import Worker

if TYPE_CHECKING:
    from raygenex.train.network.online import OnlineModel

STATE = "training_state.pt"
# Scoring holds no gradients, so its batches can be larger than training's.
SCORE_FACTOR = 8


class NetworkFit:
    """A network in training: one worker's part of it.

    Parameters
    ----------
    worker
        The configuration, the device, and this worker's genes.
    start
        What the half-life branch starts from; None for a model without one.
    backbone
        Folder of the weights of the backbone that embeds here; None where none does.
    """

    def __init__(self, worker: Worker, start: Start | None, backbone: Path | None = None) -> None:
        self._worker = worker
        config = worker.config
        torch.manual_seed(derive_seed(config.seed))
        self.model: ExpressionModel = new_model(config, worker.info)
        begin(self.model, config, start)
        self.model.to(worker.device)
        targets = worker.info.targets
        self._targets = TargetLoss(targets, worker.world_size, self.model.log_variance) if targets else None
        self.progress = Progress([], config.train.patience, config.train.epochs, SCORE if targets else "valid_auroc")
        self._online: OnlineModel | None = None
        if backbone is not None and config.online is not None:
            # Imported here, because it takes seconds that other trainings need not wait.
            from raygenex.train.network.online import open_online

            self._online = open_online(backbone, self.model, config.online, config.embed).to(worker.device)
        self._optimizer = build_optimizer(self.model, config, self._online)
        self._trained: nn.Module = self._online or self.model

    def resume(self, folder: Path) -> None:
        """Go on behind the last epoch that `save` wrote to a folder.

        Raises
        ------
        CheckpointError
            If a file is missing, damaged or of another model, or holds objects.
        """
        load_weights(self.model, folder / WEIGHTS)
        if self._online is not None:
            self._online.load(folder)
        state = _load_state(folder / STATE)
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress.history.extend(state["history"])

    def wrap(self, prepare: Callable[[nn.Module], nn.Module]) -> None:
        """Let the training steps go through ``prepare(model)``, as those of several workers do."""
        if self._online is None:
            self._trained = prepare(self.model)
        elif self._online.learns:
            self._trained = prepare(self._online)
        else:
            # What stays the same on every worker is not for DDP to average.
            self._trained = self._online.around(prepare(self.model))

    def epoch(self) -> dict[str, Tensor]:
        """Train an epoch and add its numbers to the history.

        Returns
        -------
        ``logits`` and ``labels`` of all genes of valid, the same on every worker: shape ``(N,)`` each, or ``(N, K)``
        outputs and ``(N, T)`` values of targets as the model learns them.
        """
        worker, config, epoch = self._worker, self._worker.config, self.progress.next_epoch
        # Seeds come from the epoch, not from a running state: a resumed run draws what an undisturbed one would.
        seed = derive_seed(config.seed, epoch, worker.rank)
        torch.manual_seed(seed)
        rate = epoch_rate(config.train, epoch, steps_of_epoch(worker.sizes["train"], worker.batch_size))
        loss = self._targets or expression_loss
        train_loss = train_epoch(worker, self._trained, self._optimizer, seed, loss=loss, rate=rate)
        scored = self._online or self.model
        # A batch of embeddings is large where they are made from bases.
        batch_size = worker.batch_size * (SCORE_FACTOR if self._online is None else 1)
        logits, labels = (
            gather(values, worker.sizes["valid"]) for values in score_shard(worker, scored, "valid", batch_size)
        )
        self.progress.history.append(_measure(logits, labels, train_loss, epoch, worker, self._targets))
        return {"logits": logits, "labels": labels}

    def save(self, folder: Path, valid: dict[str, Tensor]) -> None:
        """Write the last epoch as a checkpoint, with the logits of valid and what `resume` needs next to it."""
        info = self._worker.info
        info.epoch = self.progress.next_epoch - 1
        info.feature_scaler = scaler_values(self.model)
        info.history = self.progress.history
        if self._online is not None:
            info.backbone_sha256 = self._online.save(folder) or info.backbone_sha256
        info.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        save_checkpoint(folder, self.model, info)
        save_file({name: values.cpu() for name, values in valid.items()}, folder / VALID_SCORES)
        state: dict[str, Any] = {"optimizer": self._optimizer.state_dict(), "history": self.progress.history}
        torch.save(state, folder / STATE)


def _load_state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds Python objects, which can run code, where a training keeps numbers: remove that folder and "
            "train again"
        ) from None
    return state


def build_optimizer(
    model: ExpressionModel, config: RunConfig, online: "OnlineModel | None" = None
) -> torch.optim.Optimizer:
    """Return Adam (AdamW when weights decay) over the parameters that learn, those of the backbone among them."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": learning}]
    if online is not None and online.learns:
        groups += online.parameter_groups(config.train.learning_rate)
    return torch.optim.AdamW(groups, lr=config.train.learning_rate, weight_decay=config.train.weight_decay)


def _measure(
    logits: Tensor, labels: Tensor, train_loss: float, epoch: int, worker: Worker, targets: TargetLoss | None
) -> dict[str, float]:
    """Compute the metrics of an epoch on rank 0 and give every rank the same numbers, hence the same decision."""
    monitor = worker.config.train.monitor
    names = ["valid_auroc", "valid_loss"]
    if targets is not None:
        names = ["valid_loss", *(f"valid_{name}" for name in score_names(worker.info.targets)), SCORE]
    measured = torch.zeros(len(names), device=worker.device, dtype=torch.float64)
    if not (math.isfinite(train_loss) and torch.isfinite(logits).all()):
        learns = worker.config.online is not None and worker.config.online.finetune
        keys = "train.learning_rate or backbone.learning_rate" if learns else "train.learning_rate"
        raise RaygenexError(f"training diverged in epoch {epoch}, its loss is not finite: lower {keys}")
    if worker.rank == 0 and targets is not None:
        found = epoch_scores(worker.info.targets, logits.cpu().numpy(), labels.cpu().numpy())
        score = joint_score(worker.info.targets, found, monitor)
        measured[:] = torch.tensor([targets.mean(logits, labels), *found.values(), score], dtype=torch.float64)
    elif worker.rank == 0:
        truth, scores = labels.cpu().numpy().astype("uint8"), logits.double().cpu().numpy()
        measured[0] = auroc(truth, scores)
        measured[1] = bce_with_logits(truth, scores)
    if worker.world_size > 1:
        dist.broadcast(measured, src=0)
    found = dict(zip(names, measured.tolist(), strict=True))
    return {"epoch": epoch, "train_loss": train_loss, "valid_loss": found.pop("valid_loss"), **found}
