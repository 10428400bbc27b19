"""How well a model of targets does on genes that were measured."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.config.run import RunConfig
from raygenex.config.targets import TargetConfig
from raygenex.config.train import EvaluateConfig
from raygenex.data.hdf5.schema import Target
from raygenex.data.opening import SplitData
from raygenex.data.targets import read_target_values
from raygenex.errors import DataError
from raygenex.stats.compare import delong, paired_bootstrap
from raygenex.stats.quantities import paired_quantity_bootstrap, specificity, steiger
from raygenex.stats.resamples import Comparison, Floats, Interval
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.targets import TargetInfo, outputs_of, target_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Scored(NamedTuple):
    """Scores of a split, measured: what goes into ``metrics.json``, the table of predictions, and the figures."""

    numbers: dict[str, Any]
    columns: dict[str, NDArray[Any]]
    figures: "Callable[[], dict[str, Figure]]"


def measured_values(
    configs: tuple[TargetConfig, ...], learned: Sequence[TargetInfo], data: SplitData, may_lack: bool = False
) -> NDArray[np.float32]:
    """Return what was measured of targets in a split, in their units, shape ``(N, T)``, NaN where nothing was.

    Parameters
    ----------
    configs, learned
        Where the values are, and what a model learned of the same targets, in the same order.
    data
        The genes.
    may_lack
        Whether nothing of a target may be measured.

    Raises
    ------
    DataError
        If values cannot be read, are of another kind or unit than those that the model learned, or lie where its
        transform is not defined.
    """
    found = read_target_values(configs, {data.name: data}, may_lack)
    for place, (known, target) in enumerate(zip(learned, found.targets, strict=True)):
        if (known.kind, known.unit) != (target.kind, target.unit):
            raise DataError(
                f"{target.name} is {target.scale} in data.{data.name}, and the model learned it as "
                f"{Target(known.name, known.kind, known.unit).scale}: use data that were made in one way"
            )
        column = found.values[data.name][:, place]
        with np.errstate(divide="ignore", invalid="ignore"):
            lost = ~np.isnan(column) & ~np.isfinite(known.transformed(column))
        if lost.any():
            row = int(np.flatnonzero(lost)[0])
            raise DataError(
                f"{target.name} of gene {data.gene_id[row]} in data.{data.name} is {column[row]:g}, which the model's "
                f"transform {known.transform} does not know: correct the value, or leave it empty"
            )
    return found.values[data.name]


def targets_scored(
    config: RunConfig, split: str, info: CheckpointInfo, outputs: NDArray[Any], values: NDArray[np.float32]
) -> Scored:
    """Measure the outputs of a model of targets.

    Parameters
    ----------
    config
        Its section ``evaluate`` and its seed.
    split
        For errors.
    info
        The model.
    outputs
        Shape ``(N, K)``.
    values
        What was measured, in the units of the targets, shape ``(N, T)``, NaN where nothing was.

    Raises
    ------
    DataError
        If the measured or the predicted values of a target do not differ.
    """
    options = config.evaluate
    metrics: dict[str, Interval] = {}
    measured: dict[str, int] = {}
    drawn: list[Callable[[], tuple[str, Figure]]] = []
    outputs = outputs.reshape(len(values), -1)
    for column, (target, place) in enumerate(zip(info.targets, outputs_of(info.targets), strict=True)):
        known = ~np.isnan(values[:, column])
        truth, predicted = target.transformed(values[known, column]), target.predicted(outputs[known, place])
        try:
            found = target.intervals(truth, predicted, options.bootstrap, options.confidence, config.seed)
        except DataError as error:
            raise DataError(f"{target.name} in data.{split}: {error}") from None
        metrics |= {f"{target.name}_{name}": interval for name, interval in found.items()}
        measured[target.name] = truth.size
        drawn.append(partial(_named_figure, target, truth, predicted, found, options.confidence))
    numbers: dict[str, Any] = {
        "confidence": options.confidence,
        "metrics": {name: interval._asdict() for name, interval in metrics.items()},
        "measured": measured,
    }
    if (told := _specificity(info.targets, outputs, values)) is not None:
        numbers["specificity"] = told
    return Scored(numbers, target_columns(info.targets, outputs), lambda: dict(draw() for draw in drawn))


def main_difference(target: TargetInfo, truth: Floats, a: Floats, b: Floats, confidence: float) -> Comparison:
    """Return the main metric of one model minus that of another: AUROCs by DeLong's test, Pearson's r by Steiger's.

    ``truth``, ``a`` and ``b`` are ``(N,)`` on the scale of `TargetInfo.transformed`, without NaN.

    Raises
    ------
    DataError
        If there are too few genes, or their values do not differ.
    """
    test = delong if target.kind == "binary" else steiger
    return _named(target, lambda: test(truth, a, b, confidence))


def resampled_difference(
    target: TargetInfo,
    truth: Floats,
    pair: tuple[Floats, Floats],
    metric: str,
    options: EvaluateConfig,
    seed: int,
    thresholds: tuple[float, float] = (0.5, 0.5),
) -> Comparison:
    """Return any metric of one model minus that of another by the paired bootstrap; raises as `main_difference`.

    ``thresholds`` are those of both models for a binary target.
    """
    (a, b), resamples, confidence = pair, options.bootstrap, options.confidence
    if target.kind == "binary":
        return _named(target, lambda: paired_bootstrap(truth, a, b, metric, resamples, confidence, seed, thresholds))
    return _named(target, lambda: paired_quantity_bootstrap(truth, a, b, metric, resamples, confidence, seed))


def _named(target: TargetInfo, compare: Callable[[], Comparison]) -> Comparison:
    try:
        return compare()
    except DataError as error:
        raise DataError(f"{target.name}: {error}") from None


def _specificity(targets: list[TargetInfo], outputs: NDArray[Any], values: NDArray[np.float32]) -> float | None:
    """Return how well the continuous targets of one unit are told apart, if there are three or more of them."""
    scales = [(target.unit, target.transform) for target in targets if target.kind == "continuous" and target.unit]
    scale = max(scales, key=scales.count, default=None)
    alike = [
        column
        for column, target in enumerate(targets)
        if target.kind == "continuous" and (target.unit, target.transform) == scale
    ]
    if len(alike) < 3:
        return None
    places = outputs_of(targets)
    truth = np.stack([targets[column].transformed(values[:, column]) for column in alike], axis=1)
    predicted = np.stack([targets[column].predicted(outputs[:, places[column]]) for column in alike], axis=1)
    return specificity(truth, predicted)


def target_figure(
    target: TargetInfo,
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    intervals: Mapping[str, Interval],
    confidence: float,
) -> "Figure":
    """Draw predicted against measured values ``(N,)``, both as `TargetInfo.measure` takes them, or the ROC curve.

    ``intervals`` has that of the target's main metric, at ``confidence``.
    """
    from raygenex.drawing import figures

    interval = intervals[target.main_metric]
    if target.kind == "binary":
        return figures.roc_figure(truth, predicted, interval, confidence)
    return figures.quantity_figure(truth, predicted, target.title, interval, confidence)


def _named_figure(target: TargetInfo, *drawn: Any) -> "tuple[str, Figure]":
    name = f"{target.name}_{'roc' if target.kind == 'binary' else 'predicted'}"
    return name, target_figure(target, *drawn)
