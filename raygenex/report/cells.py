"""Cells of a page's tables: numbers with their spread, intervals and p-values as text."""

from raygenex.drawing.style import MINUS
from raygenex.stats.resamples import Interval

NOTHING = "\N{EN DASH}"
"""A cell without a number."""


def interval_text(value: Interval) -> str:
    """Write a number and the ends of its interval."""
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def difference_text(value: float, low: float, high: float) -> str:
    """Write a difference and the ends of its interval, with their signs."""
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})".replace("-", MINUS)


def spread_text(mean: float, sd: float | None) -> str:
    """Write a mean and its standard deviation, None for one value."""
    return f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"


def p_text(value: float) -> str:
    """Write a p-value."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def short(text: str, digits: str = ".4g") -> str:
    """Write a number in so many digits, and anything else as it is."""
    try:
        return f"{float(text):{digits}}"
    except ValueError:
        return text
