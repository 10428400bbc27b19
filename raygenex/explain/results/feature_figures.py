"""Figures of what the features beside the DNA do to a prediction: each function draws on one `Axes` and returns it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from raygenex.drawing.style import COLOURS, frame, wrapped, zero_line
from raygenex.explain.results.marks import colour_bar, dots, narrow
from raygenex.explain.results.words import LABEL_WORDS, Words


def halflife_strips(
    axes: Axes,
    attribution: NDArray[np.floating],
    features: Sequence[str],
    values: NDArray[np.floating] | None = None,
    words: Words = LABEL_WORDS,
) -> Axes:
    """Draw the Shapley values of every feature, a dot per gene, the features with the largest ones on top.

    Parameters
    ----------
    axes
        Where to.
    attribution
        Shapley values of the logit, shape ``(n, f)``.
    features
        Their names.
    values
        The features themselves, shape ``(n, f)``, of which the rank gives each dot its colour, a grey cross where it is
        NaN; None: one colour.
    words
        What is explained.
    """
    order = np.argsort(-np.abs(attribution).mean(axis=0), kind="stable")
    points = None
    for row, column in enumerate(order):
        x = attribution[:, column]
        y = row + _swarm(x)
        if values is None:
            dots(axes, x, y, "o", many=attribution.size, color=COLOURS["blue"])
        else:
            known = ~np.isnan(values[:, column])
            if not known.all():
                dots(axes, x[~known], y[~known], "x", many=attribution.size, color=COLOURS["faint"])
            rank = _share_of_rank(values[known, column])
            norm = Normalize(0.0, 1.0)
            points = dots(axes, x[known], y[known], "o", many=attribution.size, c=rank, cmap="cividis", norm=norm)
    if points is not None:
        bar = colour_bar(axes, points, "Feature value (rank)")
        bar.set_ticks([0, 1], labels=["lowest", "highest"])
    zero_line(axes)
    return _feature_rows(axes, [features[i] for i in order], wrapped(axes, f"Shapley value ({words.unit})"))


def permutation_bars(
    axes: Axes,
    features: Sequence[str],
    drop: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    words: Words = LABEL_WORDS,
) -> Axes:
    """Draw what the AUROC, or Pearson's r of a quantity, loses when a feature is shuffled among the genes.

    Each has its interval; the largest is on top.
    """
    loss, ends = np.asarray(drop, dtype=np.float64), np.array([low, high], dtype=np.float64)
    order = np.argsort(-loss, kind="stable")
    axes.barh(range(len(order)), loss[order], height=0.62, color=COLOURS["blue"], alpha=0.45)
    # Rounding may put the end of an interval a hair inside the bar's end.
    arms = np.maximum(np.abs(ends - loss)[:, order], 0.0)
    axes.errorbar(
        loss[order], range(len(order)), xerr=arms, fmt="none", ecolor=COLOURS["ink"], elinewidth=1, capsize=2.5
    )
    axes.axvline(0, color=COLOURS["faint"], linewidth=0.8)
    return _feature_rows(axes, [features[i] for i in order], f"Loss of {words.metric} when shuffled")


def _feature_rows(axes: Axes, features: Sequence[str], x: str) -> Axes:
    """Name the rows of features, the first on top, and the axis below them."""
    axes.set_yticks(range(len(features)), features)
    axes.set_ylim(len(features) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(3 if narrow(axes) else 5))
    frame(axes, x, "")
    axes.tick_params(axis="y", length=0)
    return axes


def _swarm(x: NDArray[np.floating], bins: int = 60) -> NDArray[np.float64]:
    """Return offsets in [-0.4, 0.4] that spread points of similar ``x``: alternately up and down, wide where many."""
    span = float(np.ptp(x))
    if not span:
        return np.zeros(len(x))
    column = np.minimum((bins * (x - x.min()) / span).astype(int), bins - 1)
    count = np.bincount(column, minlength=bins)
    order = np.argsort(column, kind="stable")
    place = np.empty(len(x))
    place[order] = np.arange(len(x)) - np.repeat(np.cumsum(count) - count, count)
    side = np.where(place % 2 == 0, 1.0, -1.0) * np.ceil(place / 2)
    return 0.8 * side / max(int(count.max()), 12)


def _share_of_rank(values: NDArray[np.floating]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    return (rankdata(values) - 1) / max(len(values) - 1, 1)
