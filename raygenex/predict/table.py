"""The table of predictions, Parquet or CSV, written block by block, so that it may be larger than memory."""

import contextlib
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from raygenex.files.whole import whole_file

Add = Callable[[Any, np.ndarray, np.ndarray], None]
"""Adds genes: ``gene_id``, ``probability`` and ``prediction``, shape ``(n,)`` each."""


@contextlib.contextmanager
def open_predictions(target: Path) -> Iterator[Add]:
    """Write a prediction table aside; it takes its name on leaving, and nothing is left of it after an error.

    Parameters
    ----------
    target
        A file whose suffix is one of `SUFFIXES`.

    Yields
    ------
    What adds genes to the table.
    """
    with whole_file(target.absolute()) as aside, _OPENED[target.suffix](aside) as add:
        yield add


def write_predictions(target: Path, gene_id: np.ndarray, probability: np.ndarray, prediction: np.ndarray) -> None:
    """Write a whole prediction table, as `open_predictions` does."""
    with open_predictions(target) as add:
        add(gene_id, probability, prediction)


@contextlib.contextmanager
def _open_parquet(path: Path) -> Iterator[Add]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("gene_id", pa.string()), ("probability", pa.float64()), ("prediction", pa.int8())])
    with pq.ParquetWriter(path, schema) as writer:

        def add(gene_id: Any, probability: np.ndarray, prediction: np.ndarray) -> None:
            columns = {"gene_id": [str(gene) for gene in gene_id], "probability": probability, "prediction": prediction}
            writer.write_table(pa.table(columns, schema=schema))

        yield add


@contextlib.contextmanager
def _open_csv(path: Path) -> Iterator[Add]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["gene_id", "probability", "prediction"])

        def add(gene_id: Any, probability: np.ndarray, prediction: np.ndarray) -> None:
            # repr of a float reads back as the same float.
            writer.writerows(
                (gene, repr(float(p)), int(call))
                for gene, p, call in zip(gene_id, probability, prediction, strict=True)
            )

        yield add


_OPENED = {".parquet": _open_parquet, ".csv": _open_csv}
SUFFIXES = tuple(_OPENED)
"""The formats of a prediction table, by the suffix of its file."""
