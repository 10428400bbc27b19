import numpy as np
import pytest

from raygenex.data.repeats import Repeat, first_repeat


def tables(*texts):
    return lambda: (np.array(list(text), dtype=object) for text in texts)


@pytest.mark.parametrize("texts", [("abc",), ("abc", "d"), ("", "ab"), ("",)])
def test_distinct(texts):
    assert first_repeat(tables(*texts)) is None


@pytest.mark.parametrize(
    ("texts", "repeat"),
    [
        (("abca",), Repeat("a", (0, 0), (0, 3))),
        (("abc", "dba", "c"), Repeat("b", (0, 1), (1, 1))),
        (("a", "b", "a"), Repeat("a", (0, 2), (0, 0))),
    ],
)
def test_repeated(texts, repeat):
    assert first_repeat(tables(*texts)) == repeat


def test_ids_of_one_hash_may_differ():
    # -1 and -2 have the same hash in CPython.
    assert first_repeat(lambda: [np.array([-1, -2], dtype=object)]) is None
