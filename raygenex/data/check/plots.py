"""Plots of a data set, as SVG to be put into a page: each draws on one `Axes` and returns it.

Lines differ in their dashes, not in their colours alone. In the SVG each colour is a CSS variable, so that a page can
have others on a dark ground. Text stays text, in the page's font.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from raygenex.data.check.describe import BaseProfile, FeatureSummary, SplitReport
from raygenex.drawing.style import COLOURS, MINUS, SIZE, frame, legend_above, signed, zero_line

LABEL_COLOURS = {"low": "blue", "high": "red"}

CHROMOSOMES = 40
"""As many chromosomes have a bar of their own."""

SPLIT_STYLES = {"train": ("blue", "-"), "valid": ("red", (0, (4, 1.5))), "test": ("green", (0, (1.2, 1.2)))}
_BASES = (
    ("A", "green", "-"),
    ("C", "blue", (0, (4, 1.5))),
    ("G", "gold", (0, (6, 1.5, 1, 1.5))),
    ("T", "red", (0, (1.2, 1.2))),
)


def label_balance(axes: Axes, splits: Mapping[str, SplitReport]) -> Axes:
    """Draw the share of low and high genes of every split, a bar a split, with their numbers inside."""
    for row, split in enumerate(splits.values()):
        low = 1 - split.positive_fraction
        for name, start, share in (("low", 0.0, low), ("high", low, split.positive_fraction)):
            colour = COLOURS[LABEL_COLOURS[name]]
            axes.barh(row, 100 * share, left=100 * start, height=0.62, color=colour, alpha=0.35, label=name)
        genes = (split.rows - split.positives, split.positives)
        for text, x, side in ((f"{genes[0]:,} low", 1, "left"), (f"{genes[1]:,} high", 99, "right")):
            axes.text(x, row, text, ha=side, va="center", fontsize=SIZE, color=COLOURS["ink"])
    axes.axvline(50, color=COLOURS["faint"], linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, 100), ylim=(len(splits) - 0.5, -0.5))
    axes.set_yticks(range(len(splits)), list(splits))
    frame(axes, "Genes (%)", "")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return axes


def gc_profile(axes: Axes, profiles: Mapping[str, BaseProfile], origin: str) -> Axes:
    """Draw GC content along the window, a line a split; ``origin`` says from where positions are counted."""
    for name, profile in profiles.items():
        colour, style = SPLIT_STYLES[name]
        _line(axes, profile, profile.share(1, 2), name, colour, style)
    return _along(axes, list(profiles.values()), origin, "G and C (%)", len(profiles))


def composition(axes: Axes, profile: BaseProfile, origin: str) -> Axes:
    """Draw the share of every base along the window, a line a base."""
    for base, (name, colour, style) in enumerate(_BASES):
        _line(axes, profile, profile.share(base), name, colour, style)
    return _along(axes, [profile], origin, "Bases (%)", len(_BASES))


def feature(axes: Axes, summary: FeatureSummary) -> Axes:
    """Draw the values of one feature by label, each in percent of the genes of its label."""
    histogram = summary.histogram
    bins = len(histogram.low)
    start, stop = histogram.start, histogram.stop
    if start == stop:
        axes.text(
            0.5,
            0.5,
            f"all {start:g}".replace("-", MINUS),
            ha="center",
            va="center",
            fontsize=SIZE,
            color=COLOURS["ink"],
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return axes
    edges = [start + (stop - start) * i / bins for i in range(bins + 1)]
    for (name, colour), counts in zip(LABEL_COLOURS.items(), (histogram.low, histogram.high), strict=True):
        if sum(counts):
            shares = [100 * count / sum(counts) for count in counts]
            axes.stairs(shares, edges, fill=True, color=COLOURS[colour], alpha=0.15)
            style = "-" if name == "high" else (0, (3, 1))
            axes.stairs(shares, edges, color=COLOURS[colour], linewidth=1.3, linestyle=style, label=name)
    axes.set_xlim(start, stop)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    return frame(axes, "", "")


def chromosomes(axes: Axes, splits: Mapping[str, SplitReport]) -> Axes:
    """Draw the genes on every chromosome, a bar a chromosome, a part a split; all splits know their places."""
    rows = chromosome_rows(splits)
    for row, (_, counts) in enumerate(rows):
        left = 0
        for name, count in zip(splits, counts, strict=True):
            if count:
                colour = COLOURS[SPLIT_STYLES[name][0]]
                axes.barh(row, count, left=left, height=0.7, color=colour, alpha=0.55, label=name)
                left += count
        axes.annotate(
            f"{left:,}",
            (left, row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SIZE,
            color=COLOURS["ink"],
        )
    # A name may hold anything, so that nothing in it is taken for a formula.
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    frame(axes, "Genes", "")
    axes.tick_params(axis="y", length=0)
    return axes


def chromosome_rows(splits: Mapping[str, SplitReport]) -> list[tuple[str, list[int]]]:
    """Return chromosomes in their order, each with its genes in every split; the smallest are one row if many.

    Returns
    -------
    Numbers in order (10 after 9, X after IX where all are Roman), then names; at most 41 rows.
    """
    found = [split.chromosomes or {} for split in splits.values()]
    counts = {name: [genes.get(name, 0) for genes in found] for name in {name for genes in found for name in genes}}
    largest = sorted(counts, key=lambda name: (-sum(counts[name]), name))
    rest = largest[CHROMOSOMES:]
    rows = [(_short(name) or "no place", counts[name]) for name in _ordered(largest[:CHROMOSOMES])]
    if rest:
        rows.append((f"{len(rest):,} more", [sum(counts[name][i] for name in rest) for i in range(len(found))]))
    return rows


def _line(axes: Axes, profile: BaseProfile, shares: Sequence[float | None], name: str, colour: str, style: Any) -> None:
    values = [math.nan if share is None else 100 * share for share in shares]
    # A single region is a point, which a line alone would not show.
    marker = "o" if len(values) == 1 else None
    axes.plot(profile.centres, values, color=COLOURS[colour], linewidth=1.4, linestyle=style, marker=marker, label=name)


def _along(axes: Axes, profiles: Sequence[BaseProfile], origin: str, y: str, columns: int) -> Axes:
    zero_line(axes)
    axes.set_xlim(min(one.edges[0] for one in profiles) - 0.5, max(one.edges[-1] for one in profiles) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: signed(value))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    legend_above(axes, columns, handlelength=2.4)
    return frame(axes, f"Bases from {origin}", y)


def _ordered(names: Sequence[str]) -> list[str]:
    bare = {name: name.removeprefix("chr") for name in names}
    roman = all(_roman(text) for text in bare.values() if text)

    def key(name: str) -> tuple[bool, float, str]:
        number = float(bare[name]) if bare[name].isdecimal() else _roman(bare[name]) if roman else 0
        return not number, number, name

    return sorted(names, key=key)


def _roman(text: str) -> int:
    """Return the value of a Roman number, 0 if it is none."""
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}.get(letter, 0) for letter in text]
    if not all(values):
        return 0
    return sum(-value if value < max(values[i:]) else value for i, value in enumerate(values))


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"
