"""Open HDF5 files, and sentences for what h5py raises on damaged ones."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import h5py

from raygenex.data.hdf5.schema import PROMOTER, PromoterFile
from raygenex.errors import DataError, RaygenexError, first_line
from raygenex.files.errors import DISK_ERRORS, system_error
from raygenex.files.lines import unreadable
from raygenex.files.locate import local_copy

MIB = 2**20
MAX_CACHE_BYTES = 256 * MIB
# How HDF5's own library quotes the system, behind a time that breaks the line.
_NUMBERED = re.compile(r"\berrno = (\d+)")


@contextmanager
def opened(path: str, cache_bytes: int = MIB) -> Iterator[h5py.File]:
    """Open a file for reading, with so much memory for its chunks.

    Raises
    ------
    DataError
        If it is missing, a folder, not HDF5 or truncated, or may not be read; also for what does not fit into the
        memory while it is open.
    """
    try:
        # Locks fail on many network file systems and protect nothing here: files are replaced, never changed in place.
        handle = h5py.File(local_copy(path), "r", locking=False, rdcc_nbytes=cache_bytes, rdcc_nslots=10007)
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name an HDF5 file in it, or several with a glob: {path}/*.h5") from None
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(path, error) from None
    except OSError as error:
        _raise_of_disk(error, path)
        if "truncated file" in str(error):
            raise DataError(f"{path} is truncated: its end is missing; copy or download it again") from None
        if "signature not found" in str(error):
            raise DataError(
                f"{path} is not an HDF5 file; name a file with gene_id, halflife, promoter, label"
            ) from None
        raise DataError(f"{path} cannot be opened as HDF5 ({error}); copy or download it again") from None
    with handle:
        try:
            yield handle
        except MemoryError:
            raise DataError(
                f"{path} holds values that do not fit into the memory; split it into several files"
            ) from None


@contextmanager
def opened_known(file: PromoterFile) -> Iterator[h5py.File]:
    """Open a file that was inspected.

    Raises
    ------
    DataError
        As from `opened`, and if the promoters are no longer those that were inspected.
    """
    # A chunk that does not fit the cache is decompressed again for every block that touches it.
    band = file.stored_row_bytes * file.chunk_rows
    with opened(file.path, cache_bytes=min(max(band, MIB), MAX_CACHE_BYTES)) as handle:
        with reading(file.path):
            shape = getattr(handle.get(PROMOTER), "shape", None)
        if shape != ((file.rows, file.window, 4) if file.window else None):
            raise DataError(f"{file.path} was changed after it was checked; start again when it is complete")
        yield handle


@contextmanager
def reading(path: str, rows: tuple[int, int] | None = None, text: str | None = None) -> Iterator[None]:
    """Name the file in what h5py raises on a damaged one; errors of the disk and of this package stay themselves.

    Parameters
    ----------
    path
        The file.
    rows
        The first row that is read and the one after the last, if it is some rows that are read.
    text
        The field of text among what is read of them.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    try:
        yield
    except RaygenexError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, OverflowError) as error:
        _raise_of_disk(error, path)
        shown = "" if rows is None else f"rows {rows[0]} to {rows[1] - 1}"
        if rows is not None and isinstance(error, UnicodeDecodeError):
            raise DataError(f"{path}: {text} in {shown} is not UTF-8; write it again") from None
        if rows is not None and isinstance(error, OSError):
            raise DataError(f"{path} is damaged somewhere in {shown} ({error}); copy or download it again") from None
        # What is wrong inside a file, h5py says by nearly any class.
        raise DataError(f"{path} is damaged, or not a promoter file ({first_line(error)}); write it again") from None


def _raise_of_disk(error: Exception, path: str) -> None:
    """Raise what HDF5 says of a disk as the system's own error."""
    number = system_error(error)
    if quoted := _NUMBERED.search(str(error)):
        number = int(quoted[1])
    if number in DISK_ERRORS:
        raise OSError(number, os.strerror(number), path) from error
