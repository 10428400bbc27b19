import os
import sys
from pathlib import Path

import pytest

from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.errors import DataError
from raygenex.files.fingerprint import fingerprint
from raygenex.files.locate import cache_folder, local_copy, locate


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
def test_nothing_matches(sentence, pattern):
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


def test_unknown_protocol(sentence):
    with pytest.raises(DataError) as info:
        locate(["zork://bucket/a.h5"], "data.train")
    sentence(info, "zork://bucket/a.h5", "zork")


def test_missing_driver(monkeypatch, sentence):
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


def test_failed_download_leaves_nothing(memory, monkeypatch, sentence):
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


def test_missing_url(memory, sentence):
    with pytest.raises(DataError) as info:
        local_copy("memory://bucket/none.h5")
    sentence(info, "memory://bucket/none.h5", "does not exist")


def test_promoters_are_read_from_a_url(memory, write):
    path = write()
    with open(path, "rb") as stream:
        memory.pipe("/bucket/a.h5", stream.read())
    file = inspect("memory://bucket/a.h5")
    assert file.path == "memory://bucket/a.h5"
    assert len(read_rows(file, 0, 4)["label"]) == 4
    assert fingerprint(file.path) == fingerprint(path)
