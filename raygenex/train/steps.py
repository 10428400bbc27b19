"""Exact optimisation steps and evaluation over any number of workers."""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel

from raygenex.config.train import TrainConfig
from raygenex.data.rows import shard_bounds
from raygenex.train.shard import GeneBatch
from raygenex.train.worker import Worker

Autocast = Callable[[], torch.autocast]
Loss = Callable[[nn.Module, GeneBatch, float], Tensor]
"""Runs a model over a batch and returns the sum of its genes' losses, times a weight."""

DDP_OPTIONS = {"gradient_as_bucket_view": True}
"""How DDP averages gradients: in place, without a copy of them."""


def gradients_alone(model: nn.Module) -> nn.Module:
    """Let a model that is wrapped by DDP exchange gradients only; another stays as it is."""
    if isinstance(model, DistributedDataParallel):
        # Buffers are fitted before the training and the same everywhere: DDP would send them again with every step.
        model.broadcast_buffers = False
    return model


def expression_loss(model: nn.Module, batch: GeneBatch, weight: float) -> Tensor:
    """Return the summed cross-entropy (nats) of a model called as ``model(sequence, halflife) -> logits``."""
    logits = model(batch.sequence, batch.halflife)
    return binary_cross_entropy_with_logits(logits.float(), batch.label, reduction="sum") * weight


def shard_sizes(count: int, world_size: int) -> list[int]:
    """Return how many rows each worker holds; the sizes differ by one at most."""
    return [stop - start for start, stop in (shard_bounds(count, rank, world_size) for rank in range(world_size))]


def steps_of_epoch(sizes: list[int], batch_size: int) -> int:
    """Return how many steps an epoch takes, the same on every worker."""
    return -(-max(sizes) // batch_size)


def genes_in_step(sizes: list[int], batch_size: int, step: int) -> int:
    """Return how many genes all workers together process in a step, the last steps being short."""
    return sum(min(batch_size, max(0, size - step * batch_size)) for size in sizes)


def backward(
    model: nn.Module,
    batch: GeneBatch,
    genes: int,
    world_size: int,
    *,
    autocast: Autocast,
    weight: float = 1.0,
    loss: Loss = expression_loss,
) -> Tensor:
    """Add the gradient of the mean loss over the global batch, whatever each worker's share of it.

    DDP averages gradients over workers, so each worker's summed loss is scaled by ``world_size / genes``: the average
    is then the sum over all genes divided by their number, also when the shares differ.

    Parameters
    ----------
    model
        Called by ``loss``.
    batch
        This worker's genes.
    genes
        Genes in the global batch.
    world_size
        Number of workers.
    autocast
        Makes the context that the forward pass runs in.
    weight
        0 for a worker that has no gene left and only takes part in the averaging.
    loss
        What is minimised.

    Returns
    -------
    The summed loss of this worker's genes, detached.
    """
    with autocast():
        summed = loss(model, batch, weight)
    (summed * (world_size / genes)).backward()
    return summed.detach()


def train_epoch(
    worker: Worker,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    seed: int,
    *,
    loss: Loss = expression_loss,
    rate: Callable[[int], float] | None = None,
) -> float:
    """Pass once over the training genes of all workers; return the mean loss per gene.

    Every worker takes the same number of steps. One that runs out of genes a step early repeats its last batch with
    weight 0, so nobody waits and no gene counts twice.

    Parameters
    ----------
    worker
        This worker, with its share of the training genes.
    model
        Called by ``loss``.
    optimizer
        Of the parameters that learn.
    seed
        Of the order of the genes.
    loss
        What is minimised.
    rate
        Gives the step size of each step of the epoch, which a group of parameters multiplies by its ``factor``, if it
        has one; without it the optimizer keeps its own.
    """
    model.train()
    shard, sizes, batch_size = worker.shards["train"], worker.sizes["train"], worker.batch_size
    total = torch.zeros((), device=worker.device, dtype=torch.float64)
    batches = iter(shard.shuffled(batch_size, seed))
    batch: GeneBatch | None = None
    for step in range(steps_of_epoch(sizes, batch_size)):
        mine = min(batch_size, max(0, shard.count - step * batch_size))
        if mine:
            batch = next(batches).to(worker.device)
            assert len(batch.label) == mine, "a shard gave fewer genes than it was promised"
        assert batch is not None, "a worker without genes cannot train"
        weight = 1.0 if mine else 0.0
        if rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = rate(step) * group.get("factor", 1.0)
        optimizer.zero_grad(set_to_none=True)
        genes = genes_in_step(sizes, batch_size, step)
        total += backward(model, batch, genes, worker.world_size, autocast=worker.autocast, weight=weight, loss=loss)
        optimizer.step()
    assert next(batches, None) is None, "a shard gave more genes than it was promised"
    if worker.world_size > 1:
        dist.all_reduce(total)
    return float(total) / sum(sizes)


@torch.no_grad()
def score_shard(worker: Worker, model: nn.Module, split: str, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return logits and labels of a worker's share of a split, in row order, float32, shape ``(count,)`` each."""
    model.eval()
    logits, labels = [], []
    for batch in worker.shards[split].in_order(batch_size):
        moved = batch.to(worker.device)
        with worker.autocast():
            logits.append(model(moved.sequence, moved.halflife).float())
        labels.append(moved.label)
    return torch.cat(logits), torch.cat(labels)


def gather(values: Tensor, sizes: list[int]) -> Tensor:
    """Join every worker's values, shape ``(sizes[rank], ...)``, in rank order; the same on all workers."""
    if len(sizes) == 1:
        return values
    padded = values.new_zeros(max(sizes), *values.shape[1:])
    padded[: len(values)] = values
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the step size of one step, a function of its number alone, so that a resumed training goes on as it was.

    Over the first ``warmup`` of all steps it rises linearly to ``learning_rate``, which the step after them has. From
    there it stays (``constant``), or falls along half a cosine to 0, which the step after the last would have
    (``cosine``; Loshchilov & Hutter 2017, without restarts).
    """
    rising = round(config.warmup * steps)
    if step < rising:
        return config.learning_rate * (step + 1) / (rising + 1)
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


def epoch_rate(config: TrainConfig, epoch: int, steps: int) -> Callable[[int], float]:
    """Return the step size as a function of a step of one epoch, ``epoch`` from 0, of ``steps`` steps."""
    return lambda step: learning_rate(config, epoch * steps + step, config.epochs * steps)
