"""Figures of what a model looks at: each function draws on one `Axes` and returns it.

Classes differ in their markers and dashes, not in their colours alone; values have cividis, or, around zero, purple to
orange. `raygenex.drawing.svg.draw` turns any of them into SVG for a page.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from raygenex.drawing.style import COLOURS, MINUS, SIZE, frame, signed, wrapped, zero_line
from raygenex.explain.results.figure_words import METHOD_NAMES, QUANTITY_COLOURINGS, Colouring
from raygenex.explain.results.marks import colour_bar, dots, legend, narrow
from raygenex.explain.results.profile import Profile, TopPositions
from raygenex.explain.results.projection import Projection
from raygenex.explain.results.words import LABEL_WORDS, Words

# As many columns as a wide figure can show of a band.
_COLUMNS = 1500
_STYLES: dict[str, tuple[str, Any]] = {"all": ("ink", "-"), "high": ("red", "-"), "low": ("blue", (0, (4, 1.5)))}


def projection(axes: Axes, found: Projection, colouring: Colouring) -> Axes:
    """Draw the genes in the plane, coloured by their prediction, probability, label, or whether they are wrong.

    Of a quantity, by its predicted or measured value.
    """
    if colouring in QUANTITY_COLOURINGS:
        _by_value(axes, found, colouring)
    elif colouring == "probability":
        # The least certain last, so that no crowd of sure ones hides them.
        order = np.argsort(-np.abs(found.probability - 0.5), kind="stable")
        x, y = found.xy[order].T
        points = dots(axes, x, y, "o", c=found.probability[order], cmap="cividis", norm=Normalize(0.0, 1.0))
        colour_bar(axes, points, found.words.predicted)
    else:
        for name, chosen, colour, marker in projection_classes(found, colouring):
            if chosen.any():
                label = f"{name} ({int(chosen.sum()):,})"
                x, y = found.xy[chosen].T
                dots(axes, x, y, marker, color=COLOURS[colour], label=label)
        legend(axes, 2)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    return frame(axes, "UMAP 1 (no unit)", "UMAP 2 (no unit)")


def _by_value(axes: Axes, found: Projection, colouring: Colouring) -> None:
    """Draw the genes by a quantity, the lowest first, and crosses where nothing was measured, on one scale for both."""
    assert found.measured is not None, "of a quantity"
    values = found.probability if colouring == "predicted" else found.measured
    known = np.isfinite(values)
    x, y = found.xy[~known].T
    dots(axes, x, y, "x", color=COLOURS["faint"])
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    x, y = found.xy[order].T
    points = dots(axes, x, y, "o", c=values[order], cmap="cividis")
    colour_bar(axes, points, found.words.predicted if colouring == "predicted" else found.words.measured)


def projection_classes(found: Projection, colouring: Colouring) -> list[tuple[str, NDArray[np.bool_], str, str]]:
    """Return name, genes, colour and marker of the classes of a colouring, those drawn last at the end."""
    if colouring == "error":
        wrong = found.error == 1
        return [
            ("label unknown", found.error < 0, "faint", "x"),
            ("right", found.error == 0, "faint", "o"),
            ("high, predicted low", wrong & (found.label == 1), "blue", "v"),
            ("low, predicted high", wrong & (found.label == 0), "red", "^"),
        ]
    prefix, classes = ("predicted ", found.prediction) if colouring == "prediction" else ("", found.label)
    return [
        ("label unknown", classes < 0, "faint", "x"),
        (f"{prefix}low", classes == 0, "blue", "o"),
        (f"{prefix}high", classes == 1, "red", "^"),
    ]


def importance_profile(
    axes: Axes,
    found: Mapping[str, Profile],
    smoothing: int,
    groups: Sequence[str] = ("high", "low"),
    words: Words = LABEL_WORDS,
) -> Axes:
    """Draw the mean absolute attribution along the promoter, a line and a band per group, and mark the TSS at 0.

    ``smoothing`` is the width in bases of the moving average that ``found`` has; groups that it lacks are left out.
    """
    for group in (name for name in groups if name in found):
        one = found[group]
        colour, style = _STYLES[group]
        name = {"all": "all genes", "high": words.high, "low": words.low}[group]
        axes.fill_between(*_envelope(one), color=COLOURS[colour], alpha=0.25, linewidth=0)
        # A single position is a point, which a line alone would not show.
        marker = "o" if len(one.position) == 1 else None
        axes.plot(
            one.position,
            one.mean,
            color=COLOURS[colour],
            linewidth=1.2,
            linestyle=style,
            marker=marker,
            label=f"{name} ({one.genes:,})",
        )
    some = next(iter(found.values())).position
    zero_line(axes)
    axes.set_xlim(some[0] - 0.5, some[-1] + 0.5)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(3 if narrow(axes) else 5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: signed(value))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    axes.yaxis.get_offset_text().set_fontsize(SIZE)
    average = f"\nmoving average of {smoothing:,} bases" if smoothing > 1 else ""
    frame(axes, "Bases from the TSS", wrapped(axes, f"Mean |attribution| ({words.unit}){average}", upright=True))
    # Beside the power of ten that may stand above the left end of the axis.
    legend(axes, 2, right=True)
    return axes


def top_heatmap(
    axes: Axes,
    top: TopPositions,
    order: Literal["probability", "clustered"] = "probability",
    words: Words = LABEL_WORDS,
) -> Axes:
    """Draw the attributions of the top positions: a column per position, along the promoter, and a row per gene.

    Rows are the most probable gene first, or ``clustered``: genes with similar attributions (average linkage of
    Euclidean distances, leaves in optimal order) side by side. Colours saturate at the 99th percentile of the absolute
    values; values of one sign have a map of one direction.
    """
    columns = np.argsort(top.position, kind="stable")
    value = top.value[:, columns]
    rows = _clustered(value) if order == "clustered" and len(value) > 2 else np.arange(len(value))
    limit = float(np.nanpercentile(np.abs(value), 99)) if np.isfinite(value).any() else 1.0
    both = bool((value < 0).any())
    colours = colormaps["PuOr_r" if both else "cividis"].with_extremes(bad="#c8c8c8")
    norm = Normalize(-limit if both else 0.0, limit or 1.0)
    image = axes.imshow(value[rows], aspect="auto", interpolation="nearest", cmap=colours, norm=norm)
    colour_bar(axes, image, f"Attribution ({words.unit})", extend="both" if both else "max")
    axes.set_xticks(range(len(columns)), [signed(p) for p in top.position[columns].tolist()], rotation=90)
    how = f"{words.first} on top" if order == "probability" else "clustered"
    if len(value) <= 30:
        axes.set_yticks(range(len(value)), top.gene_id[rows].tolist(), parse_math=False)
        frame(axes, "Bases from the TSS", f"Genes, {how}")
        axes.tick_params(axis="y", labelsize=6.5)
    else:
        axes.set_yticks([])
        frame(axes, "Bases from the TSS", f"{len(value):,} genes, {how}")
    if narrow(axes):
        axes.tick_params(axis="x", labelsize=5.5)
    axes.tick_params(length=0, axis="y")
    axes.spines[:].set_visible(False)
    return axes


def agreement_scatter(
    axes: Axes,
    methods: tuple[str, str],
    x: ArrayLike,
    y: ArrayLike,
    spearman: float,
    words: Words = LABEL_WORDS,
) -> Axes:
    """Draw the mean importance of every position by one method against the other's.

    Parameters
    ----------
    axes
        Where to.
    methods
        Their keys in `METHOD_NAMES`.
    x, y
        Mean absolute attributions, shape ``(L,)``; positions that either lacks are left out.
    spearman
        The median over genes of their rank correlation, written above the plot.
    words
        What is explained.
    """
    one, other = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    dots(axes, one, other, "o", color=COLOURS["blue"], alpha=0.5)
    if len(one) and one.min() > 0 and other.min() > 0:
        # Importance spans orders of magnitude.
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            # Over few orders all of 2 to 9 would be named, one over another.
            axis.set_minor_locator(LogLocator(subs=(2, 5)))
    text = f"Spearman {spearman:.2f}, median over genes".replace("-", MINUS)
    axes.set_title(text, loc="left", fontsize=SIZE, color=COLOURS["ink"])
    x_name, y_name = (f"{METHOD_NAMES[name]}\nmean |attribution| ({words.unit})" for name in methods)
    return frame(axes, wrapped(axes, x_name), wrapped(axes, y_name, upright=True))


def _envelope(one: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return position, lowest low and highest high of as many stretches as can be told apart."""
    length = len(one.position)
    size = -(-length // _COLUMNS)
    starts = np.arange(0, length, size)
    middle = np.add.reduceat(one.position, starts) / np.diff(np.append(starts, length))
    # These functions pass over NaN as long as a stretch has a number.
    return middle, np.fmin.reduceat(one.low, starts), np.fmax.reduceat(one.high, starts)


def _clustered(value: NDArray[np.float32]) -> NDArray[np.intp]:
    from scipy.cluster.hierarchy import leaves_list, linkage

    tree = linkage(np.nan_to_num(value.astype(np.float64)), method="average", optimal_ordering=True)
    return leaves_list(tree)
