"""Text files of any size, plain or gzip, one line after the other."""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator

from raygenex.data.locate import local_copy
from raygenex.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of every gzip and bgzip file."""

_LINES_A_REPORT = 20_000


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
        If the file is missing, a folder, closed to this user, truncated, damaged, or not text.
    """
    number = 0
    try:
        with open(local_copy(path), "rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            for number, line in enumerate(gzip.GzipFile(fileobj=raw) if zipped else raw, 1):
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
            return DataError(f"{path} is damaged: it is no intact gzip file; copy or download it again")
        case _:
            return DataError(f"{path} cannot be read ({error.strerror or error}); check the file and its disk")
