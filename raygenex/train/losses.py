"""What missed targets cost: a loss per target over the genes that have it, and their weighted mean.

A gene without a value of a target costs nothing there. The loss of a step is the mean over all genes of the global
batch that have a value, target by target: what several workers add to it gives exactly the gradients of one.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from raygenex.train.shard import GeneBatch
from raygenex.train.targets import LOG_COUNT, LOG_SPREAD, TargetInfo, outputs_of


class TargetLoss:
    """The loss of several targets, called as ``loss(model, batch, weight)``, of a batch whose labels are ``(n, T)``.

    Parameters
    ----------
    targets
        The targets, in the order of the labels.
    world_size
        Number of workers that share a step.
    log_variance
        What the training learns to weigh targets by, of the model, shape ``(T,)``; None: by their weights alone.
    """

    def __init__(
        self, targets: Sequence[TargetInfo], world_size: int, log_variance: nn.Parameter | None = None
    ) -> None:
        self._targets = list(targets)
        self._places = outputs_of(targets)
        self._world_size = world_size
        self._log_variance = log_variance
        weights = torch.tensor([target.weight for target in targets], dtype=torch.float32)
        self._weights = weights / weights.sum()

    def __call__(self, model: nn.Module, batch: GeneBatch, weight: float) -> Tensor:
        """Return this worker's share of the loss, times the genes of the global batch; nothing if ``weight`` is 0.

        All workers call it together.
        """
        outputs = model(batch.sequence, batch.halflife).float().reshape(len(batch.label), -1)
        values = batch.label if weight else torch.full_like(batch.label, torch.nan)
        # The last entry counts genes.
        counts = torch.cat([(~values.isnan()).sum(0), torch.tensor([len(values) * weight], device=values.device)])
        if self._world_size > 1:
            dist.all_reduce(counts)
        means = self.sums(outputs, values) / counts[:-1].clamp(min=1)
        return self._joined(means, counts[:-1] > 0) * counts[-1]

    def sums(self, outputs: Tensor, values: Tensor) -> Tensor:
        """Return the summed loss of each target ``(T,)`` over the genes that have it.

        ``outputs`` are ``(n, K)``, ``values`` ``(n, T)`` as the model learns them, NaN where there is none.
        """
        found = []
        for column, (target, place) in enumerate(zip(self._targets, self._places, strict=True)):
            known = ~values[:, column].isnan()
            # Where nothing is known, any number will do: it costs nothing, and its gradient is 0.
            truth = torch.where(known, values[:, column], torch.zeros_like(values[:, column]))
            found.append((_each(target, outputs[:, place], truth) * known).sum())
        return torch.stack(found)

    def mean(self, outputs: Tensor, values: Tensor) -> float:
        """Return the loss of some genes, ``outputs`` and ``values`` as of `sums`, with the weights that are given."""
        counts = (~values.isnan()).sum(0)
        means = self.sums(outputs.double().reshape(len(values), -1), values.double()) / counts.clamp(min=1)
        return float((means * self._weights.to(means)).sum())

    def _joined(self, means: Tensor, present: Tensor) -> Tensor:
        """Return one number of the means of each target, by weights that are fixed or learned."""
        spread = self._log_variance
        if spread is None:
            return (means * self._weights.to(means)).sum()
        # Kendall, Gal & Cipolla 2018, equation 7: a target that is hard to learn counts less. What a target's weight
        # costs is nobody's share in particular, so each worker bears an equal one.
        cost = torch.where(present, spread / 2, torch.zeros_like(spread)) / self._world_size
        return ((means * torch.exp(-spread) + cost) * self._weights.to(means)).sum()


def _each(target: TargetInfo, outputs: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of every gene ``(n,)`` of outputs ``(n, outputs)`` and values ``(n,)``."""
    first = outputs[:, 0]
    if target.loss == "bce":
        return functional.binary_cross_entropy_with_logits(first, truth, reduction="none")
    if target.loss == "huber":
        return functional.huber_loss(first, truth, reduction="none")
    if target.loss == "poisson":
        return functional.poisson_nll_loss(first.clamp(max=LOG_COUNT), truth, reduction="none")
    if target.loss == "gaussian":
        log_variance = outputs[:, 1].clamp(-LOG_SPREAD, LOG_SPREAD)
        return (log_variance + (first - truth) ** 2 * torch.exp(-log_variance)) / 2
    return (first - truth) ** 2
