"""A worker of a torch training: its rank, its device, and its genes; in Ray Train or in a process of its own."""

from dataclasses import dataclass

import torch

from raygenex.config.run import RunConfig
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.shard import WorkerShard


@dataclass(frozen=True)
class Worker:
    """What a worker of a torch training knows of itself and of the others."""

    config: RunConfig
    info: CheckpointInfo
    rank: int
    device: torch.device
    sizes: dict[str, list[int]]
    """Genes of each worker, by split."""
    shards: dict[str, WorkerShard]
    """This worker's genes, by split."""

    @property
    def world_size(self) -> int:
        """Number of workers."""
        return len(self.sizes["train"])

    @property
    def batch_size(self) -> int:
        """Genes of a step on this worker."""
        return self.config.train.global_batch_size // self.world_size

    def autocast(self) -> torch.autocast:
        """Return the context that forward passes of the training run in."""
        lower = self.device.type == "cuda" and self.config.train.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=lower)
