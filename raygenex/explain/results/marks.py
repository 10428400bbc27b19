"""Points, bars of colours and legends, as all figures of an explanation have them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from raygenex.drawing.style import COLOURS, SIZE, legend_above, wrapped

# Beyond so many points a vector drawing would weigh megabytes.
_MANY = 2000


def dots(axes: Axes, x: ArrayLike, y: ArrayLike, marker: str, many: int | None = None, **style: Any) -> Any:
    """Draw points; as pixels where they, or the ``many`` of the figure, are many."""
    options: dict[str, Any] = {"s": 9, "linewidths": 0.0, "alpha": 0.75}
    if marker == "x":
        options["linewidths"] = 0.8
    count = np.size(x) if many is None else many
    return axes.scatter(x, y, marker=marker, rasterized=count > _MANY, **(options | style))


def colour_bar(axes: Axes, drawn: Any, label: str, **options: Any) -> Any:
    """Draw the bar that says what the colours of ``drawn`` mean."""
    assert axes.figure is not None
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.03, **options)
    bar.set_label(wrapped(axes, label, upright=True), fontsize=SIZE, color=COLOURS["ink"])
    bar.ax.tick_params(labelsize=SIZE, labelcolor=COLOURS["ink"], color=COLOURS["faint"])
    bar.outline.set_visible(False)
    return bar


def narrow(axes: Axes) -> bool:
    """Whether the figure, in inches, is too narrow for two entries of a legend side by side."""
    assert axes.figure is not None
    return bool(axes.figure.bbox.width / axes.figure.dpi < 3.6)


def legend(axes: Axes, columns: int, right: bool = False) -> None:
    """Put the legend above the axes, in one column where the figure is narrow."""
    columns = 1 if narrow(axes) else columns
    legend_above(axes, columns, right, handlelength=1.8, handletextpad=0.4, columnspacing=1.2)
