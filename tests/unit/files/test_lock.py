import errno
import os
import subprocess
import sys

import pytest

from raygenex.errors import RaygenexError
from raygenex.files.lock import exclusive

HOLD = """
import sys
from raygenex.files.lock import exclusive
with exclusive(sys.argv[1], "training"):
    print("held", flush=True)
    input()
"""


def test_a_second_process_is_refused_and_a_killed_one_lets_go(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(RaygenexError, match=f"another process is training in {folder}"),
            exclusive(folder, "training"),
        ):
            pass
        other.kill()
        other.wait()
    with exclusive(folder, "training"):
        pass
    assert not folder.exists(), "the lock is beside the folder"


def test_where_nothing_can_be_locked_work_goes_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(lock, **options):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    done = []
    for inside in (False, True):
        with exclusive(tmp_path, "training", inside=inside):
            done.append(inside)
    assert done == [False, True]
    assert f"{tmp_path} cannot be locked (No locks available)" in caplog.text
