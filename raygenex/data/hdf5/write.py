"""Writing promoter files: a stream of rows becomes a whole file, or none."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.held import HeldFile
from raygenex.data.hdf5.schema import PROMOTER, SMALL_CHUNK_ROWS, TARGETS, Target
from raygenex.errors import DataError
from raygenex.files.locate import is_url
from raygenex.files.whole import whole_file
from raygenex.sequence import to_one_hot


class PromoterWriter:
    """Write a promoter file chunk by chunk; a context manager that leaves a whole file or none.

    Rows go to a temporary file next to the target, which is renamed when the block ends well and removed when it does
    not. At most ``chunk_rows`` rows and the block being appended are held in memory.

    Parameters
    ----------
    path
        The local file to write; its folder is made if needed.
    window
        Bases per promoter; 0 writes a file without promoters.
    chunk_rows
        Rows compressed together.
    overwrite
        Whether a file that exists is replaced.
    attrs
        Attributes to write on the file.
    targets
        What the columns of the targets are, whose values come with every block.

    Raises
    ------
    DataError
        If the file exists and may not be replaced, is a URL or cannot be written, or no rows were appended.
    """

    def __init__(
        self,
        path: str | Path,
        window: int,
        chunk_rows: int = 64,
        *,
        overwrite: bool = False,
        attrs: Mapping[str, str | int | float] | None = None,
        targets: Sequence[Target] = (),
    ) -> None:
        assert window >= 0, window
        assert chunk_rows >= 1, chunk_rows
        self.path = str(path)
        self.window = window
        self.chunk_rows = chunk_rows
        self.rows = 0
        self._overwrite = overwrite
        self._attrs = dict(attrs or {})
        self._targets = tuple(targets)
        self._pending: list[tuple[Any, ...]] = []
        self._names: tuple[str, ...] = ()

    def __enter__(self) -> "PromoterWriter":
        if is_url(self.path):
            raise DataError(f"{self.path} is a URL: write to a local path, then copy the file there")
        target = Path(self.path).absolute()
        if target.exists() and not self._overwrite:
            raise DataError(f"{self.path} exists already: give --force to replace it, or choose another path")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as stack:
                self._file = stack.enter_context(HeldFile(stack.enter_context(whole_file(target))))
                self._handle = _create(self._file, self.window, self.chunk_rows, self._attrs)
                self._whole = stack.pop_all()
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def append(
        self,
        gene_id: Sequence[str] | NDArray[np.object_],
        sequence: NDArray[np.uint8],
        halflife: NDArray[np.floating[Any]],
        label: NDArray[Any] | None,
        columns: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Add a block of rows.

        Parameters
        ----------
        gene_id
            ``n`` gene ids.
        sequence
            Base indices, uint8, shape ``(n, window)``, values 0 to 4.
        halflife
            Half-life features, shape ``(n, 8)``.
        label
            0 or 1, shape ``(n,)``; None, for every block, writes a file without labels.
        columns
            More columns by their name in the file, shape ``(n,)`` each, numbers or str objects: ``chrom``, ``tss`` and
            ``strand``, and ``extra/NAME``; ``targets``, float32 ``(n, T)``, if there are some; the same names for every
            block.
        """
        n = len(gene_id)
        assert sequence.shape == (n, self.window), (sequence.shape, n, self.window)
        assert halflife.shape == (n, len(HALFLIFE_FEATURES)), halflife.shape
        assert label is None or label.shape == (n,), label
        more = dict(columns or {}) | ({} if label is None else {"label": label})
        assert (TARGETS in more) == bool(self._targets), "values of targets come with their names"
        if n == 0:
            return
        if self.rows == 0 and not self._pending:
            for name, values in more.items():
                if name == TARGETS:
                    _add_targets(self._handle, self._targets)
                else:
                    _add_column(self._handle, name, np.uint8 if name == "label" else values.dtype)
            self._names = tuple(more)
        assert tuple(more) == self._names, "columns in some blocks only"
        for row in range(n):
            self._pending.append(
                (gene_id[row], sequence[row], halflife[row], *(more[name][row] for name in self._names))
            )
            if len(self._pending) == self.chunk_rows:
                try:
                    self._flush()
                except OSError as problem:
                    raise self._unwritable(problem) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                with contextlib.ExitStack() as stack:
                    stack.callback(self._whole.__exit__, kind, error, trace)
                    self._handle.close()
                return
            with self._whole:
                try:
                    self._flush()
                finally:
                    self._handle.close()
                self._file.check()
                if self.rows == 0:
                    raise DataError(f"there are no genes to write to {self.path}; check the input")
        except OSError as problem:
            raise self._unwritable(problem) from None

    def _unwritable(self, error: OSError) -> DataError:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return DataError(f"{self.path} cannot be written ({reason}); make room there, or choose another path")

    def _flush(self) -> None:
        if not self._pending:
            return
        gene_id, sequences, halflife, *more = zip(*self._pending, strict=True)
        columns: dict[str, Any] = {"gene_id": list(gene_id), "halflife": np.stack(halflife)}
        columns |= {name: list(values) for name, values in zip(self._names, more, strict=True)}
        if self.window:
            columns[PROMOTER] = to_one_hot(np.stack(sequences))
        stop = self.rows + len(self._pending)
        for name, values in columns.items():
            dataset = self._handle[name]
            dataset.resize(stop, axis=0)
            dataset[self.rows : stop] = values
        self._file.check()
        self.rows = stop
        self._pending = []


class SplitWriters:
    """Write the promoter files of several splits side by side; a context manager that leaves each file whole or not.

    The files are new ones, in a folder that goes if one of them cannot be written.

    ``paths`` are the files by split; the rest is as of `PromoterWriter`.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        window: int,
        *,
        attrs: Mapping[str, str | int | float] | None = None,
        targets: Sequence[Target] = (),
    ) -> None:
        self._writers = {
            name: PromoterWriter(path, window, attrs=attrs, targets=targets) for name, path in paths.items()
        }
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "SplitWriters":
        with contextlib.ExitStack() as stack:
            for writer in self._writers.values():
                stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def append(
        self,
        splits: NDArray[np.object_],
        gene_id: NDArray[np.object_],
        sequence: NDArray[np.uint8],
        halflife: NDArray[np.floating[Any]],
        label: NDArray[Any],
        columns: Mapping[str, NDArray[Any]],
    ) -> None:
        """Add each row of a block to the file of its split; rows of other splits are left out.

        Parameters
        ----------
        splits
            Name of the split of every row, shape ``(n,)``.
        gene_id, sequence, halflife, label, columns
            As of `PromoterWriter.append`.
        """
        for name, writer in self._writers.items():
            rows = np.flatnonzero(splits == name)
            more = {column: values[rows] for column, values in columns.items()}
            writer.append(gene_id[rows], sequence[rows], halflife[rows], label[rows], more)


def _create(file: HeldFile, window: int, chunk_rows: int, attrs: Mapping[str, str | int | float]) -> h5py.File:
    """Make a new promoter file without rows or labels; its datasets can be resized."""
    handle = h5py.File(file, "w")
    handle.attrs.update(attrs)
    features = len(HALFLIFE_FEATURES)
    handle.create_dataset("gene_id", (0,), h5py.string_dtype(), maxshape=(None,), chunks=(SMALL_CHUNK_ROWS,))
    handle.create_dataset(
        "halflife", (0, features), "float32", maxshape=(None, features), chunks=(SMALL_CHUNK_ROWS, features)
    )
    if window:
        handle.create_dataset(
            PROMOTER,
            (0, window, 4),
            bool,
            maxshape=(None, window, 4),
            chunks=(chunk_rows, window, 4),
            compression="gzip",
        )
    return handle


def _add_targets(handle: h5py.File, targets: Sequence[Target]) -> None:
    """Add the empty resizable field of targets, whose attributes say what its columns are."""
    field = handle.create_dataset(
        TARGETS, (0, len(targets)), "float32", maxshape=(None, len(targets)), chunks=(SMALL_CHUNK_ROWS, len(targets))
    )
    for name in ("name", "kind", "unit"):
        field.attrs.create(f"{name}s", [getattr(target, name) for target in targets], dtype=h5py.string_dtype())


def _add_column(handle: h5py.File, name: str, dtype: np.dtype[Any] | type) -> None:
    """Add an empty resizable column to a file made by `_create`; ``dtype`` is numeric, or object for text."""
    stored = h5py.string_dtype() if np.dtype(dtype) == object else dtype
    handle.create_dataset(name, (0,), stored, maxshape=(None,), chunks=(SMALL_CHUNK_ROWS,))
