"""Fitting a model on a table of features in this process, without Ray."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from raygenex.cluster.torch_process import threads
from raygenex.config.model import Logistic, TreesConfig, XgboostKmer
from raygenex.models.autoencoder import AutoencoderTrees
from raygenex.models.booster import Booster, Boosters
from raygenex.models.tabular import BoostedTrees, LogisticRegression, TabularModel
from raygenex.terminal.progress import progress
from raygenex.train.checkpoint import VALID_SCORES, CheckpointInfo, new_model, save_checkpoint
from raygenex.train.tables.regression import MAX_ITERATIONS, fit_regression
from raygenex.train.tables.table import FeatureTable, make_table, read_parts
from raygenex.train.tables.tree_grower import grow_in_process, xgboost_version
from raygenex.train.training import TrackedTraining, describe

logger = logging.getLogger(__name__)


def fit_in_process(training: TrackedTraining, target: Path) -> None:
    """Make the tables of train and valid, fit the model, and make ``target`` of it."""
    config, rows = training.config, training.inputs.tables
    model = new_model(config, training.new_info())
    assert isinstance(model, TabularModel), "other models are fitted by workers"
    with progress("genes to features", sum(table.count for table in rows.values())) as advance:
        tables = {name: make_table(model, read_parts(table), table.count, advance) for name, table in rows.items()}
    genes = len(tables["train"].label)
    logger.info("fitting %s to %d features of %d genes", config.model.kind, model.width, genes)
    info = training.new_info()
    with threads(max(1, int(config.train.cpus_per_worker))):
        if isinstance(model, BoostedTrees):
            assert isinstance(config.model, XgboostKmer), config.model.kind
            grow_trees(training, config.model.trees, model.booster, tables, info)
        else:
            assert isinstance(model, LogisticRegression), config.model.kind
            _regress(training, model, tables, info)
        target.mkdir(exist_ok=True)
        save_checkpoint(target, model, info)
        save_file(score_table(model, tables["valid"]), target / VALID_SCORES)


def score_table(model: TabularModel | AutoencoderTrees, table: FeatureTable) -> dict[str, NDArray[np.float32]]:
    """Return ``logits`` and ``labels`` of a table's genes, float32: ``(genes,)`` each, or ``(genes, T)`` of targets."""
    with torch.inference_mode():
        logits = model.logits(torch.from_numpy(table.features))
    return {"logits": logits.numpy(), "labels": table.label}


def grow_trees(
    training: TrackedTraining,
    config: TreesConfig,
    booster: Booster | Boosters,
    tables: dict[str, FeatureTable],
    info: CheckpointInfo,
) -> None:
    """Grow trees on the table of train, give ``booster`` the best number of them, and complete ``info``."""
    with progress("trees", config.trees) as advance:
        show = training.tree_shower(advance)
        grower = grow_in_process(config, tables, training.config.seed, info.targets, show)
    grower.keep(booster)
    info.history, info.epoch = grower.history, grower.last_kept
    info.versions |= xgboost_version()


def _regress(
    training: TrackedTraining, model: LogisticRegression, tables: dict[str, FeatureTable], info: CheckpointInfo
) -> None:
    assert isinstance(training.config.model, Logistic), training.config.model.kind
    with progress("iterations", MAX_ITERATIONS * model.outputs) as advance:
        info.history = fit_regression(
            model,
            tables["train"],
            tables["valid"],
            training.config.model.l2,
            info.targets,
            lambda metrics: advance(1, f"training loss {metrics['train_loss']:.5f}"),
        )
    info.epoch = len(info.history) - 1
    last = info.history[-1]
    logger.info("%d iterations: %s", len(info.history), describe(last))
