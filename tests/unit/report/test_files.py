"""What keeps a report from reading arrays is told as what it is."""

import numpy as np
import pytest

from raygenex.errors import DataError
from raygenex.report.files import read_arrays


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "a.npz", value=np.arange(3))
    return tmp_path / "a.npz"


def fail_with(monkeypatch, error):
    def load(*arguments, **options):
        raise error

    monkeypatch.setattr(np, "load", load)


def test_arrays_are_read_and_absent_ones_are_none(path):
    assert read_arrays(path, "again", ("value",))["value"].tolist() == [0, 1, 2]
    assert read_arrays(path.with_name("b.npz"), "again", ("value",)) is None


def test_a_file_that_may_not_be_read_is_not_called_damaged(path, monkeypatch):
    error = PermissionError(13, "Permission denied", str(path))
    fail_with(monkeypatch, error)
    with pytest.raises(PermissionError) as info:
        read_arrays(path, "again", ("value",))
    assert info.value is error


def test_too_little_memory_is_said(path, monkeypatch):
    fail_with(monkeypatch, MemoryError())
    with pytest.raises(DataError, match=r"a\.npz holds arrays that do not fit into the memory: free some, or make it"):
        read_arrays(path, "again", ("value",))


@pytest.mark.parametrize("error", [ValueError("no"), OSError("cannot be interpreted"), EOFError()])
def test_what_numpy_cannot_read_is_damaged(path, monkeypatch, error):
    fail_with(monkeypatch, error)
    with pytest.raises(DataError, match=r"a\.npz is damaged: make it again with `again`"):
        read_arrays(path, "again", ("value",))
