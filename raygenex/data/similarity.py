"""How alike sketched sequences are: the best partner of each, and clusters of them.

Candidates are found by banding (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4): the columns
are cut into ``b = size // r`` bands of ``r``, and rows that agree in a whole band are compared in full. A pair of
similarity s becomes a candidate with probability ``1 - (1 - s**r)**b``; ``r`` is the largest that makes it `RECALL` or
more at the threshold (3 at 0.5, 2 at 0.3 and 1 at 0.2, with 128 columns). With an ``r`` of 1 no pair is missed. Equal
sketches are compared once, and candidates in blocks of bounded size, so that memory does not depend on how many pairs
are alike.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from raygenex.data.sketches import EMPTY, mix

RECALL = 0.99
"""Least probability that a pair whose similarity is the threshold is looked at."""
_PAIRS_PER_BLOCK = 1 << 14


def best_partners(
    queries: NDArray[np.uint32], references: NDArray[np.uint32], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find, for every query, the reference that is most similar to it.

    Parameters
    ----------
    queries, references
        Sketches, shapes ``(n, size)`` and ``(m, size)``.
    threshold
        Least similarity, above 0, at most 1.

    Returns
    -------
    The reference's row, shape ``(n,)``, the lowest of equals, -1 where none reaches the threshold; and the
    similarity, shape ``(n,)``, 0 where there is none.
    """
    assert queries.shape[1] == references.shape[1], (queries.shape, references.shape)
    size = queries.shape[1]
    left, left_order, _, left_count = _groups(queries)
    right, right_order, right_start, _ = _groups(references)
    first = right_order[right_start]
    # Agreement and partner in one number, so that the larger is the better and then the lower row.
    best = np.full(len(left), -1, dtype=np.int64)
    rows = len(references)
    least = _least(threshold, size)
    for _, i, j in _candidates(left, right, _band_width(threshold, size)):
        agree = _agreeing(left[i], right[j]).astype(np.int64)
        keep = agree >= least
        np.maximum.at(best, i[keep], agree[keep] * rows + (rows - 1 - first[j[keep]]))
    partner = np.full(len(queries), -1, dtype=np.int64)
    value = np.zeros(len(queries), dtype=np.float32)
    members = np.repeat(best, left_count)
    has = members >= 0
    partner[left_order[has]] = rows - 1 - members[has] % rows
    value[left_order[has]] = (members[has] // rows) / np.float32(size)
    return partner, value


def clusters(sketches: NDArray[np.uint32], threshold: float) -> NDArray[np.int64]:
    """Join sketches, shape ``(n, size)``, that are alike, and what is alike to them, into clusters (single linkage).

    Returns
    -------
    Cluster of every row, shape ``(n,)``, numbered from 0 in the order of their first rows.
    """
    groups, order, start, count = _groups(sketches)
    label = np.arange(len(groups))
    least = _least(threshold, groups.shape[1])
    for _, i, j in _candidates(groups, None, _band_width(threshold, groups.shape[1])):
        apart = label[i] != label[j]
        i, j = i[apart], j[apart]
        alike = _agreeing(groups[i], groups[j]) >= least
        _merge(label, i[alike], j[alike])
    return components(len(sketches), order, np.repeat(order[start][label], count))


def components(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the connected components of ``count`` nodes whose edges are ``first`` and ``second``, shapes ``(m,)``.

    Returns
    -------
    Component of every node, shape ``(count,)``, numbered from 0 in the order of their first nodes.
    """
    label = np.arange(count)
    _merge(label, first, second)
    return np.unique(label, return_inverse=True)[1]


def _band_width(threshold: float, size: int) -> int:
    """Return how many columns a band has; see the module."""
    assert 0 < threshold <= 1, threshold
    widths = [r for r in range(1, size + 1) if 1 - (1 - threshold**r) ** (size // r) >= RECALL]
    return max(widths, default=1)


def _least(threshold: float, size: int) -> int:
    """Return the fewest columns that must agree."""
    return int(np.ceil(threshold * size - 1e-6))


def _agreeing(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> NDArray[np.uint16]:
    return ((a == b) & (a != EMPTY)).sum(axis=1, dtype=np.uint16)


def _within(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count 0, 1, ... within every group of the given sizes."""
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)


def _groups(
    sketches: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Gather equal rows: the distinct sketches, without the empty one, and order, start and count of their rows."""
    rows = np.flatnonzero(sketches[:, 0] != EMPTY)
    whole = np.ascontiguousarray(sketches[rows]).view(f"V{4 * sketches.shape[1]}").ravel()
    _, first, group, count = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
    order = rows[np.argsort(group, kind="stable")]
    return sketches[rows[first]], order, np.cumsum(count) - count, count


def _candidates(
    left: NDArray[np.uint32], right: NDArray[np.uint32] | None, width: int
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield blocks of pairs that agree in a band: band, left rows, right rows (of ``left`` if alone)."""
    for band in range(left.shape[1] // width):
        columns = slice(band * width, (band + 1) * width)
        key = _fold(left[:, columns])
        if right is None:
            order = owners = np.argsort(key, kind="stable")
            key = key[order]
            start, stop = np.arange(1, len(key) + 1), np.searchsorted(key, key, side="right")
        else:
            other = _fold(right[:, columns])
            order, owners = np.argsort(other, kind="stable"), np.arange(len(left))
            start, stop = (np.searchsorted(other[order], key, side=side) for side in ("left", "right"))
        count = stop - start
        ends = np.cumsum(count)
        low = 0
        while low < len(count):
            done = ends[low - 1] if low else 0
            high = max(low + 1, int(np.searchsorted(ends, done + _PAIRS_PER_BLOCK, side="right")))
            some = count[low:high]
            if some.any():
                owner = np.repeat(owners[low:high], some)
                yield band, owner, order[np.repeat(start[low:high], some) + _within(some)]
            low = high


def _fold(columns: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Hash columns into one number; the full comparison finds out those that are equal by chance."""
    key = np.zeros(len(columns), dtype=np.uint64)
    for column in columns.T:
        key = mix(key ^ column, 0)
    return key


def _merge(label: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
    """Join components in place; a node's label is the lowest node of its component, before and after.

    `scipy.sparse.csgraph.connected_components` wants all edges at once, and called for each block of candidates it
    takes three to four times as long where families are large.
    """
    while (apart := label[first] != label[second]).any():
        first, second = first[apart], second[apart]
        low, high = np.minimum(label[first], label[second]), np.maximum(label[first], label[second])
        np.minimum.at(label, high, low)
        while (label[label] != label).any():
            label[:] = label[label]
