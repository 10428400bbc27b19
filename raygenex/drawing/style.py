"""Colours, sizes, axes and files: the one style of all figures.

Nothing here touches pyplot or the global settings, so figures can be drawn in any thread. Colours are those of Okabe &
Ito (2008), which colour-blind readers can tell apart.
"""

import textwrap
from pathlib import Path
from typing import Any

from matplotlib import rc_context
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
"""Colours of figures in pages by the name of the CSS variable that replaces each; the yellow is darkened."""

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#7F7F7F"
"""Colours of figures on white."""

DPI = 200
SIZE = 8.5
"""Points of the text of figures in pages."""

MINUS = "\N{MINUS SIGN}"

# Of a figure, how much a label along its height and along its width has; how wide letters are for their height.
_UPRIGHT, _LEVEL, _LETTER = 0.8, 0.65, 0.55

_UNDATED: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as SVG, PDF or PNG, by the suffix of ``path``, whole, into a folder that exists.

    The same figure gives the same bytes: there is no date inside, and ids do not change.
    """
    path = Path(path)
    with whole_file(path) as aside, rc_context({"svg.hashsalt": "raygenex"}):
        figure.savefig(aside, format=path.suffix[1:], dpi=figure.dpi, metadata=_UNDATED[path.suffix])


def frame_unit_square(axes: Axes) -> None:
    """Let axes span [0, 1] both ways at one scale, with a margin that keeps lines along the edges whole."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Name the axes of a figure on white, and leave their top and right sides open."""
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def wrapped(axes: Axes, text: str, upright: bool = False, points: float = SIZE) -> str:
    """Break the lines of a label that its axis is too short for, as where a unit is long.

    Parameters
    ----------
    axes
        In a figure of its own, whose size counts.
    text
        The label; its own breaks stay.
    upright
        Whether it stands along the height of the figure.
    points
        Size of the text.
    """
    assert axes.figure is not None
    box = axes.figure.bbox
    inches = (_UPRIGHT * box.height if upright else _LEVEL * box.width) / axes.figure.dpi
    letters = max(int(inches * 72 / (_LETTER * points)), 1)
    lines = [textwrap.wrap(line, letters, break_long_words=False) or [""] for line in text.split("\n")]
    return "\n".join(part for line in lines for part in line)


def frame(axes: Axes, x: str, y: str) -> Axes:
    """Name the axes of a figure in a page, in colours that follow the page, and leave two sides open."""
    axes.set_xlabel(x, fontsize=SIZE, color=COLOURS["ink"])
    axes.set_ylabel(y, fontsize=SIZE, color=COLOURS["ink"])
    axes.tick_params(which="both", labelsize=SIZE, labelcolor=COLOURS["ink"], color=COLOURS["faint"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(COLOURS["faint"])
    return axes


def zero_line(axes: Axes) -> None:
    """Draw a faint dotted line behind everything where x is 0."""
    axes.axvline(0, color=COLOURS["faint"], linewidth=0.8, linestyle=":", zorder=0)


def legend_above(axes: Axes, columns: int, right: bool = False, **options: Any) -> None:
    """Put the legend of a figure in a page above its axes, at their left end or at their right."""
    style = {"fontsize": SIZE, "frameon": False, "borderaxespad": 0.2, "labelcolor": COLOURS["ink"]}
    loc = "lower right" if right else "lower left"
    axes.legend(loc=loc, bbox_to_anchor=(int(right), 1), ncols=columns, **(style | options))


def signed(value: float) -> str:
    """Write a whole number with its sign, and 0 without."""
    return f"{value:+,.0f}".replace("-", MINUS) if round(value) else "0"
