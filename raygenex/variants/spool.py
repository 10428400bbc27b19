"""Windows to be scored, on the disk: first the reference of every gene that has a variant, then one row per effect.

A row is a number of its own, a gene, and an edit: the replaced stretch of the forward strand and the allele in its
place. A reference is an edit that replaces nothing by nothing, at position -1. What only the table of effects needs
lies in the same files, so that the process that writes the table never holds more than one of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from raygenex.data.rows import Columns, Piece

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
        self.genes[values[0]] = None
        self._waiting.append(values)
        if len(self._waiting) == self._size:
            self._flush()

    def close(self) -> list[SpooledPart]:
        """Write what is left and the references; return all parts, those of references first, numbered from 0."""
        self._flush()
        effects, self._paths = self._paths, []
        for gene in self.genes:
            self._waiting.append((gene, REFERENCE, REFERENCE, "", True, "", "", 0, "", "", 0, "", True, ""))
            if len(self._waiting) == self._size:
                self._flush()
        self._flush()
        parts, first = [], 0
        for path, rows in [*self._paths, *effects]:
            parts.append(SpooledPart(path, first, rows))
            first += rows
        self._paths = effects
        return parts

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._waiting:
            return
        kind = "references" if self._waiting[0][1] == REFERENCE else "effects"
        path = str(self._folder / f"{kind}-{len(self._paths):08d}.parquet")
        columns = {
            name: pa.array(values, pa.type_for_alias(_TYPES[name]))
            for name, values in zip(_TYPES, zip(*self._waiting, strict=True), strict=True)
        }
        pq.write_table(pa.table(columns), path)
        self._paths.append((path, len(self._waiting)))
        self._waiting = []


def read_part(path: str, columns: Iterable[str] = tuple(_TYPES)) -> dict[str, list[Any]]:
    """Read columns of one file as lists."""
    import pyarrow.parquet as pq

    # Read as one file: as a dataset, a folder named like key=value would become a column.
    return pq.ParquetFile(path).read(list(columns)).to_pydict()


def read_edits(path: str, first: int, rows: int) -> Columns:
    """Read the edits of the first ``rows`` rows of a file, with their numbers from ``first``."""
    found = read_part(path, EDIT)
    return {
        "row": np.arange(first, first + rows, dtype=np.int64),
        "gene": np.array(found["gene"][:rows], dtype=np.int64),
        "start": np.array(found["start"][:rows], dtype=np.int64),
        "stop": np.array(found["stop"][:rows], dtype=np.int64),
        "allele": np.array(found["allele"][:rows], dtype=np.str_),
        "scored": np.array(found["scored"][:rows], dtype=bool),
    }
