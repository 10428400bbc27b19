"""Files and folders appear whole or not at all, and what killed processes left is told from what is being written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from raygenex import writing
from raygenex.writing import aside_folder, remove_leftovers, replace_folder, replace_text, whole_file, whole_folder

WRITE = """
import sys
from pathlib import Path
from raygenex.writing import whole_file, whole_folder
with {kind}(Path(sys.argv[1])) as aside:
    (aside / "inside" if aside.is_dir() else aside).write_text("half")
    print("writing", flush=True)
    input()
"""


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_folder_is_replaced_whole(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new"]


def test_a_folder_is_put_where_none_was(tmp_path):
    (tmp_path / "new").mkdir()
    replace_folder(tmp_path / "new", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "a.txt"
    replace_text(target, "old")
    with whole_file(target) as aside:
        aside.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    replace_text(target, "old")

    def fill_the_disk() -> None:
        with whole_file(target) as aside:
            aside.write_text("ne")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def interrupt() -> None:
        with whole_folder(tmp_path / "b") as aside:
            (aside / "inside").touch()
            raise KeyboardInterrupt

    with pytest.raises(OSError, match="No space"):
        fill_the_disk()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_file_and_folder_are_on_the_disk_before_and_after_the_rename(tmp_path, monkeypatch):
    target, done = tmp_path / "a.txt", []

    def fsync(handle):
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        done.append((path.suffix or path.name, target.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    replace_text(target, "text")
    assert done == [(".aside", False), (tmp_path.name, True)]
    done.clear()
    with whole_folder(tmp_path / "folder") as aside:
        (aside / "inside.json").touch()
    assert done == [(".json", True), (".aside", True), (tmp_path.name, True)]


@pytest.mark.parametrize("kind", ["whole_file", "whole_folder"])
def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path, kind):
    target = tmp_path / "target"
    command = [sys.executable, "-c", WRITE.format(kind=kind), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "writing\n"
        (left,) = names(tmp_path)
        replace_text(tmp_path / "another", "")
        remove_leftovers(tmp_path)
        assert names(tmp_path) == sorted([left, "another"]), "it is being written"
        other.kill()
        other.wait()
    with aside_folder(tmp_path / "another"):
        assert left in names(tmp_path), "of another target"
    with getattr(writing, kind)(target):
        assert left not in names(tmp_path)


def test_of_a_folder_whose_replacement_died_in_between_the_old_one_comes_back(tmp_path):
    old = tmp_path / ".target.0123abcd.before"
    old.mkdir()
    (old / "good").touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["target"]
    assert names(tmp_path / "target") == ["good"]
    (tmp_path / "target").rename(old)
    (tmp_path / "target").mkdir()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["target"], "its successor is in place"


def test_other_hidden_files_stay(tmp_path):
    for name in (".target.lock", ".valid.untracked", ".target.0123.aside", "target.0123abcd.aside"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert len(names(tmp_path)) == 4


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_an_error_of_the_disk_names_the_target(tmp_path, error):
    """Also where a library names no file, or what is beside the target."""

    def write() -> None:
        with whole_file(tmp_path / "a"):
            raise error

    with pytest.raises(OSError, match="No space left") as info:
        write()
    assert info.value.filename == str(tmp_path / "a")
    assert info.value.errno == errno.ENOSPC


@pytest.mark.parametrize("error", [ValueError("no"), ConnectionRefusedError(111, "refused"), FileNotFoundError(2, "x")])
def test_other_errors_stay_as_they_are(tmp_path, error):
    def write() -> None:
        with whole_folder(tmp_path / "a"):
            raise error

    with pytest.raises(type(error)) as info:
        write()
    assert info.value is error
    assert getattr(error, "filename", None) is None


def test_a_folder_that_is_closed_names_the_target(tmp_path, monkeypatch):
    def closed(path, *arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for name in ("touch", "mkdir"):
        monkeypatch.setattr(Path, name, closed)
    with pytest.raises(OSError, match="Read-only file system") as info:
        replace_text(tmp_path / "a", "text")
    assert info.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == []
