"""The folder of a data set: put in place whole, with a record of what it holds, and never over its own inputs."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from raygenex.errors import DataError
from raygenex.files.locate import local_copy
from raygenex.files.whole import replace_text, sync, sync_tree


def put_in_place(partial: Path, folder: Path, names: Iterable[str], record_name: str, record: dict[str, Any]) -> None:
    """Move finished files into a folder, and write the record of what they are.

    The record goes first and comes last: it is never next to files that it does not describe.

    Parameters
    ----------
    partial
        Where the files are, on the same file system; one that is not there is removed from ``folder``.
    folder
        Where they go.
    names
        Their names.
    record_name, record
        The JSON file, and what it says.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    sync_tree(partial)
    (folder / record_name).unlink(missing_ok=True)
    for name in names:
        if (partial / name).exists():
            os.replace(partial / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    sync(folder)
    replace_text(folder / record_name, json.dumps(record, indent=2) + "\n")


def refuse_own_input(targets: Iterable[Path], inputs: Iterable[str], what: str) -> None:
    """Refuse, by a DataError, to write over a file that is read; ``what`` is being made, such as ``this split``."""
    sources = {os.path.realpath(local_copy(path)) for path in inputs}
    if clash := next((path for path in targets if os.path.realpath(path) in sources), None):
        raise DataError(f"{clash} is read for {what} and cannot be replaced by it: choose another folder")
