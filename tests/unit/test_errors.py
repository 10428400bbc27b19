"""What the system refuses reaches the user as one sentence with the path, from this process and from Ray's."""

import errno
import os

import pytest
from safetensors import SafetensorError

from raygenex.cluster import find_cause
from raygenex.errors import DataError, FileError, file_error


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device): make room there"),
        (errno.EDQUOT, "Disk quota exceeded): make room there"),
        (errno.EROFS, "Read-only file system): let this user write there"),
        (errno.EACCES, "Permission denied): let this user write there"),
        (errno.EIO, "Input/output error): check the path, its rights and the disk"),
    ],
)
def test_the_sentence_of_an_error_of_the_system(number, words):
    told = file_error(OSError(number, os.strerror(number), "/runs/a"))
    assert str(told).startswith(f"/runs/a cannot be used ({words}")
    assert "\n" not in str(told)
    assert told.exit_code == 2


def test_what_a_library_made_of_it():
    error = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert "No space left on device): make room there" in str(file_error(error))


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), RuntimeError("a worker said:\n[Errno 28] No space left"), RuntimeError("(os error 111)")],
)
def test_other_errors_are_none_of_the_system(error):
    assert file_error(error) is None


class _Wrapped(OSError):
    """As Ray raises what a task raised: a class of both, the plain one behind ``cause``."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("a long text\nTraceback ...")
        self.cause = cause


def test_a_full_disk_of_a_worker_is_told_as_one_of_this_process():
    cause = find_cause(_Wrapped(OSError(errno.ENOSPC, "No space left on device", "/store/rows")))
    assert isinstance(cause, FileError)
    assert str(cause).startswith("/store/rows cannot be used (No space left on device): make room there")


def test_a_sentence_of_our_own_goes_before_what_it_was_made_of():
    error = DataError("the file is no file")
    error.__cause__ = OSError(errno.ENOENT, "No such file or directory", "a")
    wrapped = _Wrapped(error)
    assert str(find_cause(wrapped)) == "the file is no file"


def test_a_lost_process_is_no_error_of_the_system():
    assert find_cause(_Wrapped(ConnectionError("the head is gone"))) is None
