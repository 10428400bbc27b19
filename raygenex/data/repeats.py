"""Whether any gene id stands twice among millions, in eight bytes each."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def all_distinct(tables: Iterable[NDArray[np.object_]]) -> bool:
    """Tell whether no id is there twice, in one table or in two; False may also be two ids of one 64-bit hash.

    Parameters
    ----------
    tables
        Gene ids, text; each table may be forgotten when the next is asked for.
    """
    hashes = [np.fromiter(map(hash, ids), np.int64, len(ids)) for ids in tables]
    together = np.concatenate(hashes)
    together.sort()
    return not (together[1:] == together[:-1]).any()
