"""Sequence logos: the strongest stretches of attributions with their bases, and the base frequencies of motifs."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from raygenex.drawing.style import COLOURS, MINUS, frame, wrapped
from raygenex.extras import require

BASE_COLOURS = {
    "A": COLOURS["green"],
    "C": COLOURS["blue"],
    "G": COLOURS["gold"],
    "T": COLOURS["red"],
}
"""Colours of the letters, those of the base composition in the data pages."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of one gene's promoter."""

    row: int
    """The gene's row in the attributions."""
    start: int
    """Index of its first position."""
    stop: int
    """Index after its last."""
    score: float
    """Sum of its absolute attributions."""


def strongest_stretches(
    attribution: NDArray[np.floating], width: int = 40, count: int = 10, per_gene: int | None = None
) -> list[Stretch]:
    """Find the stretches with the largest sums of absolute attributions, the largest first; none overlap.

    Each is the largest that overlaps no earlier one, the leftmost of the first gene if several are.

    Parameters
    ----------
    attribution
        Shape ``(n, L)``; NaN counts as 0.
    width
        Bases per stretch, at most ``L``: longer ones are cut to it.
    count
        Stretches at most; those without any attribution are left out.
    per_gene
        At most so many in one gene; None: no limit.
    """
    genes, length = attribution.shape
    width = min(width, length)
    sums = [_window_sums(row, width) for row in attribution]
    best = np.array([row.max() for row in sums])
    left = np.full(genes, count if per_gene is None else per_gene)
    found: list[Stretch] = []
    while len(found) < count and genes:
        gene = int(np.argmax(best))
        if best[gene] <= 0:
            break
        start = int(np.argmax(sums[gene]))
        found.append(Stretch(gene, start, start + width, float(best[gene])))
        sums[gene][max(start - width + 1, 0) : start + width] = -np.inf
        left[gene] -= 1
        best[gene] = sums[gene].max() if left[gene] else -np.inf
    return found


def _window_sums(row: NDArray[np.floating], width: int) -> NDArray[np.float32]:
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(np.abs(row)), dtype=np.float64)])
    return (sums[width:] - sums[:-width]).astype(np.float32)


def contribution_logo(
    axes: Axes, bases: NDArray[np.uint8], attribution: NDArray[np.floating], first: int, unit: str = "logit"
) -> Axes:
    """Draw the bases of a stretch, each as high as its attribution; negative ones hang below the line.

    Parameters
    ----------
    axes
        Where to.
    bases
        Base indices, shape ``(L,)``; an unknown one has no letter.
    attribution
        Shape ``(L,)``; NaN has no letter.
    first
        Bases from the TSS of the first position.
    unit
        Of the attributions.
    """
    heights = np.zeros((len(bases), 4))
    seen = np.flatnonzero((bases < 4) & np.isfinite(attribution))
    heights[seen, bases[seen]] = attribution[seen]
    return _logo(axes, heights, first, f"Attribution ({unit})", "Bases from the TSS")


def frequency_logo(axes: Axes, frequency: NDArray[np.floating]) -> Axes:
    """Draw base frequencies as an information logo (Schneider and Stephens, Nucleic Acids Res 18:6097, 1990).

    Parameters
    ----------
    axes
        Where to.
    frequency
        Shape ``(L, 4)``; each position sums to 1. A letter is as high as its share of the position's information,
        0 to 2 bits against equal frequencies.
    """
    heights = frequency * information(frequency)[:, None]
    _logo(axes, heights, 1, "Information (bits)", "Position in the motif")
    axes.set_ylim(0, 2)
    return axes


def information(frequency: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the information of every position in bits, 0 to 2, shape ``(L,)``, of frequencies ``(L, 4)``."""
    safe = np.where(frequency > 0, frequency, 1.0)
    return 2 + (frequency * np.log2(safe)).sum(axis=1)


def _logo(axes: Axes, heights: NDArray[np.float64], first: int, y: str, x: str) -> Axes:
    import pandas as pd

    index = range(first, first + len(heights))
    table = pd.DataFrame(heights, columns=list("ACGT"), index=index)
    logomaker = require("logomaker", "logomaker", "explain", "a logo")
    logomaker.Logo(table, ax=axes, color_scheme=BASE_COLOURS, show_spines=False, baseline_width=0)
    axes.axhline(0, color=COLOURS["faint"], linewidth=0.8)
    axes.set_xlim(first - 0.5, first + len(heights) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace("-", MINUS))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return frame(axes, x, wrapped(axes, y, upright=True))


def consensus(frequency: NDArray[np.floating], least: float = 0.5) -> str:
    """Return the commonest base of every position, or N where its frequency is below ``least``."""
    letters: Iterable[str] = ("ACGT"[int(row.argmax())] if row.max() >= least else "N" for row in np.asarray(frequency))
    return "".join(letters)
