"""Files and folders that appear whole or not at all: written aside, brought to the disk, and renamed into place."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from raygenex.errors import RaygenexError
from raygenex.files.errors import DISK_ERRORS, system_error
from raygenex.files.leftovers import ASIDE, BEFORE, aside_file, locked_name, remove, remove_leftovers, settle

_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.ENOTEMPTY}


@contextmanager
def whole_file(path: Path, sweep: bool = True) -> Iterator[Path]:
    """Yield a path to write to; the file is put in the place of ``path`` after the block, or removed if that failed.

    Parameters
    ----------
    path
        Where the file is to be, in a folder that exists; a link is followed, and a file there keeps its mode.
    sweep
        Whether to look for what killed processes left of this file; false for the many files of a folder that
        `remove_leftovers` is called for.
    """
    path = _followed(path)
    if sweep:
        remove_leftovers(path.parent, path.name)
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else None
    with aside_file(path) as aside, _told_of(aside, path):
        if mode is not None:
            # From the beginning, so that nobody reads a private file while it is written.
            _give_mode(aside, mode | stat.S_IRUSR | stat.S_IWUSR)
        yield aside
        if mode is not None:
            _give_mode(aside, mode)
        sync(aside)
        aside.replace(path)
        sync(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it is put in the place of ``path`` after the block, or removed if that failed.

    A link is followed, and a folder there passes on its mode.
    """
    path = _followed(path)
    with aside_folder(path) as aside:
        yield aside
        replace_folder(aside, path)


@contextmanager
def aside_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that is removed after the block; ``path`` itself need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    with locked_name(path, ASIDE) as aside, _told_of(aside, path):
        try:
            aside.mkdir()
            yield aside
        finally:
            remove(aside)


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
    target = _followed(target)
    if target.is_dir():
        _give_mode(source, stat.S_IMODE(target.stat().st_mode))
    sync_tree(source)
    with ExitStack() as stack:
        while True:
            try:
                source.rename(target)
                break
            except OSError as error:
                if error.errno not in _IN_THE_WAY or not target.parent.is_dir():
                    raise
            # Once more, if another process puts its own there meanwhile.
            stack.enter_context(_moved_away(target))
        sync(target.parent)


def sync_tree(folder: Path) -> None:
    """Bring all files of a folder to the disk, and the folder itself."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def sync(path: Path) -> None:
    """Bring a file to the disk, or which files a folder has."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems have no such thing for folders.
        if error.errno not in _NO_SYNC or not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise
    finally:
        os.close(handle)


def _give_mode(path: Path, mode: int) -> None:
    # Some file systems have one mode for all, and refuse to be asked.
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _followed(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def _told_of(aside: Path, path: Path) -> Iterator[None]:
    """Let errors name the target: whoever reads the message knows that, not what is beside it."""
    try:
        yield
    except Exception as error:
        number = system_error(error)
        if isinstance(error, OSError):
            named = error.filename
            if isinstance(named, str | os.PathLike) and Path(named).is_relative_to(aside):
                error.filename = str(path / Path(named).relative_to(aside))
            elif named is None and number in DISK_ERRORS:
                error.filename = str(path)
        elif number is not None and not isinstance(error, RaygenexError):
            # Some libraries name neither.
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


@contextmanager
def _moved_away(target: Path) -> Iterator[None]:
    """Make room for a successor during the block; without one, what was there comes back."""
    with locked_name(target, BEFORE) as old:
        try:
            with suppress(FileNotFoundError):
                target.rename(old)
            yield
        finally:
            with suppress(OSError):
                settle(old, target)
