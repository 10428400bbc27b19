"""The plot of a table of effects: change of the logit, or of a target, against distance from the TSS.

Nothing here touches pyplot. Colours are those of Okabe & Ito (2008), which colour-blind readers can tell apart, and the
median differs from the bands by its line too.
"""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from raygenex.drawing.style import BLUE, DPI, GREY, ORANGE, label_axes, save, wrapped
from raygenex.train.targets import TargetInfo

POINTS = 5000
"""So many effects are drawn one by one; more are drawn by the quantiles of bins."""

BINS = 60
_BANDS = ((1, 99, 0.18), (10, 90, 0.35))


def draw_effects(
    axes: Axes,
    position: NDArray[np.int32],
    delta: NDArray[np.float32],
    first: int,
    stop: int,
    target: TargetInfo | None = None,
) -> Axes:
    """Draw the change of the logit against the position of the variants.

    Up to `POINTS` effects are points, filled where the logit rises and open where it falls. Of more, the median and
    two bands of quantiles are drawn in `BINS` bins of equal width.

    Parameters
    ----------
    axes
        Where to draw.
    position
        Bases from the TSS on the gene's strand, shape ``(n,)``; what begins outside the window is drawn at its end.
    delta
        Change of the logit, finite, shape ``(n,)``, at least one.
    first, stop
        First base of the window and the one after its last, from the TSS.
    target
        What changes; None: the logit of the label.

    Returns
    -------
    The same axes.
    """
    assert len(position) == len(delta) > 0, (len(position), len(delta))
    position = np.clip(position, first, stop - 1)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    if len(delta) <= POINTS:
        rises = delta > 0
        for rows, face in ((rises, ORANGE), (~rises, "none")):
            edge = ORANGE if face != "none" else BLUE
            axes.scatter(position[rows], delta[rows], s=10, facecolors=face, edgecolors=edge, linewidths=0.7)
    else:
        _bands(axes, position, delta, np.linspace(first, stop, BINS + 1))
    axes.set_xlim(first - 0.5, stop - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if target is None:
        what = "Change of the logit (log-odds of high)"
    else:
        changed = target.additive_title if target.kind == "binary" else target.title
        what = wrapped(axes, f"Change of {changed}", upright=True, points=10)
    label_axes(axes, "Position of the variant (bases from the TSS)", what)
    return axes


def _bands(axes: Axes, position: NDArray[np.int32], delta: NDArray[np.float32], edges: NDArray[np.float64]) -> None:
    centres = (edges[:-1] + edges[1:]) / 2
    place = np.clip(np.searchsorted(edges, position, side="right") - 1, 0, len(centres) - 1)
    order = np.argsort(place, kind="stable")
    groups = np.split(delta[order], np.searchsorted(place[order], np.arange(1, len(centres))))
    for low, high, alpha in _BANDS:
        ends = np.array([np.percentile(group, (low, high)) if len(group) else (np.nan, np.nan) for group in groups])
        label = f"{low} to {high} % of the variants"
        axes.fill_between(centres, ends[:, 0], ends[:, 1], color=BLUE, alpha=alpha, linewidth=0, label=label)
    middle = np.array([np.median(group) if len(group) else np.nan for group in groups])
    axes.plot(centres, middle, color=ORANGE, linewidth=1.4, label="median")
    # Above the plot: what lies behind a legend would be lost.
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, edgecolor="none")


def caption(delta: NDArray[np.float32], target: TargetInfo | None = None) -> str:
    """Return the sentence that goes with the plot: how many effects there are, and how they are drawn."""
    rises, falls = int((delta > 0).sum()), int((delta < 0).sum())
    what = "filled: rises, open: falls or stays" if len(delta) <= POINTS else f"quantiles in {BINS} bins"
    name = "the logit" if target is None else target.name
    return f"n = {len(delta):,} pairs of an allele and a gene ({rises:,} raise {name}, {falls:,} lower it); {what}"


def write_effects(
    position: NDArray[np.int32],
    delta: NDArray[np.float32],
    first: int,
    stop: int,
    path: Path,
    target: TargetInfo | None = None,
) -> None:
    """Draw the effects with their caption into ``path``, an SVG, and into a PNG of the same name."""
    figure = Figure(figsize=(6.4, 3.8), dpi=DPI, layout="constrained")
    draw_effects(figure.subplots(), position, delta, first, stop, target)
    figure.supxlabel(caption(delta, target), fontsize=8)
    # Text that can be searched.
    with rc_context({"svg.fonttype": "none"}):
        save(figure, path)
    save(figure, path.with_suffix(".png"))
