"""Files and folders appear whole or not at all, and what killed processes left is told from what is being written."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from raygenex.files import whole
from raygenex.files.leftovers import remove_leftovers
from raygenex.files.whole import aside_folder, replace_folder, replace_text, whole_file, whole_folder

WRITE = """
import sys
from pathlib import Path
from raygenex.files.whole import whole_file, whole_folder
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
        left = names(tmp_path)
        assert len(left) == (1 if kind == "whole_file" else 2), "a folder has its lock beside it"
        replace_text(tmp_path / "another", "")
        remove_leftovers(tmp_path)
        assert names(tmp_path) == sorted([*left, "another"]), "it is being written"
        other.kill()
        other.wait()
    with aside_folder(tmp_path / "another"):
        assert set(left) < set(names(tmp_path)), "of another target"
    with getattr(whole, kind)(target):
        assert not set(left) & set(names(tmp_path))


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

    monkeypatch.setattr(os, "open", closed)
    for write in (lambda path: replace_text(path, "text"), lambda path: whole_folder(path).__enter__()):
        with pytest.raises(OSError, match="Read-only file system") as info:
            write(tmp_path / "a")
        assert info.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == []


def test_over_nfs_a_lock_needs_a_file_that_is_open_for_writing(tmp_path, monkeypatch):
    """As flock(2) says of NFSv4; and folders, which nobody can open so, are locked on one machine only."""
    flock, locked = fcntl.flock, []

    def nfs(handle, operation):
        locked.append(os.fstat(handle).st_mode)
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", nfs)
    (tmp_path / ".a.0123abcd.aside").touch()
    (tmp_path / ".b.0123abcd.aside").mkdir()
    (tmp_path / ".b.0123abcd.aside.lock").touch()
    replace_text(tmp_path / "a", "text")
    for _ in range(2):
        with whole_folder(tmp_path / "b") as aside:
            (aside / "inside").touch()
    assert names(tmp_path) == ["a", "b"]
    assert all(stat.S_ISREG(mode) for mode in locked)
    assert len(locked) == 6, "two leftovers, three writes, and one folder on its way out"


@pytest.mark.parametrize("number", [errno.EBADF, errno.EACCES, errno.EINVAL, errno.ENOLCK, errno.ENOSYS])
def test_where_nothing_can_be_locked_files_are_written_and_nothing_is_a_leftover(tmp_path, monkeypatch, number):
    def none(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    (tmp_path / ".a.0123abcd.aside").touch()
    (tmp_path / ".b.0123abcd.aside").mkdir()
    (tmp_path / ".b.0123abcd.aside.lock").touch()
    before = names(tmp_path)
    replace_text(tmp_path / "a", "text")
    with whole_folder(tmp_path / "b"):
        pass
    assert names(tmp_path) == [*before, "a", "b"]


def test_a_lock_that_fails_leaves_no_file(tmp_path, monkeypatch):
    def fails(handle, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fails)
    for write in (lambda path: replace_text(path, "text"), lambda path: whole_folder(path).__enter__()):
        with pytest.raises(OSError, match="Input/output error"):
            write(tmp_path / "a")
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("the weights are not usable")])
def test_what_cannot_be_removed_hides_no_error_and_goes_later(tmp_path, monkeypatch, error):
    def write() -> None:
        with whole_folder(tmp_path / "a"):
            raise error

    with monkeypatch.context() as patched:
        # What an open file leaves in a folder of NFS.
        patched.setattr(os, "rmdir", _not_empty)
        with pytest.raises(type(error)) as info:
            write()
    assert info.value is error
    assert len(names(tmp_path)) == 2
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


def test_an_old_folder_that_cannot_be_removed_fails_no_write(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", _not_empty)
        with whole_folder(tmp_path / "a") as aside:
            (aside / "new").touch()
    assert names(tmp_path / "a") == ["new"]
    assert len(names(tmp_path)) == 3
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a"]


def _not_empty(path, **options):
    raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)


def test_a_folder_comes_back_when_its_successor_cannot_be_put_in_place(tmp_path, monkeypatch):
    (tmp_path / "new").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "good").touch()
    rename, tried = Path.rename, []

    def fails(path, target):
        tried.append(path.name)
        if path.name == "new" and len(tried) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Input/output error"):
        replace_folder(tmp_path / "new", tmp_path / "target")
    assert names(tmp_path) == ["new", "target"]
    assert names(tmp_path / "target") == ["good"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_folders_that_cannot_be_synced_are_no_failure_and_files_are(tmp_path, monkeypatch, number):
    def fsync(handle, everything=False):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    replace_text(tmp_path / "a", "text")
    with whole_folder(tmp_path / "b"):
        pass
    assert names(tmp_path) == ["a", "b"]

    def never(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", never)
    with pytest.raises(OSError, match=os.strerror(number)):
        replace_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "text"


def test_an_error_inside_a_folder_names_the_place_it_was_to_have(tmp_path):
    def write() -> None:
        with whole_folder(tmp_path / "a") as aside:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(aside / "b" / "c.json"))

    with pytest.raises(OSError, match="No space left") as info:
        write()
    assert info.value.filename == str(tmp_path / "a" / "b" / "c.json")


def test_links_are_followed(tmp_path):
    for name in ("file", "folder", "nowhere"):
        (tmp_path / f"to-{name}").symlink_to(name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    (tmp_path / "file").write_text("old")
    before = names(tmp_path)
    replace_text(tmp_path / "to-file", "new")
    for name in ("folder", "nowhere"):
        with whole_folder(tmp_path / f"to-{name}") as aside:
            (aside / "new").touch()
        assert names(tmp_path / name) == ["new"]
    assert (tmp_path / "file").read_text() == "new"
    assert all((tmp_path / f"to-{name}").is_symlink() for name in ("file", "folder", "nowhere"))
    assert names(tmp_path) == sorted([*before, "nowhere"])


def test_what_is_replaced_passes_on_its_mode_and_is_private_meanwhile(tmp_path):
    target, folder = tmp_path / "a", tmp_path / "b"
    target.touch(mode=0o400)
    folder.mkdir(mode=0o700)
    with whole_file(target) as aside:
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
        aside.write_text("new")
    with whole_folder(folder):
        pass
    assert stat.S_IMODE(target.stat().st_mode) == 0o400
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("letter", ["n", "\u00e9"])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path, letter):
    name = letter * (255 // len(letter.encode()))
    replace_text(tmp_path / name, "text")
    with whole_folder(tmp_path / name) as aside:
        left = tmp_path / f"{aside.name[:-14]}01234567.before"
        shutil.copytree(aside, left)
        remove_leftovers(tmp_path)
        assert left.exists(), "it does not say whose it is"
    assert names(tmp_path) == sorted([name, left.name])
    (tmp_path / name).rmdir()
    remove_leftovers(tmp_path, name)
    assert names(tmp_path) == [name]


def test_what_is_neither_file_nor_folder_is_no_leftover(tmp_path):
    os.mkfifo(tmp_path / ".a.0123abcd.aside")
    (tmp_path / ".a.1123abcd.aside").symlink_to("a")
    (tmp_path / ".b.0123abcd.aside").mkdir()
    os.mkfifo(tmp_path / ".b.0123abcd.aside.lock")
    before = names(tmp_path)
    replace_text(tmp_path / "a", "text")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [*before, "a"]


def test_a_folder_takes_the_place_of_a_file(tmp_path):
    (tmp_path / "a").touch()
    with whole_folder(tmp_path / "a") as aside:
        (aside / "new").touch()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["new"]
