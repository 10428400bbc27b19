"""A Ray Train worker: its rank, its device, and its genes."""

from dataclasses import dataclass
from typing import Any

import ray.train
import ray.train.torch
import torch
from torch import nn

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.shard import WorkerShard, ray_stream
from raygenex.train.steps import DDP_OPTIONS, gradients_alone, shard_sizes


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


def open_worker(settings: dict[str, Any]) -> Worker:
    """Learn who this worker is, limit its threads, and open its shards.

    Parameters
    ----------
    settings
        ``config`` (resolved, plain values), ``info`` (a `CheckpointInfo` to complete, plain values), ``counts`` (genes
        of train and valid) and ``row_bytes``.
    """
    config = parse_config(settings["config"], "the run configuration")
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(config.train.cpus_per_worker)))
    sizes = {split: shard_sizes(count, world_size) for split, count in settings["counts"].items()}
    shards = {split: _open_shard(split, sizes[split][rank], settings["row_bytes"], config) for split in sizes}
    return Worker(config, CheckpointInfo.model_validate(settings["info"]), rank, device, sizes, shards)


def average_gradients(model: nn.Module) -> nn.Module:
    """Wrap a model so that every backward pass averages its gradients over the workers; one worker's stays as it is."""
    return gradients_alone(ray.train.torch.prepare_model(model, parallel_strategy_kwargs=dict(DDP_OPTIONS)))


def _open_shard(split: str, count: int, row_bytes: int, config: RunConfig) -> WorkerShard:
    keep = count * row_bytes <= config.train.memory_gib * 2**30
    iterator = ray.train.get_dataset_shard(split)
    return WorkerShard(ray_stream(iterator, config.train.shuffle_buffer), count, keep)
