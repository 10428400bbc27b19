"""What a file says of all its genes."""

import h5py
import numpy as np
import pytest

from raygenex.data.hdf5.read import inspect
from raygenex.errors import DataError


@pytest.fixture
def saying(write):
    """Return a function that writes a file with one attribute and returns its path."""

    def make(name, value):
        path = write()
        with h5py.File(path, "a") as handle:
            handle.attrs[name] = value
        return path

    return make


@pytest.mark.parametrize("value", [-10, np.int16(-10), np.uint64(10), -10.0, np.array([-10]), np.array([[-10.0]])])
def test_a_whole_number_of_any_type(saying, value):
    first = inspect(saying("window_first", value)).first
    assert (first, type(first)) == (int(np.ravel(value)[0]), int)


VALUES = [-10.5, np.nan, -np.inf, np.float32(0.5), "-10", True, 1j, np.array([1, 2]), np.array([]), h5py.Empty("i4")]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_no_whole_number_is_refused(saying, sentence, value):
    path = saying("window_first", value)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, "window_first", "must be a whole number")


@pytest.mark.parametrize("form", [str, np.bytes_, lambda text: np.array([text], "S"), lambda text: [text]])
def test_text_of_any_form(saying, form):
    assert inspect(saying("genome_build", form("TOY1"))).genome_build == "TOY1"
    assert inspect(saying("halflife_scale", form("log10"))).halflife_scale == "log10"


@pytest.mark.parametrize("value", [38, np.array(["a", "b"], "S1"), h5py.Empty("S1")])
@pytest.mark.parametrize("name", ["genome_build", "halflife_scale"])
def test_what_is_no_text_is_refused(saying, sentence, name, value):
    path = saying(name, value)
    with pytest.raises(DataError) as info:
        inspect(path)
    sentence(info, path, name, "must be text")
