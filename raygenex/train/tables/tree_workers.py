"""Growing boosted trees on Ray Train's workers, each with its own genes."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import ray.train
from safetensors.numpy import save_file

from raygenex.config.load import parse_config
from raygenex.config.model import XgboostKmer
from raygenex.models import build_model
from raygenex.models.booster import import_xgboost
from raygenex.models.tabular import BoostedTrees
from raygenex.terminal.progress import progress
from raygenex.train.checkpoint import VALID_SCORES, CheckpointInfo, save_checkpoint
from raygenex.train.epoch_log import follow, open_epoch_log
from raygenex.train.ray_train import fit_until_done, how_many, keep_best, trainer_options, worker_settings
from raygenex.train.shard import ray_stream
from raygenex.train.steps import shard_sizes
from raygenex.train.tables.inprocess import score_table
from raygenex.train.tables.table import PIECE, make_table
from raygenex.train.tables.tree_grower import (
    TargetGrowers,
    TreeGrower,
    gather,
    open_grower,
    remove_state,
    xgboost_version,
)
from raygenex.train.training import TrackedTraining

logger = logging.getLogger(__name__)


def fit_trees(training: TrackedTraining, target: Path) -> None:
    """Grow the trees of a model on several workers, and make ``target`` of the best number of them."""
    import_xgboost()
    # Ray Train's module imports xgboost, an extra.
    from ray.train.xgboost import XGBoostTrainer

    config = training.config
    assert isinstance(config.model, XgboostKmer), config.model.kind
    log = open_epoch_log()
    trainer = XGBoostTrainer(
        grow_with_others,
        train_loop_config=worker_settings(training),
        **trainer_options(training, log, use_gpu=False),
    )
    logger.info(
        "training %s on %d genes with %s workers",
        config.model.kind,
        training.inputs.tables["train"].count,
        how_many(config),
    )
    with progress("trees", config.model.trees.trees) as advance, follow(log, training.tree_shower(advance)):
        result = fit_until_done(trainer)
    keep_best(training, result, target)
    remove_state(target)


def grow_with_others(settings: dict[str, Any]) -> None:
    """Grow trees on this worker's genes until the shared decision to stop, with a checkpoint every few trees.

    Parameters
    ----------
    settings
        ``config`` (resolved, plain values), ``info`` (a `CheckpointInfo` to complete, plain values) and ``counts``
        (genes of train and valid).
    """
    config = parse_config(settings["config"], "the run configuration")
    info = CheckpointInfo.model_validate(settings["info"])
    assert isinstance(config.model, XgboostKmer), config.model.kind
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    threads = max(1, int(config.train.cpus_per_worker))
    model = build_model(config.model, config.halflife, info.inputs.shape, info.outputs)
    assert isinstance(model, BoostedTrees), config.model.kind
    sizes = {split: shard_sizes(count, world_size) for split, count in settings["counts"].items()}
    tables = {}
    for split in sizes:
        parts = ray_stream(ray.train.get_dataset_shard(split))(PIECE, None)
        tables[split] = make_table(model, parts, sizes[split][rank])
    grower = open_grower(config.model.trees, tables, sizes, config.seed, threads, info.targets)
    _resume(grower)
    info.versions |= xgboost_version()
    while not grower.finished:
        metrics = grower.grow()
        if not grower.due:
            continue
        grower.keep(model.booster)
        scores = score_table(model, tables["valid"])
        scores = {name: gather(values, sizes["valid"]) for name, values in scores.items()}
        info.history, info.epoch = grower.history, grower.last_kept
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if rank == 0:
                save_checkpoint(folder, model, info)
                save_file(scores, Path(folder, VALID_SCORES))
                grower.save(Path(folder))
                checkpoint = ray.train.Checkpoint.from_directory(folder)
            # Every checkpoint holds the best trees so far, so the last is the best.
            number = int(metrics["epoch"])
            ray.train.report({**metrics, "score": number}, checkpoint, checkpoint_dir_name=f"trees_{number + 1:05d}")


def _resume(grower: TreeGrower | TargetGrowers) -> None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return
    with checkpoint.as_directory() as folder:
        grower.restore(Path(folder))
