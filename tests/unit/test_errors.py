"""What the system refuses reaches the user as one sentence with the path, from this process and from Ray's."""

import errno
import io
import os
import pickle

import pytest
import requests
from safetensors import SafetensorError

from raygenex.cluster.connect import find_cause
from raygenex.errors import LONGEST, DataError, FileError
from raygenex.files.errors import disk_errors_told, file_error


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
    [
        ValueError("no"),
        RuntimeError("a worker said:\n[Errno 28] No space left"),
        RuntimeError("(os error 111)"),
        io.UnsupportedOperation("not readable"),
        TimeoutError("Get timed out: some object(s) not ready."),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        requests.exceptions.ConnectionError("no such host"),
        requests.exceptions.Timeout("read timed out"),
    ],
)
def test_other_errors_are_none_of_the_system(error):
    assert file_error(error) is None


def test_an_error_of_the_disk_travels_as_its_sentence():
    """Ray Data appends advice to an error's arguments, where an OSError has its path."""
    with pytest.raises(FileError, match=r"^/store/rows cannot be used \(No space left on device\): make room") as info:
        _fail(OSError(errno.ENOSPC, "No space left on device", "/store/rows"))
    info.value.args = (f"{info.value.args[0]}\nFailed to apply UDF transform",)
    found = find_cause(pickle.loads(pickle.dumps(info.value)))
    assert str(found).endswith("run the same command again")


@pytest.mark.parametrize("error", [DataError("no"), FileNotFoundError(2, "No such file", "a"), KeyError("k")])
def test_other_errors_travel_as_they_are(error):
    with pytest.raises(type(error)) as info:
        _fail(error)
    assert info.value is error


def _fail(error: Exception) -> None:
    with disk_errors_told():
        raise error


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


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        OSError(errno.EMFILE, "Too many open files"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
    ],
)
def test_what_else_the_system_refuses_a_worker_is_no_users_error(error):
    assert find_cause(_Wrapped(error)) is None


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ESTALE])
def test_a_path_that_a_worker_cannot_use_is_named(number):
    told = str(find_cause(_Wrapped(OSError(number, os.strerror(number), "/data/a.fa"))))
    assert told.startswith(f"/data/a.fa cannot be used ({os.strerror(number)}): check the path")


def test_a_message_of_what_is_escaped_is_no_longer_than_others():
    text = str(DataError("start " + "\x1b\U000e0001" * LONGEST + " end"))
    assert len(text) == LONGEST
    assert text.isprintable()
    assert text.startswith("start \\x1b\\U000e0001")
    assert text.endswith(" end")
