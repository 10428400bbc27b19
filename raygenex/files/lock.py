"""Folders that a job writes: one process at a time for each, and whether it can be written at all."""

import contextlib
import errno
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from raygenex.errors import RaygenexError

logger = logging.getLogger(__name__)

NO_LOCKS = {
    errno.EACCES,
    errno.EBADF,
    errno.EINVAL,
    errno.ENOLCK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}
"""What file systems answer that lock nothing, or not this; NFS has more than one answer."""


@contextlib.contextmanager
def exclusive(folder: str | Path, what: str, inside: bool = False, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a folder or file, which need not exist, for this process; the lock ends with it and what it forked.

    Where nothing can be locked, a warning says so, and nothing is held.

    Parameters
    ----------
    folder
        What is held.
    what
        What this process does there, such as ``training``.
    inside
        Whether the lock is in the folder, which exists, for one whose parent may not be written; it is gone afterwards.
        Otherwise it is beside the folder, which can be replaced while it is held.
    patience_s
        How long to wait for another process that holds it.

    Raises
    ------
    RaygenexError
        If another process holds it for longer.
    """
    path = Path(folder, ".lock") if inside else Path(folder).with_name(f".{Path(folder).name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        raise RaygenexError(f"another process is {what} in {folder}: wait for it, or use another name") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        logger.warning("%s cannot be locked (%s): let no other process be %s there", folder, error.strerror, what)
    try:
        yield
    finally:
        if inside:
            # While it is held: one who waits for it sees that it is gone, and makes another.
            path.unlink(missing_ok=True)
        lock.release()


def probe(folder: Path) -> None:
    """Make a folder, and a file in it that is gone at once; an OSError says why it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
