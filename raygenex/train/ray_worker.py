"""How a worker of Ray Train opens its genes, and averages its gradients with those of the others."""

from typing import Any

import ray.train
import ray.train.torch
from torch import nn

from raygenex.cluster.torch_process import prepare_process
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.shard import WorkerShard, ray_stream
from raygenex.train.steps import DDP_OPTIONS, gradients_alone, shard_sizes
from raygenex.train.streaming import piece_stream
from raygenex.train.worker import Worker


def open_worker(settings: dict[str, Any]) -> Worker:
    """Learn who this worker is, limit its threads, and open its shards.

    Parameters
    ----------
    settings
        ``config`` (resolved, plain values), ``info`` (a `CheckpointInfo` to complete, plain values), ``counts`` (genes
        of train and valid), ``tables`` (their `Rows`) and ``row_bytes``.
    """
    config = parse_config(settings["config"], "the run configuration")
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        prepare_process(config.train.cpus_per_worker)
    sizes = {split: shard_sizes(count, world_size) for split, count in settings["counts"].items()}
    shards = {split: _open_shard(split, sizes[split], rank, settings, config) for split in sizes}
    return Worker(config, CheckpointInfo.model_validate(settings["info"]), rank, device, sizes, shards)


def average_gradients(model: nn.Module) -> nn.Module:
    """Wrap a model so that every backward pass averages its gradients over the workers; one worker's stays as it is."""
    return gradients_alone(ray.train.torch.prepare_model(model, parallel_strategy_kwargs=dict(DDP_OPTIONS)))


def _open_shard(split: str, sizes: list[int], rank: int, settings: dict[str, Any], config: RunConfig) -> WorkerShard:
    count, start = sizes[rank], sum(sizes[:rank])
    if count * settings["row_bytes"] <= config.train.memory_gib * 2**30:
        return WorkerShard(ray_stream(ray.train.get_dataset_shard(split)), count, keep=True)
    stream = piece_stream(settings["tables"][split], start, start + count, config.train.shuffle_buffer)
    return WorkerShard(stream, count, keep=False)
