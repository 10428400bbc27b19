"""What a report says of a model of targets: its metrics, its figures, and simple models of the same quantities."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.files.fingerprint import array_sha256
from raygenex.predict.target_scores import main_difference
from raygenex.report.baseline import features_of, regress
from raygenex.report.dataset import DataFacts, LabelledGenes
from raygenex.report.evaluation import read_splits
from raygenex.stats import metrics, quantities
from raygenex.stats.resamples import Comparison, Interval
from raygenex.train.targets import TargetInfo

TITLES = metrics.TITLES | quantities.TITLES
"""The metrics of all kinds of targets, as tables name them."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TargetScores:
    """What was measured of one target in a split, and what was predicted for the same genes."""

    gene_id: NDArray[np.object_]
    """Shape ``(n,)``."""
    truth: Floats
    """On the scale of `TargetInfo.transformed`, shape ``(n,)``."""
    predicted: Floats
    """On the same scale; the probability of a binary target."""


@dataclass(frozen=True)
class MeasuredTargets:
    """The numbers of one split."""

    split: str
    genes: int
    confidence: float
    resamples: int
    metrics: dict[str, dict[str, Interval]]
    """By target and metric."""
    measured: dict[str, int]
    """Genes that have a value, by target."""
    specificity: float | None
    checkpoint_sha256: str
    fingerprints: tuple[str, ...]
    values_sha256: str
    scores: dict[str, TargetScores]
    """By target; empty if the values are not to be had."""
    missing: str = ""
    """Why, a sentence without its full stop."""


@dataclass(frozen=True)
class TargetBaseline:
    """A regression of one target on a few numbers per gene, fitted to train and measured on the genes of a split."""

    target: str
    reads: str
    """What it reads, in words."""
    metric: str
    """AUROC of a binary target, Pearson's r of another one."""
    value: float
    lead: Comparison
    """The metric of the trained model minus this one's, by DeLong's or by Steiger's test."""


def read_measured_targets(
    folder: Path, checkpoint_sha256: str, targets: list[TargetInfo], data: DataFacts
) -> tuple[dict[str, MeasuredTargets], list[str]]:
    """Read what was measured of the targets of a checkpoint: see `raygenex.report.evaluation.read_splits`."""
    return read_splits(
        folder,
        checkpoint_sha256,
        lambda values: _measured(values, targets),
        lambda measured, path, again: _with_scores(measured, path, targets, data, again),
    )


def _measured(values: dict[str, Any], targets: list[TargetInfo]) -> MeasuredTargets:
    key, numbers = values["key"], values["metrics"]
    return MeasuredTargets(
        split=str(values["split"]),
        genes=int(values["genes"]),
        confidence=float(values["confidence"]),
        resamples=int(key["evaluate"]["bootstrap"]),
        metrics={
            target.name: {
                name: Interval(**{end: float(x) for end, x in numbers[f"{target.name}_{name}"].items()})
                for name in (metrics.METRICS if target.kind == "binary" else quantities.METRICS)
            }
            for target in targets
        },
        measured={target.name: int(values["measured"][target.name]) for target in targets},
        specificity=None if values.get("specificity") is None else float(values["specificity"]),
        checkpoint_sha256=str(key["checkpoint_sha256"]),
        fingerprints=tuple(map(str, key["fingerprints"])),
        values_sha256=str(key["values"]),
        scores={},
    )


def _with_scores(
    measured: MeasuredTargets, path: Path, targets: list[TargetInfo], data: DataFacts, again: str
) -> MeasuredTargets:
    """Add the predictions, where the values that belong to them are here."""
    truth = data.truth.get(measured.split)
    reason = ""
    if truth is None or truth.values is None:
        reason = data.missing or f"data.{measured.split} is not set in this configuration"
    elif truth.fingerprints != measured.fingerprints:
        reason = f"the files of {measured.split} are not those that were measured"
    elif array_sha256(truth.values) != measured.values_sha256:
        reason = f"the values of the targets in {measured.split} are not those that were measured"
    elif not path.exists():
        reason = f"{path.name} is not in the folder"
    if truth is None or truth.values is None or reason:
        return replace(measured, missing=reason)
    row_of = {gene: row for row, gene in enumerate(truth.gene_id.tolist())}
    gene_id, columns = _predictions(path, targets, again)
    try:
        rows = np.array([row_of[gene] for gene in gene_id])
    except KeyError as error:
        raise DataError(f"{path} has gene {error}, which {measured.split} has not: run `{again}`") from None
    scores = {}
    for place, target in enumerate(targets):
        values = truth.values[rows, place]
        known = ~np.isnan(values)
        predicted = columns[target.name][known]
        scale = predicted if target.kind == "binary" else target.transformed(predicted)
        scores[target.name] = TargetScores(truth.gene_id[rows][known], target.transformed(values[known]), scale)
    return replace(measured, scores=scores)


def _predictions(path: Path, targets: list[TargetInfo], again: str) -> tuple[list[str], dict[str, Floats]]:
    """Return the genes of a table of predictions, and by target its values, or probabilities."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {
        target.name: f"{target.name}_probability" if target.kind == "binary" else target.name for target in targets
    }
    try:
        table = pq.read_table(path, columns=["gene_id", *names.values()])
    except (pa.ArrowException, OSError):
        raise DataError(f"{path} is damaged: make it again with `{again}`") from None
    columns = {target: table[name].to_numpy().astype(np.float64) for target, name in names.items()}
    return table["gene_id"].to_pylist(), columns


def measure_target_baselines(
    targets: list[TargetInfo], train: LabelledGenes, split: LabelledGenes, measured: MeasuredTargets
) -> tuple[TargetBaseline, ...]:
    """Compare the predictions of a model with regressions of the same targets on features of the same genes.

    Quantities have ridge regressions on the scale of `TargetInfo.transformed`, binary targets logistic ones, each on
    the genes that have a value.

    Parameters
    ----------
    targets
        Those of the model.
    train, split
        What the regressions are fitted to and measured on.
    measured
        Predictions for genes of ``split``.

    Returns
    -------
    For each target one on the half-life features; where there are promoters, one on GC content and CpG ratio, and one
    on both. None of a target with too few genes, or with one value.
    """
    assert train.values is not None, "of a run of targets"
    row_of = {gene: row for row, gene in enumerate(split.gene_id.tolist())}
    found = []
    for place, target in enumerate(targets):
        scores = measured.scores[target.name]
        values = target.transformed(train.values[:, place])
        known = np.isfinite(values)
        rows = [row_of[gene] for gene in scores.gene_id.tolist()]
        for reads, (fitted, others) in features_of(train, split).items():
            told = regress(fitted[known], values[known], others[rows], is_class=target.kind == "binary")
            if told is None:
                continue
            try:
                lead, value = _lead(target, scores, told, measured.confidence)
            except DataError:
                # Too few genes, or values that do not differ: nothing can be compared.
                continue
            found.append(TargetBaseline(target.name, reads, TITLES[target.main_metric], value, lead))
    return tuple(found)


def _lead(target: TargetInfo, scores: TargetScores, told: Floats, confidence: float) -> tuple[Comparison, float]:
    lead = main_difference(target, scores.truth, scores.predicted, told, confidence)
    if target.kind == "binary":
        return lead, metrics.auroc(scores.truth, told)
    return lead, quantities.quantity_metrics(scores.truth, told)["pearson"]
