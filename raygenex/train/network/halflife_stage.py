"""The half-life stage of a run: fit the scaler, pretrain the encoder in a Ray task, track it, keep its weights."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from safetensors.torch import load, save

from raygenex.cluster.torch_process import prepare_process
from raygenex.config.model import PRETRAINED_KINDS
from raygenex.config.run import RunConfig
from raygenex.files.json_file import load_json
from raygenex.files.locate import short_path
from raygenex.files.whole import whole_folder
from raygenex.terminal.progress import progress
from raygenex.tracking.runs import flatten
from raygenex.train.checkpoint import package_versions
from raygenex.train.epoch_log import follow, open_epoch_log
from raygenex.train.network.halflife_start import Start, make_start, start_identity, write_start
from raygenex.train.training import TrackedTraining

logger = logging.getLogger(__name__)

INFO = "encoder.json"


def prepare_halflife(training: TrackedTraining) -> str | None:
    """Make the folder that the model's half-life branch starts from, or reuse the one of the same making.

    Returns
    -------
    A folder with ``scaler.safetensors`` and, for the encoded kinds, ``model.safetensors``; None for a model without
    half-life features.
    """
    config = training.config
    identity = start_identity(config, training.inputs.feature_sources)
    if identity is None:
        return None
    folder = Path(config.folder, "halflife_encoder")
    if identity_of(folder) == identity:
        logger.info("half-life stage: reusing %s", short_path(str(folder)))
        return str(folder)
    halflife = training.inputs.features
    history: list[dict[str, float]] = []
    if config.model.kind in PRETRAINED_KINDS:
        start = _pretrain(training, halflife, history)
    else:
        start = make_start(config, torch.from_numpy(halflife))
    keep_start(start, folder, identity, config, history)
    return str(folder)


def keep_start(start: Start, folder: Path, identity: str, config: RunConfig, history: list[dict[str, float]]) -> None:
    """Write a start with a description of its making, aside first, then renamed into place."""
    described = {
        "identity": identity,
        "halflife": config.halflife.model_dump(mode="json"),
        "history": history,
        "versions": package_versions(),
    }
    with whole_folder(folder) as aside:
        write_start(start, aside)
        (aside / INFO).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def identity_of(folder: Path) -> str | None:
    """Return the identity of the start in a folder; None if there is none, or it is damaged."""
    path = folder / INFO
    if not path.exists():
        return None
    try:
        return str(load_json(path).get("identity"))
    except ValueError:
        # Damaged is as good as absent: the stage is made again.
        return None


def _pretrain(training: TrackedTraining, halflife: np.ndarray, history: list[dict[str, float]]) -> Start:
    config, tracker = training.config, training.tracker
    tags = {"raygenex.stage": "halflife", "raygenex.config_hash": config.hash()}
    params = flatten({"seed": config.seed, "halflife": config.halflife.model_dump(mode="json")})
    run_id = training.outbox.ask(
        lambda: tracker.start(f"{config.name}-halflife", params, tags, training.run_id), "the half-life stage"
    )
    log = open_epoch_log()
    gpus = 1 if config.train.use_gpu else 0
    logger.info("pretraining the half-life encoder on %d genes", len(halflife))
    with tracker.ending(run_id, training.outbox), progress("half-life epochs", config.halflife.epochs) as advance:

        def show(metrics: dict[str, float]) -> None:
            history.append(metrics)
            numbers = {name: value for name, value in metrics.items() if name != "epoch"}
            advance(1, f"triplet loss {metrics['triplet_loss']:.5f}")
            training.log(run_id, int(metrics["epoch"]), numbers)

        task = ray.remote(num_cpus=config.train.cpus_per_worker, num_gpus=gpus)(_pretrain_task)
        with follow(log, show):
            scaler, encoder = ray.get(task.remote(halflife, config, gpus > 0, log))
        last = history[-1]
        logger.info("half-life encoder: triplet loss %.5f after %d epochs", last["triplet_loss"], len(history))
    return Start(load(scaler), load(encoder))


def _pretrain_task(halflife: np.ndarray, config: RunConfig, gpu: bool, log: Any) -> tuple[bytes, bytes]:
    prepare_process(config.train.cpus_per_worker)
    start = make_start(
        config,
        torch.from_numpy(np.array(halflife)),
        lambda metrics: ray.get(log.put.remote(metrics)),
        "cuda" if gpu else "cpu",
    )
    assert start.encoder is not None, "only kinds that pretrain an encoder come here"
    return save(start.scaler), save(start.encoder)
