"""Figures of a training run and of its predictions, each a self-contained matplotlib `Figure`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from raygenex.drawing.style import BLUE, DPI, GREY, ORANGE, frame_unit_square, label_axes, wrapped
from raygenex.stats import metrics
from raygenex.stats.resamples import Interval

_CLASSES = ("low", "high")


def loss_figure(history: Sequence[Mapping[str, float]], monitor: str = "valid_auroc") -> Figure:
    """Draw the losses and the validation AUROC by epoch, and mark the epoch with the best AUROC.

    Each entry of ``history`` has ``epoch``, ``train_loss``, ``valid_loss`` (cross-entropy, nats per gene) and
    ``monitor``: the AUROC, or the score of a training of targets, whose losses have no unit.
    """
    assert history, "no epoch to draw"
    is_label = monitor == "valid_auroc"
    epoch, train, valid, auroc = (
        [row[key] for row in history] for key in ("epoch", "train_loss", "valid_loss", monitor)
    )
    figure = Figure(figsize=(4.2, 4.6), dpi=DPI, layout="constrained")
    losses, scores = figure.subplots(2, 1, sharex=True)
    # A single epoch is a point, which a line alone would not show.
    marker = "o" if len(history) == 1 else None
    losses.plot(epoch, train, color=GREY, linestyle="--", marker=marker, label="training")
    losses.plot(epoch, valid, color=BLUE, marker=marker, label="validation")
    scores.plot(epoch, auroc, color=BLUE, marker=marker)
    if not all(map(math.isnan, auroc)):
        best = int(np.nanargmax(auroc))
        for axes in (losses, scores):
            axes.axvline(epoch[best], color=ORANGE, linewidth=0.8, linestyle=":")
        label = f"best: {auroc[best]:.3f} (epoch {epoch[best]:g})"
        scores.plot(epoch[best], auroc[best], "o", color=ORANGE, markersize=5, label=label)
        _legend(scores, "lower right")
    scores.set_xlim(epoch[0] - 0.5, epoch[-1] + 0.5)
    scores.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    label_axes(losses, "", "Loss (nats per gene)" if is_label else "Loss")
    label_axes(scores, "Epoch", "Validation AUROC" if is_label else "Validation score")
    _legend(losses, "upper right")
    figure.align_ylabels()
    return figure


def roc_figure(
    labels: ArrayLike, probability: ArrayLike, interval: Interval | None = None, confidence: float = 0.95
) -> Figure:
    """Draw the ROC curve, its area in the legend, with the chance diagonal.

    ``interval`` is the AUROC's, at ``confidence``, for the legend.

    Raises DataError when a class is absent.
    """
    curve = metrics.roc_curve(labels, probability)
    figure, axes = _unit_square()
    area = _with_interval("AUROC", metrics.auroc(labels, probability), interval, confidence)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="chance (0.500)")
    axes.plot(curve.fpr, curve.tpr, color=BLUE, linewidth=1.5, label=area)
    label_axes(axes, "False positive rate", "True positive rate")
    _legend(axes, "lower right", reverse=True)
    return figure


def precision_recall_figure(
    labels: ArrayLike, probability: ArrayLike, interval: Interval | None = None, confidence: float = 0.95
) -> Figure:
    """Draw the precision-recall curve in steps, its area in the legend, with the prevalence of high genes.

    ``interval`` is the average precision's, at ``confidence``, for the legend.

    Raises DataError when a class is absent.
    """
    curve = metrics.precision_recall_curve(labels, probability)
    prevalence = float(np.asarray(labels).mean())
    figure, axes = _unit_square()
    area = _with_interval("AUPRC", metrics.auprc(labels, probability), interval, confidence)
    chance = f"prevalence ({prevalence:.3f})"
    axes.plot([0, 1], [prevalence] * 2, color=GREY, linewidth=1, linestyle="--", label=chance)
    axes.plot(curve.recall, curve.precision, color=BLUE, linewidth=1.5, drawstyle="steps-pre", label=area)
    label_axes(axes, "Recall", "Precision")
    _legend(axes, "lower left", reverse=True)
    return figure


def calibration_figure(labels: ArrayLike, probability: ArrayLike, bins: int = 10, confidence: float = 0.95) -> Figure:
    """Draw the observed fraction of high genes against the mean probability of ``bins`` equally filled bins.

    Bars are Wilson intervals at ``confidence``; the diagonal is perfect calibration.
    """
    curve = metrics.calibration_curve(labels, probability, bins, confidence)
    error = metrics.calibration_error(labels, probability, bins)
    figure, axes = _unit_square()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect calibration")
    # At 0 or 1 rounding may put the end of an interval a hair inside the point.
    bars = np.maximum([curve.observed - curve.low, curve.high - curve.observed], 0.0)
    label = f"genes in {curve.genes.size} bins, {confidence * 100:g} % interval\nexpected calibration error {error:.3f}"
    axes.plot(curve.predicted, curve.observed, "o-", color=BLUE, markersize=4, linewidth=1, label=label)
    axes.errorbar(curve.predicted, curve.observed, yerr=bars, fmt="none", ecolor=BLUE, elinewidth=1, capsize=2)
    label_axes(axes, "Mean predicted probability", "Observed fraction of high genes")
    _legend(axes, "upper left", reverse=True)
    return figure


def confusion_figure(labels: ArrayLike, probability: ArrayLike, threshold: float) -> Figure:
    """Draw the confusion matrix at a threshold: counts, and percentages of the genes of each observed class."""
    counts = metrics.confusion(labels, np.asarray(probability, dtype=np.float64) >= threshold)
    # The row of a class without genes is 0 of 0, shown as 0 %.
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _square()
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), fraction in np.ndenumerate(share):
        text = f"{counts[row, column]:,}\n{fraction * 100:.1f} % of {_CLASSES[row]}"
        color = "white" if fraction > 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=12)
    axes.set_xticks([0, 1], _CLASSES)
    axes.set_yticks([0, 1], _CLASSES, rotation=90, va="center")
    label_axes(axes, f"Predicted expression (high: probability ≥ {threshold:.3g})", "Observed expression")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def quantity_figure(
    truth: ArrayLike, predicted: ArrayLike, name: str, interval: Interval, confidence: float = 0.95
) -> Figure:
    """Draw predicted against measured values, both ``(N,)``, and where they would be equal.

    ``name`` is what was measured and its unit; ``interval`` is Pearson's r, at ``confidence``, for the legend.
    """
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    figure, axes = _square()
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="predicted as measured")
    label = _with_interval("Pearson r", interval.value, interval, confidence) + f"\n{x.size:,} genes"
    # Thousands of points stay a small file, and a crowd shows as a darker place.
    axes.plot(x, y, ".", color=BLUE, markersize=3, alpha=min(1.0, 200 / x.size + 0.05), rasterized=True, label=label)
    x_name, y_name = wrapped(axes, f"Measured {name}", points=10), wrapped(axes, f"Predicted {name}", True, 10)
    label_axes(axes, x_name, y_name)
    _legend(axes, "upper left")
    return figure


def _square() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.0, 4.0), dpi=DPI, layout="constrained")
    return figure, figure.subplots()


def _unit_square() -> tuple[Figure, Axes]:
    figure, axes = _square()
    frame_unit_square(axes)
    return figure, axes


def _legend(axes: Axes, location: str, **options: Any) -> None:
    # A pale ground keeps the text legible where a curve passes behind it.
    axes.legend(loc=location, fontsize=8, edgecolor="none", framealpha=0.8, **options)


def _with_interval(name: str, value: float, interval: Interval | None, confidence: float) -> str:
    if interval is None:
        return f"{name} {value:.3f}"
    return f"{name} {value:.3f} ({confidence * 100:g} % interval {interval.low:.3f} to {interval.high:.3f})"
