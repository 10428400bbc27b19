"""Training on a cluster, from the driver: inputs, resume, the two stages, MLflow, and the final checkpoint."""

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer
from safetensors.numpy import load_file

from raygenex.cluster import Request, connect
from raygenex.config import RunConfig
from raygenex.data.guard import guard
from raygenex.data.opening import SplitData, open_splits
from raygenex.data.source import RowShards, rows_dataset
from raygenex.errors import CheckpointError, ConfigError, RaygenexError
from raygenex.figures import loss_figure, save
from raygenex.locking import exclusive
from raygenex.metrics import binary_metrics, choose_threshold
from raygenex.progress import progress
from raygenex.tracking import Tracker, flatten
from raygenex.train.checkpoint import (
    BACKBONE,
    CheckpointInfo,
    package_versions,
    read_info,
    replace_folder,
    save_checkpoint_info,
)
from raygenex.train.encoder import prepare_halflife
from raygenex.train.inputs import Inputs, open_inputs
from raygenex.train.loop import STATE, VALID_SCORES, train_worker
from raygenex.train.progress import ReportToLog, follow, open_epoch_log
from raygenex.train.state import RunState, read_state, write_state

logger = logging.getLogger(__name__)

# Ray retries workers that cannot be placed; after this many tries the preflight's promise is broken, and we say so.
CONTROLLER_FAILURES = 3
EPOCH_METRICS = ("train_loss", "valid_loss", "valid_auroc")


@dataclass(frozen=True)
class TrainResult:
    """The trained model: its checkpoint folder, the best epoch, metrics on valid, and the MLflow run."""

    checkpoint: str
    epoch: int
    epochs: int
    metrics: dict[str, float]
    threshold: float
    run_id: str
    reused: bool
    seconds: float


def train(config: RunConfig, force: bool = False, strict: bool = False) -> TrainResult:
    """Pretrain the half-life encoder if the model has one, train the model, and keep the best epoch.

    The same configuration and data continue an unfinished run and reuse a finished one; anything else in the same
    folder is refused unless ``force`` is given. Leaks between the splits beyond ``check.max_leaked`` are warned of, or
    refused if ``strict``.

    Raises
    ------
    DataError, CheckpointError, TrackingError, ClusterError
        If data, embeddings, an earlier run, MLflow or the cluster do not allow the training.
    """
    started = time.monotonic()
    splits = open_splits(config.data, ("train", "valid"))
    inputs = open_inputs(config, splits)
    check_workers(config, inputs)
    folder = Path(config.folder)
    final = folder / "checkpoint"
    state = None if force else known_state(folder, inputs)
    finished = state is not None and state.finished
    if strict or not finished:
        guard(config, strict)
    if state is not None and finished:
        return _reuse(final, state.run_id, started)
    tracker = Tracker(config)
    request = Request(
        "training",
        config.train.workers,
        config.train.cpus_per_worker,
        1.0 if config.train.use_gpu else 0.0,
        "train.workers" if not config.train.use_gpu else "train.workers, set train.use_gpu to false",
    )
    # Whatever could refuse has been asked before anything is removed or begun.
    with connect(config.cluster, request), exclusive(folder, "training"):
        # Another process may have finished this run while this one waited for the cluster.
        state = None if force else known_state(folder, inputs)
        if state is not None and state.finished:
            return _reuse(final, state.run_id, started)
        if force:
            _clear(folder)
        state = _begin(tracker, config, splits, inputs, folder, state)
        with tracker.ending(state.run_id):
            encoder = prepare_halflife(config, splits["train"], tracker, state.run_id, inputs)
            best, latest = _fit(config, inputs, encoder, tracker, state.run_id, folder)
            info = _finish(config, inputs, best, latest, final)
            _complete_series(tracker, state.run_id, info.history)
            tracker.log_metrics(state.run_id, _prefixed(info.metrics), info.epoch)
            _log_files(tracker, state.run_id, final, info)
        write_state(folder, RunState(identity=inputs.identity, run_id=state.run_id, finished=True))
        shutil.rmtree(folder / "ray_train")
    return _result(final, info, state.run_id, False, started)


def known_state(folder: Path, inputs: Inputs) -> RunState | None:
    """Return the state of an earlier run of the same settings and data in a folder, or None.

    Raises
    ------
    CheckpointError
        If the folder holds a run of something else.
    """
    state = read_state(folder)
    if state is not None and state.identity != inputs.identity:
        raise CheckpointError(
            f"{folder} holds a {'finished' if state.finished else 'started'} run with other settings or data: "
            "give this one another name, or pass --force to replace it"
        )
    return state


def check_workers(config: RunConfig, inputs: Inputs) -> None:
    """Refuse, with a ConfigError, more workers than a split has genes."""
    for split, rows in inputs.tables.items():
        if rows.count < config.train.workers:
            raise ConfigError(
                f"data.{split} has {rows.count} genes for {config.train.workers} workers: lower train.workers"
            )


def _clear(folder: Path) -> None:
    for name in ("checkpoint", "ray_train", "halflife_encoder", "evaluation"):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    (folder / "run.json").unlink(missing_ok=True)


def _reuse(final: Path, run_id: str, started: float) -> TrainResult:
    if not final.exists():
        raise CheckpointError(
            f"the run in {final.parent} finished, but its checkpoint is gone: pass --force to train again"
        )
    info = read_info(final)
    logger.info("%s is trained already: reusing it", final)
    return _result(final, info, run_id, True, started)


def _result(final: Path, info: CheckpointInfo, run_id: str, reused: bool, started: float) -> TrainResult:
    assert info.threshold is not None, "a final checkpoint carries its threshold"
    return TrainResult(
        str(final),
        info.epoch,
        len(info.history),
        info.metrics,
        info.threshold,
        run_id,
        reused,
        time.monotonic() - started,
    )


def _begin(
    tracker: Tracker,
    config: RunConfig,
    splits: dict[str, SplitData],
    inputs: Inputs,
    folder: Path,
    state: RunState | None,
) -> RunState:
    if state is not None and tracker.exists(state.run_id):
        logger.info("continuing the unfinished run in %s", folder)
        tracker.reopen(state.run_id)
        return state
    tags = {"raygenex.stage": "train", "raygenex.config_hash": config.hash()}
    run_id = tracker.start(config.name, flatten(config.dump()), tags)
    for name, split in splits.items():
        paths = [file.path for file in split.files]
        tracker.log_dataset(run_id, name, paths, inputs.fingerprints[name], split.rows)
    state = RunState(identity=inputs.identity, run_id=run_id, finished=False)
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder, state)
    return state


def _fit(
    config: RunConfig, inputs: Inputs, encoder: str | None, tracker: Tracker, run_id: str, folder: Path
) -> tuple[ray.train.Checkpoint, ray.train.Checkpoint]:
    """Run Ray Train; return the best and the latest checkpoint."""
    log = open_epoch_log()
    options = config.train
    settings = {
        "config": config.dump(),
        "info": CheckpointInfo(
            config=config.dump(),
            config_hash=config.hash(),
            inputs=inputs.info,
            backbone_sha256=inputs.backbone_sha256,
            fingerprints=inputs.fingerprints,
            versions=package_versions(),
        ).model_dump(mode="json"),
        "encoder": encoder,
        "counts": {name: rows.count for name, rows in inputs.tables.items()},
        "row_bytes": inputs.tables["train"].row_bytes,
    }
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=settings,
        torch_config=TorchConfig(backend="nccl" if options.use_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=options.workers,
            use_gpu=options.use_gpu,
            resources_per_worker={"CPU": options.cpus_per_worker} | ({"GPU": 1} if options.use_gpu else {}),
        ),
        run_config=ray.train.RunConfig(
            name="ray_train",
            storage_path=str(folder),
            failure_config=ray.train.FailureConfig(
                max_failures=options.max_failures, controller_failure_limit=CONTROLLER_FAILURES
            ),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=options.keep_checkpoints, checkpoint_score_attribute="score"
            ),
            callbacks=[ReportToLog(log)],
        ),
        datasets={name: rows_dataset(rows) for name, rows in inputs.tables.items()},
        dataset_config=RowShards(inputs.tables),
    )
    logger.info(
        "training %s on %d genes with %d workers", config.model.kind, inputs.tables["train"].count, options.workers
    )
    with progress("training epochs", options.epochs) as advance:
        show = _epoch_shower(tracker, run_id, advance)
        with follow(log, show):
            result = _fit_until_done(trainer)
    kept = result.best_checkpoints
    if not kept:
        raise RaygenexError(f"training ended without a checkpoint; remove {folder} and train again")
    best = max(kept, key=lambda pair: pair[1]["score"])[0]
    return best, result.checkpoint


def _fit_until_done(trainer: TorchTrainer) -> ray.train.Result:
    """Run the trainer; an interrupt raises KeyboardInterrupt, where Ray Train's own handler would end the process."""
    before = signal.getsignal(signal.SIGINT)
    try:
        return trainer.fit()
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _epoch_shower(
    tracker: Tracker, run_id: str, advance: Callable[[int, str], None]
) -> Callable[[dict[str, float]], None]:
    def show(metrics: dict[str, float]) -> None:
        epoch = int(metrics["epoch"])
        note = "  ".join(f"{name} {metrics[name]:.4f}" for name in EPOCH_METRICS)
        logger.info("epoch %d: %s", epoch, note)
        advance(1, f"valid AUROC {metrics['valid_auroc']:.4f}")
        _log_epoch(tracker, run_id, metrics)

    return show


def _log_epoch(tracker: Tracker, run_id: str, metrics: dict[str, float]) -> None:
    """Log an epoch under names of their own: ``valid_auroc`` is what `evaluate` measures."""
    numbers = {f"epoch_{name}": metrics[name] for name in EPOCH_METRICS}
    tracker.log_metrics(run_id, numbers, int(metrics["epoch"]))


def _complete_series(tracker: Tracker, run_id: str, history: list[dict[str, float]]) -> None:
    """Log the epochs that MLflow lacks, since a driver or a server was away when they ended."""
    logged = tracker.logged_steps(run_id, f"epoch_{EPOCH_METRICS[0]}")
    for metrics in history:
        if int(metrics["epoch"]) not in logged:
            _log_epoch(tracker, run_id, metrics)


def _finish(
    config: RunConfig,
    inputs: Inputs,
    best: ray.train.Checkpoint,
    latest: ray.train.Checkpoint,
    final: Path,
) -> CheckpointInfo:
    """Choose the threshold on valid, and put the finished checkpoint in place."""
    aside = final.with_name(f".checkpoint.{os.getpid()}")
    if aside.exists():
        shutil.rmtree(aside)
    best.to_directory(str(aside))
    info = read_info(aside)
    with latest.as_directory() as folder:
        info.history = read_info(folder).history
    scores = load_file(aside / VALID_SCORES)
    labels = scores["labels"].astype(np.uint8)
    probability = 1.0 / (1.0 + np.exp(-scores["logits"].astype(np.float64)))
    info.threshold = choose_threshold(labels, probability, config.evaluate.threshold_metric)
    info.metrics = binary_metrics(labels, probability, info.threshold)
    save_checkpoint_info(aside, info)
    (aside / STATE).unlink()
    (aside / VALID_SCORES).unlink()
    if inputs.backbone is not None:
        shutil.copytree(inputs.backbone, aside / BACKBONE)
    replace_folder(aside, final)
    return info


def _prefixed(metrics: dict[str, float]) -> dict[str, float]:
    return {f"best_valid_{name}": value for name, value in metrics.items()}


def _log_files(tracker: Tracker, run_id: str, final: Path, info: CheckpointInfo) -> None:
    figures = final.parent / "figures"
    figures.mkdir(exist_ok=True)
    save(loss_figure(info.history), figures / "loss.png")
    tracker.log_folder(run_id, final, "checkpoint")
    tracker.log_folder(run_id, figures, "figures")
