"""Figures of a comparison of models: each a self-contained matplotlib `Figure`.

A model keeps its colour and line style in all curves, by its place among the results. Colours are those of Okabe &
Ito (2008) without their yellow, too pale for a line, and the wine of Tol's muted set; line styles tell models apart
in grey as well.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from raygenex.benchmark.results import ModelResult, S, SeedResult, mean_scores
from raygenex.benchmark.tables import BenchmarkTable
from raygenex.drawing.style import BLUE, DPI, GREY, ORANGE, frame_unit_square, label_axes
from raygenex.stats import metrics
from raygenex.stats.compare import seed_summary
from raygenex.stats.resamples import Floats, Interval

_COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
# Three styles and eight colours make 24 pairs before the first comes again.
_LINES = ("-", "--", "-.")
# What the entries of a history are, where they are not epochs.
_UNITS = {"xgboost_kmer": "Tree", "autoencoder_xgboost": "Tree", "logistic": "Iteration"}


def roc_curves(results: Sequence[ModelResult[SeedResult]], split: str = "test") -> Figure:
    """Draw the ROC curve of every model's mean probability over its seeds on a split, with the chance diagonal.

    The legend gives the mean and standard deviation of the AUROC over the seeds, highest first.

    Raises
    ------
    DataError
        If a class is absent, or the trainings scored different genes.
    """
    figure, axes, _ = _curves(results, split, "auroc", metrics.roc_curve)
    _level(axes, [0, 1], "chance  0.500")
    label_axes(axes, "False positive rate", "True positive rate")
    _legend(figure, [axes], "AUROC of the seeds")
    return figure


def precision_recall_curves(results: Sequence[ModelResult[SeedResult]], split: str = "test") -> Figure:
    """Draw the precision-recall curve of every model's mean probability over its seeds, with the prevalence.

    Curves are steps, without interpolation. The legend gives the mean and standard deviation of the AUPRC over the
    seeds, highest first. Takes and raises what `roc_curves` does.
    """
    figure, axes, prevalence = _curves(results, split, "auprc", metrics.precision_recall_curve, drawstyle="steps-pre")
    _level(axes, [prevalence] * 2, f"prevalence  {prevalence:.3f}")
    label_axes(axes, "Recall", "Precision")
    _legend(figure, [axes], "AUPRC of the seeds")
    return figure


def learning_curves(results: Sequence[ModelResult[S]], score: str = "Valid AUROC") -> Figure:
    """Draw the score on valid as training goes on: a line for the mean over seeds, a band from lowest to highest.

    Networks learn by epochs, boosted trees one by one and a regression by iterations, so each has axes of its own.
    Line and band end with the seed that stopped first; seeds that went on follow as thin lines of their own. Models
    without a history are left out.

    Parameters
    ----------
    results
        The models; at least one finished training has a history.
    score
        Title of the score.
    """
    unit = {result.name: _UNITS.get(result.kind, "Epoch") for result in results if _histories(result)}
    assert unit, "no training has a history"
    units = [name for name in ("Epoch", "Tree", "Iteration") if name in unit.values()]
    figure = Figure(figsize=(4.4 + 3 * len(units), 3.8), dpi=DPI, layout="constrained")
    panels = dict(zip(units, np.atleast_1d(figure.subplots(1, len(units), sharey=True)), strict=True))
    for place, result in enumerate(results):
        if result.name in unit:
            _draw_histories(panels[unit[result.name]], result, _style(place))
    for name, axes in panels.items():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        label_axes(axes, name, score if name == units[0] else "")
    figure.suptitle("Valid: mean over seeds, band from lowest to highest", fontsize=9)
    _legend(figure, tuple(panels.values()), "model (seeds)")
    return figure


def _histories(result: ModelResult[S]) -> list[np.ndarray]:
    return [np.asarray(part.epochs) for part in result.finished if part.epochs]


def _draw_histories(axes: Axes, result: ModelResult[S], style: dict[str, Any]) -> None:
    histories = _histories(result)
    common = min(map(len, histories))
    epochs, shared = np.arange(common), np.stack([history[:common] for history in histories])
    # A single epoch is a point, which a line alone would not show.
    marker = "o" if common == 1 else None
    axes.plot(epochs, shared.mean(axis=0), marker=marker, label=f"{result.name}  ({len(histories)})", **style)
    band = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
    axes.fill_between(epochs, shared.min(axis=0), shared.max(axis=0), **band)
    for history in histories:
        if len(history) > common:
            tail = np.arange(common - 1, len(history))
            axes.plot(tail, history[common - 1 :], **style | {"linewidth": 0.6, "alpha": 0.7})


def forest(table: BenchmarkTable) -> Figure:
    """Draw the AUROC of every model with its interval over genes, in the order of the table, which has a row at least.

    A square is the AUROC of the mean probability over the seeds, its bar the interval over genes, and each circle
    below it the AUROC of one seed. The best model, by valid, is orange; the dashed line is the reference. A model
    without a finished training is a row that says failed.
    """
    rows = [Mark(row.name, row.ensemble_auroc, row.auroc_by_seed) for row in table.rows]
    lost = dict.fromkeys(part.name for part in table.failures)
    return draw_marks(
        rows,
        list(lost),
        table.best,
        table.reference,
        f"{_genes(table.split, table.genes, table.high)}, {table.confidence * 100:g} % intervals",
        "AUROC (square: mean probability over seeds; circles: single seeds)",
    )


class Mark(NamedTuple):
    """A model in a forest: its name, the metric of the mean over seeds with its interval, and that of each seed."""

    name: str
    ensemble: Interval
    by_seed: Sequence[float]


def draw_marks(
    rows: Sequence[Mark], failed: Sequence[str], best: str | None, reference: str | None, title: str, label: str
) -> Figure:
    """Draw `forest` of rows, one at least, in their order; names in ``failed`` that have no row follow them."""
    assert rows, "no model to draw"
    shown = [row.name for row in rows]
    names = shown + [name for name in failed if name not in shown]
    figure = Figure(figsize=(7.4, 1.3 + 0.36 * len(names)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    texts = ["failed"] * len(names)
    for place, (name, area, seeds) in enumerate(rows):
        colour = ORANGE if name == best else BLUE
        axes.plot([area.low, area.high], [place] * 2, color=colour, linewidth=1.4)
        axes.plot(area.value, place, "s", color=colour, markersize=5)
        hollow: dict[str, Any] = {"color": GREY, "fillstyle": "none", "markersize": 3, "markeredgewidth": 0.7}
        axes.plot(seeds, [place + 0.3] * len(seeds), "o", **hollow)
        if name == reference:
            axes.axvline(area.value, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
        texts[place] = f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})"
    for place, text in enumerate(texts):
        axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_title(title, fontsize=9)
    label_axes(axes, label, "")
    axes.tick_params(axis="y", length=0)
    return figure


def _ranked(results: Sequence[ModelResult[SeedResult]], metric: str) -> Iterable[tuple[int, str, str]]:
    """Yield place, name and legend of the models that finished, in descending order of their mean."""
    found = []
    for place, result in enumerate(results):
        values = [part.test[metric] for part in result.finished]
        if values:
            mean, sd, n = seed_summary(values)
            spread = f" ± {sd:.3f}" if n > 1 else ""
            found.append((mean, place, result.name, f"{result.name}  {mean:.3f}{spread}"))
    for _, place, name, text in sorted(found, key=lambda entry: -entry[0]):
        yield place, name, text


def _curves(
    results: Sequence[ModelResult[SeedResult]],
    split: str,
    metric: str,
    curve: Callable[[ArrayLike, ArrayLike], tuple[Floats, Floats, Floats]],
    **options: Any,
) -> tuple[Figure, Axes, float]:
    """Draw a curve of every model; returns the figure, its axes, and the share of high genes."""
    scores = mean_scores(results)
    assert scores.probability, "no model to draw"
    figure = Figure(figsize=(7.4, 4.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    frame_unit_square(axes)
    for place, model, text in _ranked(results, metric):
        x, y, _ = curve(scores.labels, scores.probability[model])
        axes.plot(x, y, label=text, **_style(place), **options)
    counts = sorted({len(result.finished) for result in results if result.finished})
    seeds = " or ".join(map(str, counts))
    title = f"{_genes(split, scores.labels.size, int(scores.labels.sum()))}\nmean probability of {seeds} seeds"
    axes.set_title(title.removesuffix("s") if counts == [1] else title, fontsize=9)
    return figure, axes, float(scores.labels.mean())


def _level(axes: Axes, y: list[float], label: str) -> None:
    """Draw what a model without skill reaches, from the left side to the right."""
    axes.plot([0, 1], y, color=GREY, linewidth=1, linestyle=":", label=label, zorder=1)


def _genes(split: str, genes: int, high: int) -> str:
    return f"{split.capitalize()}: {genes:,} genes ({high:,} high)"


def _style(place: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "linestyle": _LINES[place % len(_LINES)],
        "linewidth": 1.3,
    }


def _legend(figure: Figure, panels: Sequence[Axes], title: str) -> None:
    # Beside the axes, where eight lines of text cover no curve; long enough handles to tell dashes apart.
    options: dict[str, Any] = {
        "fontsize": 8,
        "title_fontsize": 8,
        "alignment": "left",
        "edgecolor": "none",
        "handlelength": 3,
    }
    handles: list[Any] = []
    labels: list[str] = []
    for axes in panels:
        some, names = axes.get_legend_handles_labels()
        handles += some
        labels += names
    figure.legend(handles, labels, loc="outside right upper", title=title, **options)
