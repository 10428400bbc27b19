"""Reading the files of a run's folder, all in one way: what is absent is None, what is damaged is one sentence."""

import csv
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.files.errors import is_of_a_path
from raygenex.files.json_file import load_json

Read = TypeVar("Read")


def read_json(path: Path, again: str, make: Callable[[Any], Read]) -> Read | None:
    """Read a JSON file and make something of its values.

    Parameters
    ----------
    path
        The file; one that is absent is None.
    again
        The command that writes it again, for the message.
    make
        Takes the values; KeyError, TypeError, AttributeError, IndexError and ValueError say that they do not fit.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    try:
        return make(load_json(path))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise _damaged(path, again) from None


def read_table(path: Path, again: str, columns: tuple[str, ...]) -> list[dict[str, str]] | None:
    """Read a CSV file with a header; takes and raises what `read_json` does.

    ``columns`` are those that it must have.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, csv.Error):
        raise _damaged(path, again) from None
    # A line that breaks off has None for what it lacks, one that is too long has a list.
    broken = any(None in row or None in row.values() for row in rows)
    if broken or not set(columns) <= set(reader.fieldnames or ()):
        raise _damaged(path, again)
    return rows


def numbers(rows: list[dict[str, str]], column: str, path: Path, again: str) -> NDArray[np.float64]:
    """Return a column of a table as float64, shape ``(rows,)``, empty cells as NaN; raises as `read_json` does.

    A table without the column is damaged.
    """
    try:
        return np.array([float(row[column] or "nan") for row in rows], dtype=np.float64)
    except (ValueError, KeyError):
        raise _damaged(path, again) from None


def read_arrays(path: Path, again: str, names: tuple[str, ...]) -> dict[str, NDArray[Any]] | None:
    """Read arrays of an npz file by their names; takes and raises what `read_json` does."""
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in names}
    except FileNotFoundError:
        return None
    except MemoryError:
        raise DataError(
            f"{path} holds arrays that do not fit into the memory: free some, or make it again with `{again}`"
        ) from None
    except (ValueError, LookupError, EOFError, OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        if isinstance(error, OSError) and is_of_a_path(error):
            raise
        raise _damaged(path, again) from None


def _damaged(path: Path, again: str) -> DataError:
    return DataError(f"{path} is damaged: make it again with `{again}`, or take it out of the folder")
