import os
import sys
from pathlib import Path

import pytest
from toy_models import columns, sentence, write_promoters

from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.errors import ConfigError, DataError
from raygenex.files.errors import file_error
from raygenex.files.fingerprint import fingerprint
from raygenex.files.locate import cache_folder, check_new_file, local_copy, locate, short_path, written_path


@pytest.fixture
def memory(tmp_path, monkeypatch):
    import fsspec

    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    for name in filesystem.find("/"):
        filesystem.rm(name)


def test_paths_and_globs_in_order(tmp_path, monkeypatch):
    for name in ("b.h5", "a.h5", "c.txt"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    assert locate(["c.txt", "*.h5", "a.h5"], "data.train") == [
        str(tmp_path / name) for name in ("c.txt", "a.h5", "b.h5")
    ]


def test_name_with_brackets_is_no_glob(tmp_path):
    (tmp_path / "a[1].h5").write_text("")
    assert locate([str(tmp_path / "a[1].h5")], "data.train") == [str(tmp_path / "a[1].h5")]


@pytest.mark.parametrize("pattern", ["none/*.h5", "none.h5", "memory://none/a.h5", "memory://none/*.h5"])
def test_nothing_matches(pattern):
    with pytest.raises(DataError) as info:
        locate([pattern], "data.valid")
    sentence(info, pattern, "data.valid")


def test_file_url_is_a_local_path(tmp_path):
    (tmp_path / "a.h5").write_text("")
    assert locate([f"file://{tmp_path}/*.h5"], "data.train") == [str(tmp_path / "a.h5")]
    assert local_copy(f"file://{tmp_path}/a.h5") == str(tmp_path / "a.h5")


def test_glob_on_a_url(memory):
    memory.pipe({"/bucket/b.h5": b"b", "/bucket/a.h5": b"a"})
    assert locate(["memory://bucket/*.h5"], "data.train") == ["memory:///bucket/a.h5", "memory:///bucket/b.h5"]


def test_unknown_protocol():
    with pytest.raises(DataError) as info:
        locate(["zork://bucket/a.h5"], "data.train")
    sentence(info, "zork://bucket/a.h5", "zork")


def test_missing_driver(monkeypatch):
    from fsspec.registry import _registry

    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    with pytest.raises(DataError) as info:
        locate(["s3://bucket/*.h5"], "data.train")
    sentence(info, "s3://bucket/*.h5", "pip install s3fs")


def test_local_copy_of_a_local_path_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local_copy("a.h5") == str(tmp_path / "a.h5")


def test_url_is_downloaded_once_and_again_when_changed(memory, monkeypatch):
    memory.pipe("/bucket/a.h5", b"first")
    first = local_copy("memory://bucket/a.h5")
    with monkeypatch.context() as patch:
        patch.setattr(memory, "get_file", None)
        assert local_copy("memory://bucket/a.h5") == first
    memory.pipe("/bucket/a.h5", b"second")
    second = local_copy("memory://bucket/a.h5")
    assert second != first
    assert [Path(path).read_bytes() for path in (first, second)] == [b"first", b"second"]
    assert sorted(os.listdir(cache_folder())) == sorted(map(os.path.basename, (first, second)))


def test_failed_download_leaves_nothing(memory, monkeypatch):
    def half(source, target):
        with open(target, "wb") as stream:
            stream.write(b"ha")
        raise ConnectionError("line is cut")

    memory.pipe("/bucket/a.h5", b"half")
    monkeypatch.setattr(memory, "get_file", half)
    with pytest.raises(DataError) as info:
        local_copy("memory://bucket/a.h5")
    sentence(info, "memory://bucket/a.h5", "line is cut")
    assert os.listdir(cache_folder()) == []


def test_missing_url(memory):
    with pytest.raises(DataError) as info:
        local_copy("memory://bucket/none.h5")
    sentence(info, "memory://bucket/none.h5", "does not exist")


def test_promoters_are_read_from_a_url(memory, tmp_path):
    path = write_promoters(tmp_path / "a.h5", columns(4, 6))
    with open(path, "rb") as stream:
        memory.pipe("/bucket/a.h5", stream.read())
    file = inspect("memory://bucket/a.h5")
    assert file.path == "memory://bucket/a.h5"
    assert len(read_rows(file, 0, 4)["label"]) == 4
    assert fingerprint(file.path) == fingerprint(path)


def test_what_is_written_goes_to_a_local_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert [str(written_path(path, "--output")) for path in ("~/a.csv", "b/~/c.csv", "./~d")] == [
        "/home/me/a.csv",
        "b/~/c.csv",
        "~d",
    ]
    with pytest.raises(ConfigError, match=r"^--output is s3://b/a.csv, a URL, and files are written to local"):
        written_path("s3://b/a.csv", "--output")
    with pytest.raises(ConfigError, match=r"^--output is ~nobody-here/a, and there is no such home folder: "):
        written_path("~nobody-here/a", "--output")


def test_a_path_is_shown_whole_where_the_working_directory_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    assert short_path(str(tmp_path / "gone" / "a")) == "a"
    (tmp_path / "gone").rmdir()
    assert short_path(str(tmp_path / "a")) == str(tmp_path / "a")
    said = file_error(FileNotFoundError(2, "No such file or directory"))
    assert str(said).startswith("the working directory does not exist any more: ")


def test_a_file_is_made_where_a_folder_is_and_nothing_else(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir()
    check_new_file(folder / "new.csv", "output x", force=False)
    check_new_file(file, "output x", force=True)
    for target, force, said in (
        (folder, True, "output x is a folder: name a file"),
        (file, False, "output x exists: pass --force to replace it"),
        (file / "deep" / "x.csv", True, f"output x cannot be below {file}, which is a file"),
        (folder / "none" / "x.csv", True, "the folder of output x does not exist: make it first"),
    ):
        with pytest.raises(ConfigError) as info:
            check_new_file(target, "output x", force)
        assert str(info.value).startswith(said)
