"""The table of predictions, Parquet or CSV, written block by block, so that it may be larger than memory."""

import contextlib
import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.files.whole import whole_file
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.targets import LABEL_TYPES, column_types

Add = Callable[[Any, Mapping[str, NDArray[Any]]], None]
"""Adds genes: ``gene_id`` and the other columns by name, shape ``(n,)`` each."""


def prediction_types(info: CheckpointInfo) -> dict[str, str]:
    """Return the columns of a model's predictions behind ``gene_id``, and the types of their numbers."""
    return column_types(info.targets) or LABEL_TYPES


@contextlib.contextmanager
def open_predictions(target: Path, types: Mapping[str, str]) -> Iterator[Add]:
    """Write a prediction table aside; it takes its name on leaving, and nothing is left of it after an error.

    Parameters
    ----------
    target
        A file whose suffix is one of `SUFFIXES`.
    types
        Its columns behind ``gene_id``, and the types of their numbers.

    Yields
    ------
    What adds genes to the table.
    """
    with whole_file(target.absolute()) as aside, _OPENED[target.suffix](aside, types) as add:
        yield add


@contextlib.contextmanager
def _open_parquet(path: Path, types: Mapping[str, str]) -> Iterator[Add]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [(name, pa.from_numpy_dtype(np.dtype(kind))) for name, kind in types.items()]
    schema = pa.schema([("gene_id", pa.string()), *fields])
    with pq.ParquetWriter(path, schema) as writer:

        def add(gene_id: Any, columns: Mapping[str, NDArray[Any]]) -> None:
            whole: dict[str, Any] = {"gene_id": [str(gene) for gene in gene_id]}
            whole |= {name: columns[name].astype(kind) for name, kind in types.items()}
            writer.write_table(pa.table(whole, schema=schema))

        yield add


@contextlib.contextmanager
def _open_csv(path: Path, types: Mapping[str, str]) -> Iterator[Add]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["gene_id", *types])

        def add(gene_id: Any, columns: Mapping[str, NDArray[Any]]) -> None:
            # What Python has of a number reads back as the same number.
            values = [columns[name].astype(kind).tolist() for name, kind in types.items()]
            writer.writerows((gene, *map(repr, row)) for gene, *row in zip(gene_id, *values, strict=True))

        yield add


_OPENED = {".parquet": _open_parquet, ".csv": _open_csv}
SUFFIXES = tuple(_OPENED)
"""The formats of a prediction table, by the suffix of its file."""
