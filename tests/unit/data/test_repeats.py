import numpy as np
import pytest

from raygenex.data.opening import all_distinct


def tables(*texts):
    return (np.array(list(text), dtype=object) for text in texts)


@pytest.mark.parametrize("texts", [("abc",), ("abc", "d"), ("", "ab"), ("",)])
def test_distinct(texts):
    assert all_distinct(tables(*texts))


@pytest.mark.parametrize("texts", [("abca",), ("abc", "dea"), ("a", "b", "a")])
def test_repeated(texts):
    assert not all_distinct(tables(*texts))
