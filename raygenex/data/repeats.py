"""Ids that are there twice."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Ids = NDArray[Any] | Sequence[str]


@dataclass(frozen=True)
class Repeat:
    """An id that is in two places, both counted from 0."""

    id: str
    tables: tuple[int, int]
    """Numbers of the two tables, which may be one."""
    rows: tuple[int, int]
    """Its row in each."""


def first_repeat(tables: Callable[[], Iterable[_Ids]]) -> Repeat | None:
    """Find the first id that was there before, in the same table or in an earlier one; None if all ids differ.

    Parameters
    ----------
    tables
        Called once or twice. Each call gives the ids of every table again, shape ``(n,)``; a table may be forgotten
        when the next is asked for.
    """
    if _all_distinct(tables()):
        return None
    places: dict[str, tuple[int, int]] = {}
    for table, ids in enumerate(tables()):
        for row, name in enumerate(ids):
            before = places.setdefault(name, (table, row))
            if before != (table, row):
                return Repeat(name, (before[0], table), (before[1], row))
    return None


def _all_distinct(tables: Iterable[_Ids]) -> bool:
    """Tell whether no id is there twice; False may also be two ids of one 64-bit hash."""
    hashes = np.concatenate([np.fromiter(map(hash, ids), np.int64, len(ids)) for ids in tables])
    hashes.sort()
    return not (hashes[1:] == hashes[:-1]).any()
