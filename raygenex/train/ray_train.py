"""Ray Train: how workers are asked for, watched and waited for."""

import math
import signal
import threading
from pathlib import Path
from typing import Any

import ray.train
from ray.train.data_parallel_trainer import DataParallelTrainer

from raygenex.cluster.connect import START_S
from raygenex.config.run import RunConfig
from raygenex.data.source import RowShards, rows_dataset
from raygenex.errors import ClusterError, RaygenexError
from raygenex.train.checkpoint import read_info, save_checkpoint_info
from raygenex.train.epoch_log import ReportToLog
from raygenex.train.training import TrackedTraining, Training

# Ray retries workers that cannot be placed; after this many tries the preflight's promise is broken, and we say so.
CONTROLLER_FAILURES = 3


def trainer_options(training: Training, log: Any, use_gpu: bool) -> dict[str, Any]:
    """Return what every kind of Ray Train's trainers takes: its workers, its folder and its genes."""
    config, tables = training.config, training.inputs.tables
    return {
        "scaling_config": scaling(config, use_gpu),
        "run_config": ray_run_config(training, log),
        "datasets": {name: rows_dataset(rows) for name, rows in tables.items()},
        "dataset_config": RowShards(tables, config.train.cpus_per_worker),
    }


def worker_settings(training: Training) -> dict[str, Any]:
    """Return what every kind of worker is told, as plain values, and the tables that it reads."""
    return {
        "config": training.config.dump(),
        "info": training.new_info().model_dump(mode="json"),
        "counts": {name: rows.count for name, rows in training.inputs.tables.items()},
        "tables": training.inputs.tables,
        "row_bytes": training.inputs.tables["train"].row_bytes,
        "folder": str(training.folder),
    }


def scaling(config: RunConfig, use_gpu: bool) -> ray.train.ScalingConfig:
    """Return how many workers Ray Train starts, or from how many to how many, and what each reserves."""
    options = config.train
    return ray.train.ScalingConfig(
        num_workers=options.workers if options.min_workers is None else (options.min_workers, options.workers),
        use_gpu=use_gpu,
        resources_per_worker={"CPU": options.cpus_per_worker} | ({"GPU": 1} if use_gpu else {}),
    )


def how_many(config: RunConfig) -> str:
    """Return the number of workers as text, ``2 to 4`` where it may change."""
    options = config.train
    return str(options.workers) if options.min_workers is None else f"{options.min_workers} to {options.workers}"


def ray_run_config(training: Training, log: Any) -> ray.train.RunConfig:
    """Return where Ray Train keeps checkpoints, which it keeps, and whom it tells of epochs."""
    options = training.config.train
    return ray.train.RunConfig(
        name="ray_train",
        storage_path=str(training.folder),
        failure_config=ray.train.FailureConfig(
            max_failures=options.max_failures, controller_failure_limit=_starts_in_vain(training.config)
        ),
        checkpoint_config=ray.train.CheckpointConfig(
            num_to_keep=options.keep_checkpoints, checkpoint_score_attribute="score"
        ),
        callbacks=[ReportToLog(log)],
    )


def _starts_in_vain(config: RunConfig) -> int:
    """Return how often workers may find no room before the training ends."""
    # An autoscaler gets its time again, and a lost node may cost an elastic training a start that counted on it.
    growing = math.ceil(config.cluster.wait_s / START_S)
    return CONTROLLER_FAILURES + growing + (config.train.max_failures if config.train.min_workers else 0)


def fit_until_done(trainer: DataParallelTrainer) -> ray.train.Result:
    """Run the trainer; an interrupt raises KeyboardInterrupt, where Ray Train's handler would end the process.

    Raises
    ------
    ClusterError
        If a node was lost and what is left has no room for the workers.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        return trainer.fit()
    except SystemExit:
        raise KeyboardInterrupt from None
    except ray.train.ControllerError as error:
        if not type(error.controller_failure).__name__.startswith("WorkerGroupStartup"):
            raise
        raise ClusterError(
            "the cluster has no room any more for all workers: add nodes and run the same command again, which goes on "
            "from the last epoch, or let train.min_workers go on with fewer"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def refuse_without_checkpoint(training: Training, result: ray.train.Result) -> None:
    """Raise a RaygenexError if a training that ended has kept no checkpoint."""
    if not result.best_checkpoints:
        folder = training.folder / "ray_train"
        raise RaygenexError(f"training ended without a checkpoint; remove {folder} and train again")


def keep_best(training: TrackedTraining, result: ray.train.Result, target: Path) -> None:
    """Copy the best checkpoint to ``target``, with the history of all epochs, which the latest knows."""
    refuse_without_checkpoint(training, result)
    best = max(result.best_checkpoints, key=lambda pair: pair[1]["score"])[0]
    best.to_directory(str(target))
    info = read_info(target)
    with result.checkpoint.as_directory() as folder:
        info.history = read_info(folder).history
    save_checkpoint_info(target, info)
