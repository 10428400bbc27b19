"""Text files of any size, plain or gzip, one line after the other."""

import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

from raygenex.errors import DataError
from raygenex.files.locate import local_copy

GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of every gzip and bgzip file."""

LONGEST_LINE = 64 * 2**20
"""Bytes that a line may have: genotypes of a million people fit."""

MOST_UNPACKED = 500
"""Times as large as its file that a table, which is read whole, may be; text packs 5 to 100 times, zeros 1,000."""

_ALWAYS_UNPACKED = 64 * 2**20
_BUFFER = 1 << 17
_LINES_A_REPORT = 20_000
# No chromosome is that long, and what is shorter fits an integer of any computer.
_POSITION_DIGITS = 13


def is_position(text: str) -> bool:
    """Whether a text is a whole number from 0 that can be a position on a chromosome."""
    return text.isascii() and text.isdigit() and len(text) < _POSITION_DIGITS


def unpacked(raw: BinaryIO) -> BinaryIO:
    """Return the contents of an open gzip file, which is read from its start.

    Reading raises an OSError where they grow beyond `MOST_UNPACKED` times the file: a small file that fills the memory.
    """
    raw.seek(0)
    return io.BufferedReader(_Unpacked(raw), _BUFFER)


class _Unpacked(io.RawIOBase):
    """Counts what a gzip file gives."""

    def __init__(self, raw: BinaryIO) -> None:
        size = os.fstat(raw.fileno()).st_size
        self._stream = gzip.GzipFile(fileobj=raw)
        self._left = max(_ALWAYS_UNPACKED, MOST_UNPACKED * size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise OSError(f"it unpacks to more than {MOST_UNPACKED} times its size")
        return count


def read_lines(path: str, on_progress: Callable[[int, int], None] | None = None) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file, plain or gzip (told from its content), with their numbers from 1.

    Parameters
    ----------
    path
        A local path or an fsspec URL.
    on_progress
        Called now and then with the bytes of the file that are read, and all its bytes.

    Raises
    ------
    DataError
        If the file is missing, a folder, closed to this user, truncated, damaged, or not text, or if a line is longer
        than `LONGEST_LINE`. The whole may be of any size: genotypes of many people pack over 1,000 times.
    """
    number = 0
    try:
        with open(local_copy(path), "rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            stream: BinaryIO = io.BufferedReader(gzip.GzipFile(fileobj=raw), _BUFFER) if zipped else raw
            for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE), b""), 1):
                if len(line) >= LONGEST_LINE:
                    raise DataError(
                        f"{path}: line {number} is longer than {LONGEST_LINE >> 20} MiB; name a file of shorter lines"
                    )
                if on_progress is not None and number % _LINES_A_REPORT == 0:
                    on_progress(raw.tell(), size)
                yield number, line.decode().rstrip("\r\n")
            if on_progress is not None:
                on_progress(size, size)
    except UnicodeDecodeError:
        raise DataError(f"{path}: line {number} is not text (UTF-8); name a text file, plain or gzip") from None
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: OSError | EOFError | zlib.error) -> DataError:
    """Say in a sentence why a file, plain or gzip, cannot be read."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return DataError(f"{path} does not exist; check the path")
        case IsADirectoryError():
            return DataError(f"{path} is a folder; name a file in it")
        case PermissionError():
            return DataError(f"{path} may not be read by this user; change its permissions")
        case EOFError():
            return DataError(f"{path} is truncated: its end is missing; copy or download it again")
        case gzip.BadGzipFile() | zlib.error():
            return DataError(f"{path} is damaged: it is not an intact gzip file; copy or download it again")
        case _:
            return DataError(f"{path} cannot be read ({error.strerror or error}); check the file and its disk")
