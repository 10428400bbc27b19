"""Files and folders that appear whole or not at all: written aside, brought to the disk, and renamed into place.

What is written aside is a hidden neighbour of its target, ``.NAME.xxxxxxxx.aside``, locked by the process that writes
it: a file itself, a folder by the empty file ``.NAME.xxxxxxxx.aside.lock`` beside it, since network file systems lock
folders on one machine only, or not at all. The lock ends with the process and those that it forked, however they end,
so what a killed process left is told from what is being written: the next one that writes the same target removes it.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from raygenex.errors import DISK_ERRORS, RaygenexError, system_error

_ASIDE = "aside"
# A folder on its way out, which its successor has not replaced yet.
_BEFORE = "before"
_LOCK = ".lock"
# What file systems answer that lock nothing, or not this; NFS has more than one answer.
_NO_LOCKS = {
    errno.EACCES,
    errno.EBADF,
    errno.EINVAL,
    errno.ENOLCK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.ENOTEMPTY}
_LEFT = re.compile(rf"^(?P<aside>\.(?P<name>.+)\.[0-9a-f]{{8}}\.(?:{_ASIDE}|{_BEFORE}))(?:{re.escape(_LOCK)})?$", re.S)
# Names have 255 bytes; this leaves room for what stands around them.
_LONGEST_NAME = 230
_SHORTENED = re.compile(r"~[0-9a-f]{16}$")


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
    with _aside_file(path) as aside, _told_of(aside, path):
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
    with _locked_name(path, _ASIDE) as aside, _told_of(aside, path):
        try:
            aside.mkdir()
            yield aside
        finally:
            _remove(aside)


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


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left in a folder, of one target or of all; nothing that a living one writes."""
    if not folder.is_dir():
        return
    found = [left for entry in os.listdir(folder) if (left := _LEFT.match(entry))]
    for aside, short in sorted({(left["aside"], left["name"]) for left in found}):
        # A shortened name does not say whose it is.
        if short != _short(name) if name is not None else _SHORTENED.search(short):
            continue
        # One that another process holds is no leftover; nor is anything where nothing can be locked.
        with suppress(OSError):
            _sweep(folder / aside, folder / (name or short))


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


def _short(name: str) -> str:
    """Return a name with room for what stands around it aside."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: _LONGEST_NAME - 17].decode(errors='ignore')}~{digest}"


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{_short(path.name)}.{uuid4().hex[:8]}.{kind}")


@contextmanager
def _aside_file(path: Path) -> Iterator[Path]:
    """Make an empty file beside ``path`` that is locked, and is gone after the block unless it was renamed."""
    while True:
        aside = _beside(path, _ASIDE)
        with _made(aside, path) as is_ours:
            if is_ours:
                try:
                    yield aside
                finally:
                    _remove(aside)
                return


@contextmanager
def _locked_name(path: Path, kind: str) -> Iterator[Path]:
    """Yield a name beside ``path`` for a folder; it is this process's during the block."""
    while True:
        name = _beside(path, kind)
        lock = name.with_name(name.name + _LOCK)
        with _made(lock, path) as is_ours:
            if is_ours:
                try:
                    yield name
                finally:
                    # What could not be removed is left to the next process, with its lock.
                    if not os.path.lexists(name):
                        _remove(lock)
                return


@contextmanager
def _made(path: Path, target: Path) -> Iterator[bool]:
    """Make an empty file and lock it during the block; false if another process took it for a leftover before that."""
    try:
        # Over NFS an exclusive lock needs a file that is open for writing.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        error.filename = str(target)
        raise
    try:
        try:
            _lock(handle)
            is_ours = path.exists()
        except BlockingIOError:
            is_ours = False
        except OSError as error:
            # Where nothing can be locked, files are written all the same, and nothing is taken for a leftover.
            if error.errno not in _NO_LOCKS:
                raise
            is_ours = True
    except BaseException:
        _remove(path)
        os.close(handle)
        raise
    try:
        yield is_ours
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock an open file; a BlockingIOError says that another process has done so."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
    with _locked_name(target, _BEFORE) as old:
        try:
            with suppress(FileNotFoundError):
                target.rename(old)
            yield
        finally:
            with suppress(OSError):
                _settle(old, target)


def _sweep(path: Path, target: Path) -> None:
    """Remove a leftover, or put it back; an OSError says that it is none."""
    lock = path.with_name(path.name + _LOCK)
    # Without its lock a folder is nobody's: the lock is there before it, and longer.
    held = lock if lock.exists() else path
    if held == path and path.is_dir():
        _settle(path, target)
        return
    if not stat.S_ISREG(held.lstat().st_mode):
        return
    handle = os.open(held, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _lock(handle)
        if held.exists():
            _settle(path, target)
            if held == lock and not os.path.lexists(path):
                _remove(lock)
    finally:
        os.close(handle)


def _settle(path: Path, target: Path) -> None:
    """Put back what had to make room for a successor that did not come; remove anything else."""
    if path.suffix == f".{_BEFORE}" and os.path.lexists(path) and not target.exists():
        path.rename(target)
    else:
        _remove(path)


def _remove(path: Path) -> None:
    """Remove a file or folder, if that is possible: what stays is left to the next process, and hides no error."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            # As much of it as goes.
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
