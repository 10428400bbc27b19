"""Cells of the tables of a comparison: numbers with their spread and intervals, as text and as plain values."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from raygenex.stats.compare import Summary
from raygenex.stats.resamples import Comparison, Interval

NOTHING = "-"
"""A cell without a number."""


def grid(headings: Sequence[str], lines: Iterable[Sequence[str]], text: bool = False) -> str:
    """Return a table as GitHub-flavoured Markdown, numbers at the right unless it is of ``text``."""

    def escaped(cell: str) -> str:
        return " ".join(cell.split()).replace("|", "\\|")

    # Numbers stand at the right.
    rule = [":---", *[":---" if text else "---:"] * (len(headings) - 1)]
    rows = [headings, rule, *lines]
    assert all(len(row) == len(headings) for row in rows), headings
    return "\n".join("| " + " | ".join(map(escaped, row)) + " |" for row in rows)


def spread(value: Summary, decimals: int = 3) -> str:
    """Return a mean with its standard deviation."""
    if math.isnan(value.mean):
        return NOTHING
    mean = f"{value.mean:,.{decimals}f}"
    return mean if math.isnan(value.sd) else f"{mean} ± {value.sd:,.{decimals}f}"


def interval(value: Interval | Comparison, sign: str = "") -> str:
    """Return a number with its interval; ``sign`` is ``+`` for one of both signs."""
    return f"{value[0]:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f})"


def p_value(value: float) -> str:
    """Return a p-value as text."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def plain(value: Any) -> Any:
    """Return dataclasses, named tuples and what they hold as plain JSON values; NaN becomes None."""
    if is_dataclass(value):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return None if unknown(value) else value


def unknown(value: Any) -> bool:
    """Whether a value is NaN."""
    return isinstance(value, float) and math.isnan(value)
