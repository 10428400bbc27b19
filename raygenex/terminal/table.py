"""Tables of text for a terminal."""

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], align: str = "") -> list[str]:
    """Return rows of text as lines of aligned columns, two spaces apart.

    Parameters
    ----------
    rows
        Cells, as many in every row; the first row may be the headings.
    align
        ``<`` (left) or ``>`` (right) for each column; all to the left by default.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = [f"{side}{width}" for side, width in zip(align or "<" * len(widths), widths, strict=True)]
    return ["  ".join(map(format, row, formats)).rstrip() for row in rows]
