"""What every Ray Train worker of a network runs."""

import tempfile
import time
from pathlib import Path
from typing import Any

import ray.train
import torch
import torch.distributed as dist

from raygenex.files.errors import disk_errors_told
from raygenex.train.network.epochs import NetworkFit
from raygenex.train.network.halflife_start import read_start
from raygenex.train.ray_worker import average_gradients, open_worker
from raygenex.train.stopping import ENDED
from raygenex.train.worker import Worker


def train_worker(settings: dict[str, Any]) -> None:
    """Train on this worker's shard until the shared decision to stop, with a checkpoint every epoch.

    Parameters
    ----------
    settings
        ``config`` (resolved, plain values), ``info`` (a `CheckpointInfo` to complete, plain values), ``encoder``
        (folder of the pretrained half-life encoder, or None), ``backbone`` (folder of the weights of one that embeds
        here, or None), ``counts`` (genes of train and valid), ``row_bytes``, ``folder`` (of the run, to name when its
        disk is full) and ``stop`` (a file that ends the training when it appears, or None).
    """
    worker = open_worker(settings)
    encoder, backbone = settings["encoder"], settings["backbone"]
    fit = NetworkFit(worker, read_start(Path(encoder)) if encoder else None, Path(backbone) if backbone else None)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            fit.resume(Path(folder))
    fit.wrap(average_gradients)
    while not fit.progress.finished and not _told_to_stop(settings["stop"], worker):
        _report(fit, fit.epoch(), worker.rank, settings["folder"])


def _told_to_stop(stop: str | None, worker: Worker) -> bool:
    """Look for the file on rank 0, and let every rank know the same."""
    if stop is None:
        return False
    flag = torch.tensor([float(worker.rank == 0 and Path(stop).exists())], device=worker.device)
    if worker.world_size > 1:
        dist.broadcast(flag, src=0)
    return bool(flag.item())


def _report(fit: NetworkFit, valid: dict[str, torch.Tensor], rank: int, target: str) -> None:
    metrics = fit.progress.history[-1]
    epoch = int(metrics["epoch"])
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if rank == 0:
            fit.save(Path(folder), valid)
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        # Ray keeps the later of equal scores; the first of equal epochs shall win. No two AUROCs are this close.
        score = metrics[fit.progress.monitor] - 1e-12 * epoch
        sent = {**metrics, "score": score, ENDED: time.time()}
        # Ray copies the checkpoint, and names no file when there is no room for it.
        with disk_errors_told(target):
            ray.train.report(sent, checkpoint=checkpoint, checkpoint_dir_name=f"epoch_{epoch:04d}")
