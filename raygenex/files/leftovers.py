"""Hidden neighbours of what is written: their names, their locks, and what killed processes left of them.

What is written aside is a neighbour of its target, ``.NAME.xxxxxxxx.aside``, locked by the process that writes it: a
file itself, a folder by the empty file ``.NAME.xxxxxxxx.aside.lock`` beside it, since network file systems lock folders
on one machine only, or not at all. The lock ends with the process and those that it forked, however they end, so what a
killed process left is told from what is being written: the next one that writes the same target removes it.

The lock is flock(2) itself. `filelock.lock_descriptor` takes the same one, but cannot tell a lock that another process
holds from EACCES, by which some servers say that they lock nothing: nothing could be written there.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from raygenex.files.lock import NO_LOCKS

ASIDE = "aside"
BEFORE = "before"
"""The kind of a folder on its way out, which its successor has not replaced yet."""
_LOCK = ".lock"
_LEFT = re.compile(rf"^(?P<aside>\.(?P<name>.+)\.[0-9a-f]{{8}}\.(?:{ASIDE}|{BEFORE}))(?:{re.escape(_LOCK)})?$", re.S)
# Names have 255 bytes; this leaves room for what is around them.
_LONGEST_NAME = 230
_SHORTENED = re.compile(r"~[0-9a-f]{16}$")


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left in a folder, of one target or of all; nothing that a living one writes."""
    if not folder.is_dir():
        return
    matches = [match for entry in os.listdir(folder) if (match := _LEFT.match(entry))]
    for aside, short in sorted({(match["aside"], match["name"]) for match in matches}):
        # A shortened name does not say whose it is.
        if short != _short(name) if name is not None else _SHORTENED.search(short):
            continue
        # One that another process holds is not a leftover; nor is anything where nothing can be locked.
        with suppress(OSError):
            _sweep(folder / aside, folder / (name or short))


def _short(name: str) -> str:
    """Return a name with room for what is around it aside."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: _LONGEST_NAME - 17].decode(errors='ignore')}~{digest}"


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{_short(path.name)}.{uuid4().hex[:8]}.{kind}")


@contextmanager
def aside_file(path: Path) -> Iterator[Path]:
    """Make an empty file beside ``path`` that is locked, and is gone after the block unless it was renamed."""
    while True:
        aside = _beside(path, ASIDE)
        with _made(aside, path) as is_ours:
            if is_ours:
                try:
                    yield aside
                finally:
                    remove(aside)
                return


@contextmanager
def locked_name(path: Path, kind: str) -> Iterator[Path]:
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
                        remove(lock)
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
            if error.errno not in NO_LOCKS:
                raise
            is_ours = True
    except BaseException:
        remove(path)
        os.close(handle)
        raise
    try:
        yield is_ours
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock an open file; a BlockingIOError says that another process has done so."""
    try:
        import fcntl
    except ImportError:
        # A system without flock(2), such as Windows, is one more that locks nothing.
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sweep(path: Path, target: Path) -> None:
    """Remove a leftover, or put it back; an OSError says that it is none."""
    lock = path.with_name(path.name + _LOCK)
    # Without its lock a folder is nobody's: the lock is there before it, and longer.
    held = lock if lock.exists() else path
    if held == path and path.is_dir():
        settle(path, target)
        return
    if not stat.S_ISREG(held.lstat().st_mode):
        return
    handle = os.open(held, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _lock(handle)
        if held.exists():
            settle(path, target)
            if held == lock and not os.path.lexists(path):
                remove(lock)
    finally:
        os.close(handle)


def settle(path: Path, target: Path) -> None:
    """Put back what had to make room for a successor that did not come; remove anything else."""
    if path.suffix == f".{BEFORE}" and os.path.lexists(path) and not target.exists():
        path.rename(target)
    else:
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or folder, if that is possible: what stays is left to the next process, and hides no error."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            # As much of it as goes.
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
