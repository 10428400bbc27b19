"""What identifies a file of data, or an array: the sha256 of its bytes."""

import functools
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.files.locate import local_copy


def fingerprint(path: str) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits; ``path`` is a local path or an fsspec URL.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        local = local_copy(path)
        state = os.stat(local)
        return _sha256(local, (state.st_ino, state.st_size, state.st_mtime_ns))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from None


def fingerprints(paths: Iterable[str]) -> list[str]:
    """Return the `fingerprint` of each of several files."""
    # Hashing holds no lock of Python's, and on a network file system waiting is most of it.
    with ThreadPoolExecutor() as pool:
        return list(pool.map(fingerprint, paths))


def array_sha256(values: NDArray[Any]) -> str:
    """Return the sha256 of the values of an array in the order of its rows, 64 hex digits."""
    return hashlib.sha256(values.tobytes()).hexdigest()


@functools.lru_cache(maxsize=4096)
def _sha256(path: str, _state: tuple[int, int, int]) -> str:
    """Return the sha256 of a file; one that did not change is read once, however many trainings of a process ask."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
