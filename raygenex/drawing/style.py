"""Colours, sizes and axes: the one style of all figures."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raygenex.files.whole import whole_file

COLOURS = {
    "ink": "#1a1c1f",
    "faint": "#8a8f98",
    "blue": "#0072b2",
    "red": "#d55e00",
    "green": "#009e73",
    "gold": "#c98500",
}
"""Names of the CSS variables, and what stands in for them where there is none."""

_BLUE, _ORANGE, GREY = "#0072B2", "#D55E00", "#7F7F7F"
DPI = 200


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG at its own resolution, into a folder that exists."""
    with whole_file(Path(path)) as aside:
        figure.savefig(aside, format="png", dpi=figure.dpi)


def frame_unit_square(axes: Axes) -> None:
    """Let axes span [0, 1] both ways at one scale, with a margin that keeps lines along the edges whole."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Name the axes in the one size of all figures, and leave their top and right sides open."""
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
