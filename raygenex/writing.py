"""Files and folders that appear whole or not at all: written aside, brought to the disk, and renamed into place.

What is written aside is a hidden neighbour of its target, ``.NAME.xxxxxxxx.aside``, locked by the process that writes
it. The lock ends with the process, however it ends, so what a killed process left is told from what is being written:
the next one that writes the same target removes it.
"""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from raygenex.errors import DISK_ERRORS, RaygenexError, system_error

_ASIDE = "aside"
# A folder on its way out, which its successor has not replaced yet.
_BEFORE = "before"
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_LEFT = re.compile(rf"^\.(?P<name>.+)\.[0-9a-f]{{8}}\.(?P<kind>{_ASIDE}|{_BEFORE})$")


@contextmanager
def whole_file(path: Path, sweep: bool = True) -> Iterator[Path]:
    """Yield a path to write to; the file is put in the place of ``path`` after the block, or removed if that failed.

    Parameters
    ----------
    path
        Where the file is to be, in a folder that exists.
    sweep
        Whether to look for what killed processes left of this file; false for the many files of a folder that
        `remove_leftovers` is called for.
    """
    if sweep:
        remove_leftovers(path.parent, path.name)
    with _aside(path, Path.touch) as aside:
        yield aside
        sync(aside)
        aside.replace(path)
        sync(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it is put in the place of ``path`` after the block, or removed if that failed."""
    with aside_folder(path) as aside:
        yield aside
        replace_folder(aside, path)


@contextmanager
def aside_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that is removed after the block; ``path`` itself need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    with _aside(path, Path.mkdir) as aside:
        yield aside


def replace_text(path: Path, text: str) -> None:
    """Write a text as a whole file."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes, sweep: bool = True) -> None:
    """Write bytes as a whole file; ``sweep`` as in `whole_file`."""
    with whole_file(path, sweep) as aside:
        aside.write_bytes(content)


def replace_folder(source: Path, target: Path) -> None:
    """Put a finished folder in the place of another; whenever the process dies, one of the two is there or comes back.

    `remove_leftovers` brings back the old one, where the process died in the moment in which neither is in place.
    """
    sync_tree(source)
    if not target.exists():
        source.rename(target)
        sync(target.parent)
        return
    old = target.with_name(f".{target.name}.{uuid4().hex[:8]}.{_BEFORE}")
    with _locked(target):
        target.rename(old)
        source.rename(target)
        sync(target.parent)
        shutil.rmtree(old)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left in a folder, of one target or of all; nothing that a living one writes."""
    if not folder.is_dir():
        return
    for entry in os.listdir(folder):
        left = _LEFT.match(entry)
        if left is None or (name is not None and left["name"] != name):
            continue
        path, target = folder / entry, folder / left["name"]
        # One that another process holds is no leftover; nor is one that it has removed or put in place.
        with suppress(OSError), _locked(path, wait=False):
            if not path.exists():
                continue
            if left["kind"] == _BEFORE and not target.exists():
                path.rename(target)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def sync_tree(folder: Path) -> None:
    """Bring all files of a folder to the disk, and the folder itself."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


@contextmanager
def _aside(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make something beside ``path`` that is locked, and is gone after the block unless it was renamed."""
    with ExitStack() as stack:
        while True:
            aside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.{_ASIDE}")
            try:
                make(aside)
            except OSError as error:
                error.filename = str(path)
                raise
            # Until it is locked, another process may take it for a leftover.
            with suppress(FileNotFoundError):
                stack.enter_context(_locked(aside))
            if aside.exists():
                break
        try:
            yield aside
        except Exception as error:
            # Whoever reads the message knows the target, not what is beside it, and some libraries name neither.
            number = system_error(error)
            if isinstance(error, OSError):
                if error.filename == str(aside) or (error.filename is None and number in DISK_ERRORS):
                    error.filename = str(path)
            elif number is not None and not isinstance(error, RaygenexError):
                raise OSError(number, os.strerror(number), str(path)) from error
            raise
        finally:
            if aside.is_dir():
                shutil.rmtree(aside)
            else:
                aside.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a file or folder; without ``wait``, a BlockingIOError says that another process does."""
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            # Where nothing can be locked, files are written all the same, and nothing is taken for a leftover.
            if not wait or error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Bring a file to the disk, or which files a folder has."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
