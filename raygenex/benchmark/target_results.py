"""What the trainings of a comparison leave behind when they learn targets: scores of every target, by gene.

As for labels, several seeds of a model are shown by their mean and spread, and the mean prediction over the seeds, on
the scale that errors are measured on, stands for the model where one value per gene is needed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raygenex.benchmark.jobs import SeedTraining, job_metrics
from raygenex.benchmark.results import ModelResult
from raygenex.errors import DataError
from raygenex.stats.resamples import Floats
from raygenex.train.checkpoint import read_info
from raygenex.train.stopping import SCORE
from raygenex.train.targets import TargetInfo, joint_score


class Predicted(NamedTuple):
    """Genes that have a value of a target, in ascending order of their names, on the scale of its errors."""

    gene_ids: NDArray[np.str_]
    truth: Floats
    predicted: Floats
    """Shape ``(N,)`` each; of a binary target 0 or 1, and probabilities."""


@dataclass(frozen=True, eq=False)
class TargetSeed:
    """One training of all targets: what it scored and cost, or the sentence that says why it failed."""

    seed: int
    targets: tuple[TargetInfo, ...] = ()
    """What it learned, with its thresholds."""
    score: float = math.nan
    """What `raygenex.train.targets.joint_score` says of its metrics on valid."""
    valid: Mapping[str, float] = field(default_factory=dict)
    """Metrics on valid, as ``TARGET_METRIC``."""
    test: Mapping[str, float] = field(default_factory=dict)
    """The same on the split that the models are compared on."""
    predicted: Mapping[str, Predicted] = field(default_factory=dict)
    """Predictions of that split, by target."""
    seconds: float = math.nan
    peak_mb: float = math.nan
    epochs: tuple[float, ...] = ()
    """Score on valid after every epoch; empty for a model without epochs."""
    error: str | None = None
    """Why the training failed; everything but the seed is empty then."""


TargetModel = ModelResult[TargetSeed]


def read_target_seed(
    job: SeedTraining,
    split: str,
    outcome: Mapping[str, Any],
    measured: Mapping[str, NDArray[np.float32]],
    monitor: str | None,
) -> TargetSeed:
    """Read what a finished training left in its folder.

    Parameters
    ----------
    job
        The training.
    split
        The split that the models are compared on.
    outcome
        Its ``seconds`` and ``peak_mb``.
    measured
        By gene: the values of all targets in their units, shape ``(T,)``, NaN where there is none.
    monitor
        What chooses among the trainings, as ``train.monitor`` of the comparison.
    """
    info = read_info(Path(job.config.checkpoint))
    table = pq.read_table(Path(job.config.folder, "evaluation", split, "predictions.parquet"))
    genes = np.array(table["gene_id"].to_pylist(), dtype=np.str_)
    order = np.argsort(genes)
    values = np.stack([measured[gene] for gene in genes[order].tolist()])
    predicted = {}
    for place, target in enumerate(info.targets):
        binary = target.kind == "binary"
        column = table[f"{target.name}_probability" if binary else target.name].to_numpy()[order]
        known = ~np.isnan(values[:, place])
        predicted[target.name] = Predicted(
            genes[order][known], target.transformed(values[known, place]), target.transformed(column[known])
        )
    valid = job_metrics(job, "valid")
    return TargetSeed(
        seed=job.seed,
        targets=tuple(info.targets),
        score=joint_score(info.targets, valid, monitor),
        valid=valid,
        test=job_metrics(job, split),
        predicted=predicted,
        seconds=math.nan if outcome["seconds"] is None else outcome["seconds"],
        peak_mb=outcome["peak_mb"],
        epochs=tuple(entry[SCORE] for entry in info.history),
    )


def mean_predictions(models: Sequence[TargetModel], target: str) -> tuple[Predicted, dict[str, Floats]]:
    """Average the predictions of a target over the finished seeds of every model, one of which has finished.

    Returns
    -------
    The genes with their measured values (predictions are those of the first training), and the mean prediction of each
    model, shape ``(N,)``.

    Raises
    ------
    DataError
        If two trainings scored other genes.
    """
    first = next(seed for model in models for seed in model.finished).predicted[target]
    means: dict[str, Floats] = {}
    for model in models:
        found = [seed.predicted[target] for seed in model.finished]
        for one in found:
            if not np.array_equal(one.gene_ids, first.gene_ids):
                raise DataError(
                    f"{model.name} scored {one.gene_ids.size} genes that have {target}, and another model "
                    f"{first.gene_ids.size}: evaluate both on the same split, then compare them"
                )
        if found:
            means[model.name] = np.mean([one.predicted for one in found], axis=0)
    return first, means
