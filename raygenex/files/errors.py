"""What a disk or a system says, in one sentence."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import UnsupportedOperation

from raygenex.errors import FileError, RaygenexError, first_line

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
DISK_ERRORS = _FULL | _CLOSED | {errno.EIO, errno.ESTALE}
_PATH_ERRORS = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
# Errors of the system by their class, but of no file.
_OF_NO_FILE = (ConnectionError, TimeoutError, UnsupportedOperation)
NO_DIRECTORY = "the working directory does not exist any more: change to one that does, and run the same command again"
# How libraries written in Rust and C say what the system's error was.
_NUMBERED = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]|errno = (\d+)", re.IGNORECASE)


def file_error(error: Exception) -> FileError | None:
    """Return an error of the system as one sentence: the path, or the memory, the reason, what to do; None otherwise.

    Parameters
    ----------
    error
        An OSError, or what a library made of one; what says that a connection broke or took too long is none.
    """
    number = errno.ENOMEM if _is_of_memory(error) else system_error(error)
    # Libraries derive classes of their own from it for what concerns no file, such as a failed request.
    if number is None and (type(error).__module__ != OSError.__module__ or not isinstance(error, OSError)):
        return None
    if isinstance(error, _OF_NO_FILE):
        return None
    if number == errno.ENOMEM:
        return FileError(f"there is not enough memory ({first_line(error)}): lower the sizes in the configuration")
    path = getattr(error, "filename", None)
    if path is None and not has_directory():
        return FileError(NO_DIRECTORY)
    path = path or "a file"
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    reason = os.strerror(number) if number else first_line(error)
    advice = "check the path, its rights and the disk"
    if number in _FULL:
        advice = "make room there, or use another disk, and run the same command again"
    elif number in _CLOSED:
        advice = "let this user write there, or use another folder, and run the same command again"
    return FileError(f"{path} cannot be used ({reason}): {advice}")


def _is_of_memory(error: Exception) -> bool:
    # The second is PyTorch's.
    return isinstance(error, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in first_line(error)


def has_directory() -> bool:
    """Whether the working directory is still there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


@contextmanager
def disk_errors_told(path: str | None = None) -> Iterator[None]:
    """Raise an error of the disk as its sentence, where Ray would carry it to another process without its path.

    Parameters
    ----------
    path
        What is written, for an error that names nothing.
    """
    try:
        yield
    except Exception as error:
        number = system_error(error)
        if isinstance(error, RaygenexError) or number is None or number not in DISK_ERRORS:
            raise
        named = error if isinstance(error, OSError) and error.filename else OSError(number, os.strerror(number), path)
        sentence = file_error(named)
        assert sentence is not None, "it has a number"
        raise sentence from error


def is_of_a_path(error: Exception) -> bool:
    """Whether an error is one of the disk, or of a path that it names, and so of what a user can fix.

    It decides what an error in another process is: there, any other error of the system may be one of the cluster.
    """
    number = system_error(error)
    named = isinstance(error, OSError) and bool(error.filename)
    return number in DISK_ERRORS or (number in _PATH_ERRORS and named)


def system_error(error: Exception) -> int | None:
    """Return the system's number of an error: of an OSError, or of one of the disk that a library put into words."""
    if isinstance(error, _OF_NO_FILE):
        return None
    if isinstance(error, OSError) and error.errno:
        return error.errno
    # The first line is the error's own; others quote.
    found = _NUMBERED.search(str(error).strip().split("\n")[0])
    number = int(next(group for group in found.groups() if group)) if found else None
    return number if number in DISK_ERRORS else None
