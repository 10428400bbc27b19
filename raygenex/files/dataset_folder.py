"""The folder of a data set: put in place whole, with a record of what it holds, and never over its own inputs."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from raygenex.errors import DataError, RaygenexError
from raygenex.files.fingerprint import fingerprint
from raygenex.files.leftovers import remove_leftovers
from raygenex.files.locate import file_among, local_copy
from raygenex.files.lock import exclusive
from raygenex.files.whole import aside_folder, replace_text, sync, sync_tree


def check_place(folder: Path, names: Iterable[str]) -> None:
    """Refuse, by a DataError, a data set where a file is in the place of its folder, or a folder in that of a file."""
    if (file := file_among(folder)) is not None:
        raise DataError(f"{file} is a file where the folder of a data set goes: name another folder")
    if taken := next((folder / name for name in names if (folder / name).is_dir()), None):
        raise DataError(f"{taken} is a folder where a file of a data set goes: remove it, or name another folder")


@contextmanager
def made_in(folder: Path) -> Iterator[Path]:
    """Hold the folder of a data set, made if needed, and yield an empty folder within it to make the files in.

    What is not moved out of that folder is gone after the block, and so is ``folder``, if it is new and empty.

    Raises
    ------
    RaygenexError
        If another process makes a data set there.
    DataError
        If it cannot be written.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder, "making a data set", inside=True), aside_folder(folder / "data") as partial:
            # Also what older versions left, under other names.
            remove_leftovers(folder)
            try:
                yield partial
            except RaygenexError as error:
                # Whoever reads the message knows the folder, not what is made in it meanwhile.
                error.args = (str(error).replace(str(partial), str(folder)),)
                raise
    except OSError as error:
        if error.filename is not None and not Path(str(error.filename)).is_relative_to(folder):
            # Of what is read.
            raise
        reason = error.strerror or error
        raise DataError(f"{folder} cannot be written ({reason}); make room there, or choose another folder") from None
    finally:
        if is_new:
            with suppress(OSError):
                folder.rmdir()


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
    move_in(partial, folder, names)
    replace_text(folder / record_name, json.dumps(record, indent=2) + "\n")


def move_in(partial: Path, folder: Path, names: Iterable[str]) -> None:
    """Move files that are on the disk into a folder; one that is not in ``partial`` is removed from ``folder``."""
    for name in names:
        if (partial / name).exists():
            os.replace(partial / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    sync(folder)


def holds(folder: Path, sha256: Any) -> bool:
    """Whether a folder still has the files of its record, each with this sha256 by its name."""
    return isinstance(sha256, dict) and all(
        (folder / name).exists() and fingerprint(str(folder / name)) == known for name, known in sha256.items()
    )


def refuse_own_input(targets: Iterable[Path], inputs: Iterable[str], what: str) -> None:
    """Refuse, by a DataError, to write over a file that is read; ``what`` is being made, such as ``this split``."""
    sources = {os.path.realpath(local_copy(path)) for path in inputs}
    if clash := next((path for path in targets if os.path.realpath(path) in sources), None):
        raise DataError(f"{clash} is read for {what} and cannot be replaced by it: choose another folder")
