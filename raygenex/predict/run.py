"""Scoring genes with a checkpoint: in one process, or through Ray Data on a cluster."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raygenex.config.run import RunConfig
from raygenex.data.rows import PromoterRows
from raygenex.errors import ConfigError
from raygenex.files.locate import check_new_file, locate, short_path, written_path
from raygenex.predict.inputs import open_genes
from raygenex.predict.predictor import Predictor
from raygenex.predict.scoring import iter_scores
from raygenex.predict.table import SUFFIXES, open_predictions, prediction_types
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.targets import target_columns


@dataclass(frozen=True)
class PredictResult:
    """Where the predictions are, how many genes, and how many of them are called high."""

    output: str
    genes: int
    high: int | None
    """None of a model of targets."""
    threshold: float | None
    columns: tuple[str, ...]
    """What is predicted, as the columns of the table name it."""

    def text(self) -> str:
        """Say where the predictions are."""
        told = f"predictions: {self.genes} genes in {short_path(self.output)}"
        if self.threshold is None:
            return f"{told}, columns {', '.join(self.columns)}"
        return f"{told}, {self.high} high (probability >= {self.threshold:.4f})"


def predict(
    config: RunConfig, inputs: list[str], checkpoint: str, output: str, force: bool = False, strict: bool = False
) -> PredictResult:
    """Score the genes of HDF5 files with a checkpoint and write ``gene_id``, ``probability`` and ``prediction``.

    A model of targets has the columns of `raygenex.train.targets.target_columns`.

    Parameters
    ----------
    config
        Gives ``data.window``, ``data.features``, the ``predict`` section and the cluster.
    inputs
        HDF5 paths, globs or URLs; labels are not needed and not read.
    checkpoint
        Folder of a trained model.
    output
        A ``.parquet`` or ``.csv`` file.
    force
        Whether an existing output may be replaced.
    strict
        Whether features far outside those of training are refused and not only warned of, as with ``predict.strict``.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the output, the data or the checkpoint cannot be used; nothing is written then.
    """
    target = written_path(output, "--output")
    rows, info = open_prediction(config, inputs, checkpoint, target, force, strict)
    high = 0
    types = prediction_types(info)
    # Scores go to the file as they come: only what is in flight is in memory.
    with open_predictions(target, types) as add:
        for scored in iter_scores(rows, str(Path(checkpoint).absolute()), config, "prediction"):
            if info.targets:
                add(scored["gene_id"], target_columns(info.targets, scored["outputs"]))
                continue
            calls = scored["probability"] >= info.threshold
            add(scored["gene_id"], {"probability": scored["probability"], "prediction": calls.astype(np.int8)})
            high += int(calls.sum())
    return PredictResult(str(target), rows.count, None if info.targets else high, info.threshold, tuple(types))


def open_prediction(
    config: RunConfig, inputs: list[str], checkpoint: str, target: Path, force: bool, strict: bool
) -> tuple[PromoterRows, CheckpointInfo]:
    """Check everything that `predict` needs; return the genes to score and the model's description."""
    output = str(target)
    if target.suffix not in SUFFIXES:
        raise ConfigError(f"output {output} must end in {' or '.join(SUFFIXES)}")
    check_new_file(target, f"output {output}", force)
    # Loaded here as well, so that what is wrong with it is said before a cluster is started.
    info = Predictor.check(checkpoint)
    rows = open_genes(locate(inputs, "the input"), info, config.data, strict or config.predict.strict)
    with tempfile.TemporaryFile(dir=target.absolute().parent):
        pass
    return rows, info


def plan_predict(
    config: RunConfig, inputs: list[str], checkpoint: str, output: str, force: bool, strict: bool = False
) -> str:
    """Say how many genes would be scored."""
    rows, _ = open_prediction(config, inputs, checkpoint, written_path(output, "--output"), force, strict)
    return f"predict: {rows.count} genes into {output}"
