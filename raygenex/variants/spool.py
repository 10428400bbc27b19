"""Windows to be scored, on the disk: one row per effect and, before the first effect on a gene, its reference.

A row is a number of its own, a gene, and an edit: the replaced stretch of the forward strand and the allele in its
place. A reference is an edit that replaces nothing by nothing, at position -1. It lies beside the effects on its gene,
so that who scores one has the others at hand. What only the table of effects needs lies in the same files, so that the
process that writes the table never holds more than one of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raygenex.data.rows import Columns, Piece

if TYPE_CHECKING:
    import pyarrow as pa

REFERENCE = -1
"""Position of the edit that leaves a gene as it is."""

_TYPES = {
    "gene": "int32",
    "start": "int64",
    "stop": "int64",
    "allele": "string",
    "scored": "bool",
    "variant_id": "string",
    "chrom": "string",
    "pos": "int64",
    "ref": "string",
    "alt": "string",
    "position": "int64",
    "kind": "string",
    "ref_match": "bool",
    "note": "string",
}
EDIT = ("gene", "start", "stop", "allele", "scored")
"""Columns that scoring reads."""
_ARRAYS = {"gene": np.int64, "start": np.int64, "stop": np.int64, "allele": np.str_, "scored": np.bool_}
_ROW_BYTES = 64


@dataclass(frozen=True)
class SpooledPart:
    """One file of rows."""

    path: str
    first: int
    """Number of its first row."""
    rows: int

    def piece(self, stop: int | None = None) -> Piece:
        """Return its rows as a piece that Ray Data reads, only the first ``stop`` of them if that is given."""
        rows = self.rows if stop is None else stop
        return Piece(self.path, rows, rows * _ROW_BYTES, partial(read_edits, self.path, self.first, rows))


class Spool:
    """Collects the effects to be scored and writes them, some thousands at a time.

    Every process that scores must reach the folder.
    """

    def __init__(self, folder: Path, rows_per_part: int) -> None:
        self._folder = folder
        self._size = rows_per_part
        self._waiting: list[tuple[Any, ...]] = []
        self._paths: list[tuple[str, int]] = []
        self.genes: dict[int, None] = {}
        """Genes that have an effect, in the order of their first one."""

    def add(self, *values: Any) -> None:
        """Add an effect: the values of all columns."""
        gene = values[0]
        if gene not in self.genes:
            self.genes[gene] = None
            self._put((gene, REFERENCE, REFERENCE, "", True, "", "", 0, "", "", 0, "", True, ""))
        self._put(values)

    def close(self) -> list[SpooledPart]:
        """Write what is left; return all parts, their rows numbered from 0."""
        self._flush()
        parts, first = [], 0
        for path, rows in self._paths:
            parts.append(SpooledPart(path, first, rows))
            first += rows
        return parts

    def _put(self, row: tuple[Any, ...]) -> None:
        self._waiting.append(row)
        if len(self._waiting) == self._size:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._waiting:
            return
        path = str(self._folder / f"windows-{len(self._paths):08d}.parquet")
        columns = {
            name: pa.array(values, pa.type_for_alias(_TYPES[name]))
            for name, values in zip(_TYPES, zip(*self._waiting, strict=True), strict=True)
        }
        pq.write_table(pa.table(columns), path)
        self._paths.append((path, len(self._waiting)))
        self._waiting = []


def part_table(path: str, columns: Iterable[str] = tuple(_TYPES)) -> "pa.Table":
    """Read columns of one file."""
    import pyarrow.parquet as pq

    # Read as one file: as a dataset, a folder named like key=value would become a column.
    return pq.ParquetFile(path).read(list(columns))


def read_edits(path: str, first: int, rows: int) -> Columns:
    """Read the edits of the first ``rows`` rows of a file, with their numbers from ``first``."""
    found = part_table(path, EDIT)[:rows]
    columns = {name: found[name].to_numpy().astype(_ARRAYS[name]) for name in EDIT}
    return {"row": np.arange(first, first + rows, dtype=np.int64)} | columns
