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
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from raygenex.drawing.style import COLOURS, MINUS, SIZE, frame, legend_above, signed, wrapped, zero_line
from raygenex.explain.results.profile import Profile, TopPositions
from raygenex.explain.results.projection import Projection
from raygenex.explain.results.words import LABEL_WORDS, Words

Colouring = Literal["prediction", "probability", "label", "error", "predicted", "measured"]

COLOURINGS: tuple[Colouring, ...] = ("prediction", "probability", "label", "error")
"""What the genes of a projection can be coloured by."""

QUANTITY_COLOURINGS: tuple[Colouring, ...] = ("predicted", "measured")
"""The same of a quantity."""

METHOD_NAMES = {
    "saliency": "Saliency",
    "input_x_gradient": "Input x gradient",
    "integrated_gradients": "Integrated gradients",
    "deeplift": "DeepLIFT",
    "mutagenesis": "In-silico mutagenesis",
    "halflife": "Shapley values",
}
"""Names of the methods as figures and captions show them."""

# Beyond so many points a vector drawing would weigh megabytes.
_MANY = 2000
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
        points = _dots(axes, x, y, "o", c=found.probability[order], cmap="cividis", norm=Normalize(0.0, 1.0))
        _colour_bar(axes, points, found.words.predicted)
    else:
        for name, chosen, colour, marker in projection_classes(found, colouring):
            if chosen.any():
                label = f"{name} ({int(chosen.sum()):,})"
                x, y = found.xy[chosen].T
                _dots(axes, x, y, marker, color=COLOURS[colour], label=label)
        _legend_above(axes, 2)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    return frame(axes, "UMAP 1 (no unit)", "UMAP 2 (no unit)")


def _by_value(axes: Axes, found: Projection, colouring: Colouring) -> None:
    """Draw the genes by a quantity, the lowest first, and crosses where nothing was measured, on one scale for both."""
    assert found.measured is not None, "of a quantity"
    values = found.probability if colouring == "predicted" else found.measured
    known = np.isfinite(values)
    x, y = found.xy[~known].T
    _dots(axes, x, y, "x", color=COLOURS["faint"])
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    x, y = found.xy[order].T
    points = _dots(axes, x, y, "o", c=values[order], cmap="cividis")
    _colour_bar(axes, points, found.words.predicted if colouring == "predicted" else found.words.measured)


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
    axes.xaxis.set_major_locator(MaxNLocator(3 if _narrow(axes) else 5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: signed(value))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    axes.yaxis.get_offset_text().set_fontsize(SIZE)
    average = f"\nmoving average of {smoothing:,} bases" if smoothing > 1 else ""
    frame(axes, "Bases from the TSS", wrapped(axes, f"Mean |attribution| ({words.unit}){average}", upright=True))
    # Beside the power of ten that may stand above the left end of the axis.
    _legend_above(axes, 2, right=True)
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
    _colour_bar(axes, image, f"Attribution ({words.unit})", extend="both" if both else "max")
    axes.set_xticks(range(len(columns)), [signed(p) for p in top.position[columns].tolist()], rotation=90)
    how = f"{words.first} on top" if order == "probability" else "clustered"
    if len(value) <= 30:
        axes.set_yticks(range(len(value)), top.gene_id[rows].tolist(), parse_math=False)
        frame(axes, "Bases from the TSS", f"Genes, {how}")
        axes.tick_params(axis="y", labelsize=6.5)
    else:
        axes.set_yticks([])
        frame(axes, "Bases from the TSS", f"{len(value):,} genes, {how}")
    if _narrow(axes):
        axes.tick_params(axis="x", labelsize=5.5)
    axes.tick_params(length=0, axis="y")
    axes.spines[:].set_visible(False)
    return axes


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
            _dots(axes, x, y, "o", many=attribution.size, color=COLOURS["blue"])
        else:
            known = ~np.isnan(values[:, column])
            if not known.all():
                _dots(axes, x[~known], y[~known], "x", many=attribution.size, color=COLOURS["faint"])
            rank = _share_of_rank(values[known, column])
            norm = Normalize(0.0, 1.0)
            points = _dots(axes, x[known], y[known], "o", many=attribution.size, c=rank, cmap="cividis", norm=norm)
    if points is not None:
        bar = _colour_bar(axes, points, "Feature value (rank)")
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
    axes.xaxis.set_major_locator(MaxNLocator(3 if _narrow(axes) else 5))
    frame(axes, x, "")
    axes.tick_params(axis="y", length=0)
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
    _dots(axes, one, other, "o", color=COLOURS["blue"], alpha=0.5)
    if len(one) and one.min() > 0 and other.min() > 0:
        # Importance spans orders of magnitude.
        axes.set(xscale="log", yscale="log")
    text = f"Spearman {spearman:.2f}, median over genes".replace("-", MINUS)
    axes.set_title(text, loc="left", fontsize=SIZE, color=COLOURS["ink"])
    x_name, y_name = (f"{METHOD_NAMES[name]}\nmean |attribution| ({words.unit})" for name in methods)
    return frame(axes, wrapped(axes, x_name), wrapped(axes, y_name, upright=True))


def _dots(axes: Axes, x: ArrayLike, y: ArrayLike, marker: str, many: int | None = None, **style: Any) -> Any:
    options: dict[str, Any] = {"s": 9, "linewidths": 0.0, "alpha": 0.75}
    if marker == "x":
        options["linewidths"] = 0.8
    count = np.size(x) if many is None else many
    return axes.scatter(x, y, marker=marker, rasterized=count > _MANY, **(options | style))


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


def _colour_bar(axes: Axes, drawn: Any, label: str, **options: Any) -> Any:
    assert axes.figure is not None
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.03, **options)
    bar.set_label(wrapped(axes, label, upright=True), fontsize=SIZE, color=COLOURS["ink"])
    bar.ax.tick_params(labelsize=SIZE, labelcolor=COLOURS["ink"], color=COLOURS["faint"])
    bar.outline.set_visible(False)
    return bar


def _narrow(axes: Axes) -> bool:
    """Whether the figure, in inches, is too narrow for two entries of a legend side by side."""
    assert axes.figure is not None
    return bool(axes.figure.bbox.width / axes.figure.dpi < 3.6)


def _legend_above(axes: Axes, columns: int, right: bool = False) -> None:
    columns = 1 if _narrow(axes) else columns
    legend_above(axes, columns, right, handlelength=1.8, handletextpad=0.4, columnspacing=1.2)


COLOURING_WORDS: dict[Colouring, str] = {
    "prediction": "predicted class",
    "probability": "predicted probability",
    "label": "true label",
    "error": "whether the prediction is right",
    "predicted": "predicted value",
    "measured": "measured value",
}


def caption(
    text: str,
    genes: int,
    split: str,
    method: str | None = None,
    smoothing: int | None = None,
    confidence: float | None = None,
) -> str:
    """Return the text under a figure.

    Parameters
    ----------
    text
        What is drawn, with its full stop.
    genes
        Genes that are.
    split
        Theirs.
    method
        How they were explained, a key of `METHOD_NAMES`.
    smoothing
        Width of a moving average in bases; 1 and None: none.
    confidence
        Coverage of the intervals, in (0, 1); None: there are none.
    """
    parts = [text, f"n = {genes:,} {'gene' if genes == 1 else 'genes'} of {split}."]
    if method is not None:
        parts.append(f"Method: {METHOD_NAMES[method].lower() if method != 'deeplift' else METHOD_NAMES[method]}.")
    if smoothing is not None:
        parts.append(f"Centred moving average of {smoothing:,} bases." if smoothing > 1 else "Not smoothed.")
    if confidence is not None:
        parts.append(f"Intervals: {100 * confidence:g} %, by resampling genes.")
    return " ".join(parts)
