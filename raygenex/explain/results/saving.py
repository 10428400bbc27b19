"""How results are written: tables as CSV, figures as SVG and PNG, each whole or not at all."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raygenex.drawing.style import DPI, save
from raygenex.files.whole import replace_text


def write_table(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV, its first row the names of the columns, into a folder that is made if need be."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, stream.getvalue())


def save_figure(folder: Path, name: str, size: tuple[float, float], plot: Callable[[Axes], Axes]) -> None:
    """Draw on a new figure, its size in inches, and write NAME.svg and NAME.png; the folder is made if need be."""
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    plot(figure.subplots())
    folder.mkdir(parents=True, exist_ok=True)
    save(figure, folder / f"{name}.svg")
    save(figure, folder / f"{name}.png")
