"""Tables of genes that can be read by row range, and the pieces they are cut into.

Promoters in HDF5 and embeddings in Parquet look the same from here on: a `Rows` knows its size from metadata and is cut
into `Piece` objects, each a range that one task reads. Nothing here needs Ray.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import accumulate
from typing import Protocol

import numpy as np

from raygenex.data.hdf5.read import read_rows, read_table
from raygenex.data.hdf5.schema import PromoterFile

Columns = dict[str, np.ndarray]

# Small enough that a few blocks in flight never matter, large enough that a block outweighs the task that reads it.
BLOCK_BYTES = 8 * 2**20
# Reads of a small table still spread over several workers.
MIN_PIECES = 8


@dataclass(frozen=True)
class Piece:
    """A row range that one task reads as one block.

    ``read`` is a picklable call that returns the columns; every piece of a dataset has the same ones, among them
    ``row`` (int64), the gene's number in its split.
    """

    path: str
    rows: int
    size_bytes: int
    read: Callable[[], Columns]


class Rows(Protocol):
    """A table of genes, numbered from 0, that can be cut into pieces anywhere."""

    @property
    def count(self) -> int:
        """Genes in the table."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a gene in memory."""

    def pieces(self, start: int, stop: int, rows_per_piece: int) -> list[Piece]:
        """Cut the rows ``start`` to ``stop`` (exclusive) into pieces of at most ``rows_per_piece`` rows."""


@dataclass(frozen=True)
class PromoterRows:
    """The genes of one split in one or several HDF5 files, in order.

    ``window`` may be 0, of files without promoters or for a model that reads no DNA: no bases are read then. Its
    columns are ``gene_id``, ``row``, ``sequence`` (uint8 base indices, shape ``(n, window)``), ``halflife``
    (float32, shape ``(n, 8)``), ``label`` (uint8) where every file has one, and ``split``.
    """

    files: tuple[PromoterFile, ...]
    window: int
    split: str
    features: np.ndarray | None = field(default=None, compare=False)
    """What ``halflife`` holds where a model reads others than the eight, float32 ``(N, F)``; None: those."""

    @property
    def count(self) -> int:
        """Genes in all files."""
        return self._ends[-1]

    @property
    def halflife(self) -> np.ndarray:
        """The column ``halflife`` of all genes, float32 ``(N, F)``."""
        if self.features is not None:
            return self.features
        return np.concatenate([read_table(file).halflife for file in self.files])

    @property
    def row_bytes(self) -> int:
        """Bytes of a gene in memory."""
        beside = 8 if self.features is None else self.features.shape[1]
        return self.window + beside * 4 + 48

    @cached_property
    def has_label(self) -> bool:
        """Whether every file carries labels."""
        return all(file.has_label for file in self.files)

    def pieces(self, start: int, stop: int, rows_per_piece: int) -> list[Piece]:
        """Cut rows into pieces that end on HDF5 chunk boundaries where they can, so that chunks are read once."""
        pieces = []
        first = 0
        for file in self.files:
            step = min(max(1, rows_per_piece // file.chunk_rows) * file.chunk_rows, rows_per_piece)
            low, high = max(start - first, 0), min(stop - first, file.rows)
            while low < high:
                end = min((low // step + 1) * step, high)
                pieces.append(self.piece(first + low, first + end))
                low = end
            first += file.rows
        return pieces

    def piece(self, start: int, stop: int) -> Piece:
        """Return exactly the rows ``start`` to ``stop`` as one piece, even across files."""
        # A piece travels to the process that reads it, and takes no file along that it does not need.
        low = bisect_right(self._ends, start)
        high = bisect_left(self._ends, stop) + 1
        first = self._ends[low - 1] if low else 0
        part = _FileRange(self.files[low:high], first, self.window, self.split, self.has_label)
        read = partial(part.read, start, stop)
        piece = Piece(part.files[0].path, stop - start, (stop - start) * self.row_bytes, read)
        return piece if self.features is None else _replaced(piece, {"halflife": self.features[start:stop]})

    @cached_property
    def _ends(self) -> list[int]:
        """For each file, the number of genes in it and in those before."""
        return list(accumulate(file.rows for file in self.files))


@dataclass(frozen=True)
class _FileRange:
    """Some consecutive files of a table, whose first row has the number ``first`` in it."""

    files: tuple[PromoterFile, ...]
    first: int
    window: int
    split: str
    labels: bool

    def read(self, start: int, stop: int) -> Columns:
        parts: list[Columns] = []
        first = self.first
        for file in self.files:
            low, high = max(start - first, 0), min(stop - first, file.rows)
            if low < high:
                parts.append(read_rows(file, low, high, self.window))
            first += file.rows
        names = [name for name in parts[0] if name != "label" or self.labels]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
        columns["row"] = np.arange(start, stop, dtype=np.int64)
        columns["split"] = np.full(stop - start, self.split)
        return columns


@dataclass(frozen=True)
class ReplacedRows:
    """Rows of genes of which some columns hold something else than their own."""

    rows: Rows
    columns: Mapping[str, np.ndarray]
    """By name, one entry of the first axis per gene."""

    @property
    def count(self) -> int:
        """Genes in the table."""
        return self.rows.count

    @property
    def features(self) -> np.ndarray | None:
        """What ``halflife`` holds in place of its own, float32 ``(N, F)``; None: its own."""
        return self.columns.get("halflife")

    @property
    def row_bytes(self) -> int:
        """Bytes of a gene in memory."""
        return self.rows.row_bytes + sum(column.nbytes for column in self.columns.values()) // max(1, self.count)

    def pieces(self, start: int, stop: int, rows_per_piece: int) -> list[Piece]:
        """Cut the rows as the table itself is cut; each piece takes its values along."""
        pieces = []
        for piece in self.rows.pieces(start, stop, rows_per_piece):
            here = slice(start, start + piece.rows)
            pieces.append(_replaced(piece, {name: column[here] for name, column in self.columns.items()}))
            start = here.stop
        assert start == stop, (start, stop)
        return pieces


def _replaced(piece: Piece, columns: Columns) -> Piece:
    # Copies, so that a piece does not take the values of all genes along.
    own = {name: column.copy() for name, column in columns.items()}
    return replace(piece, read=partial(_with_columns, piece, own))


def _with_columns(piece: Piece, columns: Columns) -> Columns:
    return piece.read() | columns


def shard_bounds(count: int, rank: int, world_size: int) -> tuple[int, int]:
    """Return the rows of one worker: contiguous, disjoint, complete, and no two workers differ by more than one."""
    return rank * count // world_size, (rank + 1) * count // world_size


def blocks(rows: Rows, start: int = 0, stop: int | None = None) -> list[Piece]:
    """Cut the rows ``start`` to ``stop`` (exclusive; None is the end) into pieces of about 8 MiB."""
    stop = rows.count if stop is None else stop
    by_size = max(1, BLOCK_BYTES // rows.row_bytes)
    by_count = max(64, -(-(stop - start) // MIN_PIECES))
    return rows.pieces(start, stop, min(by_size, by_count))
