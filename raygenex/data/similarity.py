"""How alike sequences are: the pairs and clusters that sketches (`raygenex.data.similarity`) find."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.sequence import UNKNOWN

EMPTY = np.uint32(0xFFFFFFFF)
"""What every column of a sequence without a k-mer holds; such a sequence is like no other, nor like itself."""
# The amino acids of the codons AAA, AAC, ..., TTT (NCBI translation table 1); * is a stop.
_CODE = "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF"
_STOP = 31
_AMINO = np.array([_STOP if letter == "*" else ord(letter) - ord("A") for letter in _CODE], dtype=np.uint8)
_ROUNDS = 16
_KMERS_PER_BLOCK = 1 << 17
_GOLDEN = 0x9E3779B97F4A7C15

RECALL = 0.99
"""Least probability that a pair whose similarity is the threshold is looked at."""


_PAIRS_PER_BLOCK = 1 << 14


def jaccard(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Estimate the Jaccard similarity of rows of the same index; shapes ``(n, size)`` in, ``(n,)`` out, 0 to 1."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return _agreeing(a, b).astype(np.float32) / np.float32(a.shape[1])


def similar_pairs(
    sketches: NDArray[np.uint32], threshold: float, limit: int = 5_000_000
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the pairs of rows whose estimated similarity reaches a threshold.

    Candidates are found by banding (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4): the
    columns are cut into ``b = size // r`` bands of ``r``, and rows that agree in a whole band are compared in full.
    A pair of similarity s becomes a candidate with probability ``1 - (1 - s**r)**b``; ``r`` is the largest that
    makes it ``RECALL`` or more at the threshold (3 at 0.5, 2 at 0.3 and 1 at 0.2, with 128 columns). With an ``r``
    of 1 no pair is missed. Equal sketches are compared once, and candidates in blocks of bounded size.

    Parameters
    ----------
    sketches
        Shape ``(n, size)``.
    threshold
        Least similarity, above 0, at most 1.
    limit
        Most pairs to return; g equal rows alone are g (g - 1) / 2. `clusters` and `best_partners` have no limit.

    Returns
    -------
    Pairs ``i < j``, sorted, shape ``(m, 2)``, and their similarities, shape ``(m,)``.

    Raises
    ------
    DataError
        If there are more than ``limit`` pairs.
    """
    groups, order, start, count = _groups(sketches)
    twins = np.flatnonzero(count > 1)
    found = [(twins, twins, np.ones(len(twins), dtype=np.float32))]
    total = int((count[twins] * (count[twins] - 1) // 2).sum())
    least, width = _least(threshold, groups.shape[1]), _band_width(threshold, groups.shape[1])
    for band, i, j in _candidates(groups, None, width):
        if total > limit:
            break
        same = groups[i] == groups[j]
        agree = same.sum(axis=1, dtype=np.uint16)
        # A pair that agrees in an earlier band was seen there.
        earlier = same[:, : band * width].reshape(len(i), band, width).all(axis=2).any(axis=1)
        keep = (agree >= least) & ~earlier
        found.append((i[keep], j[keep], agree[keep] / np.float32(groups.shape[1])))
        total += int((count[i[keep]] * count[j[keep]]).sum())
    if total > limit:
        raise DataError(
            f"more than {limit:,} pairs of the {len(sketches):,} sequences are alike at similarity {threshold:g}: "
            "raise the threshold, or cluster the sequences instead"
        )
    a, b, value = (np.concatenate(part) for part in zip(*found, strict=True))
    pairs = count[a] * count[b]
    which = np.repeat(np.arange(len(a)), pairs)
    nth = _within(pairs)
    left = order[start[a][which] + nth // count[b][which]]
    right = order[start[b][which] + nth % count[b][which]]
    once = (a != b)[which] | (left < right)
    low, high, value = np.minimum(left, right)[once], np.maximum(left, right)[once], value[which][once]
    by_row = np.lexsort((high, low))
    return np.stack([low, high], axis=1)[by_row], value[by_row]


def best_partners(
    queries: NDArray[np.uint32], references: NDArray[np.uint32], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find, for every query, the reference that is most similar to it.

    Candidates are found as in `similar_pairs`; memory does not depend on how many there are.

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
    """Join rows that are alike, and what is alike to them, into clusters (single linkage).

    Pairs are found as in `similar_pairs`; memory does not depend on how many there are.

    Parameters
    ----------
    sketches
        Shape ``(n, size)``.
    threshold
        Least similarity of a pair, above 0, at most 1.

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
    """Return how many columns a band has; see `similar_pairs`."""
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
    """Join components in place; a node's label is the lowest node of its component, before and after."""
    while (apart := label[first] != label[second]).any():
        first, second = first[apart], second[apart]
        low, high = np.minimum(label[first], label[second]), np.maximum(label[first], label[second])
        np.minimum.at(label, high, low)
        while (label[label] != label).any():
            label[:] = label[label]


def sketch(sequences: NDArray[np.uint8], k: int = 16, size: int = 128) -> NDArray[np.uint32]:
    """Sketch the set of k-mers of every sequence.

    A k-mer and its reverse complement are one, so that windows on opposite strands are found alike; k-mers with an
    unknown base are left out. A row's sketch depends on that row alone.

    Parameters
    ----------
    sequences
        Base indices, shape ``(n, length)``, values 0 to 4.
    k
        Bases a k-mer, 1 to 32.
    size
        Columns of the sketch.

    Returns
    -------
    Shape ``(n, size)``; a row without a k-mer is ``EMPTY`` throughout.
    """
    assert 1 <= k <= 32, k
    rows, length = sequences.shape
    out = np.full((rows, size), EMPTY, dtype=np.uint32)
    count = length - k + 1
    if count < 1:
        return out
    step = max(1, _KMERS_PER_BLOCK // count)
    for low in range(0, rows, step):
        block = sequences[low : low + step]
        base = (block & 3).astype(np.uint32 if k <= 16 else np.uint64)
        kmers = np.minimum(_join(base, k, 2), _join(3 - base[:, ::-1], k, 2)[:, ::-1]).ravel()
        owner = np.repeat(np.arange(len(block)), count)
        if (unknown := block == UNKNOWN).any():
            known = ~_touches(unknown, k).ravel()
            kmers, owner = kmers[known], owner[known]
        out[low : low + step] = _minhash(kmers.astype(np.uint64), owner, len(block), size)
    return out


def protein_sketch(cds: Sequence[NDArray[np.uint8]], k: int = 5, size: int = 128) -> NDArray[np.uint32]:
    """Sketch the set of amino-acid k-mers of every coding sequence.

    Each is translated from its first base by the standard genetic code; bases after the last whole codon are left
    out, and so are k-mers with a stop or with a codon that holds an unknown base.

    Parameters
    ----------
    cds
        Base indices of ``n`` coding sequences, each of shape ``(length,)``; an empty one has an empty sketch.
    k
        Amino acids a k-mer, 1 to 12.
    size
        Columns of the sketch.

    Returns
    -------
    Shape ``(n, size)``; a row without a k-mer is ``EMPTY`` throughout.
    """
    assert 1 <= k <= 12, k
    out = np.full((len(cds), size), EMPTY, dtype=np.uint32)
    ends = np.cumsum([len(sequence) // 3 for sequence in cds], dtype=np.int64)
    low = 0
    while low < len(cds):
        done = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + _KMERS_PER_BLOCK, side="right")))
        block = [sequence[: len(sequence) // 3 * 3] for sequence in cds[low:high]]
        codons = np.concatenate(block).reshape(-1, 3)
        owner = np.repeat(np.arange(high - low), [len(sequence) // 3 for sequence in block])
        if len(codons) >= k:
            amino = _AMINO[(codons & 3) @ np.array([16, 4, 1], dtype=np.uint8)]
            broken = (codons == UNKNOWN).any(axis=1) | (amino == _STOP)
            last = owner[k - 1 :]
            owner = owner[: len(owner) - k + 1]
            whole = ~_touches(broken[None], k)[0] & (owner == last)
            kmers = _join(amino.astype(np.uint64)[None], k, 5)[0]
            out[low:high] = _minhash(kmers[whole], owner[whole], high - low, size)
        low = high
    return out


def sequence_digests(sequences: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return 16 bytes (BLAKE2b) that are equal for equal sequences only; shape ``(n, length)`` in, ``(n,)`` out."""
    rows = np.ascontiguousarray(sequences)
    return np.array([hashlib.blake2b(row, digest_size=16).digest() for row in rows], dtype="S16")


def _join(letters: NDArray[Any], k: int, bits: int) -> NDArray[Any]:
    """Pack k letters into one number, by doubling; shape ``(n, length)`` in, ``(n, length - k + 1)`` out."""
    word, length = letters, 1
    for digit in f"{k:b}"[1:]:
        word = (word[:, :-length] << (bits * length)) | word[:, length:]
        length *= 2
        if digit == "1":
            word = (word[:, :-1] << bits) | letters[:, length:]
            length += 1
    return word


def _touches(mask: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """Whether a k-mer holds a marked position; shape ``(n, length)`` in, ``(n, length - k + 1)`` out."""
    total = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.int32)
    np.cumsum(mask, axis=1, out=total[:, 1:])
    return total[:, k:] > total[:, :-k]


def mix(kmers: NDArray[np.uint64], turn: int) -> NDArray[np.uint64]:
    """Hash by the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); each turn is another hash."""
    hashed = kmers + np.uint64((turn + 1) * _GOLDEN & 0xFFFFFFFFFFFFFFFF)
    shifted = np.empty_like(hashed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        np.right_shift(hashed, np.uint64(shift), out=shifted)
        hashed ^= shifted
        hashed *= np.uint64(factor)
    np.right_shift(hashed, np.uint64(31), out=shifted)
    hashed ^= shifted
    return hashed


def _minhash(kmers: NDArray[np.uint64], owner: NDArray[np.int64], rows: int, size: int) -> NDArray[np.uint32]:
    """Sketch the k-mers of every row; ``owner`` is the row of each k-mer."""
    out = np.full((rows, size), EMPTY, dtype=np.uint32)
    for turn in range(_ROUNDS):
        hashed = mix(kmers, turn)
        value = np.minimum(hashed.astype(np.uint32), EMPTY - np.uint32(1))
        hashed >>= np.uint64(32)
        hashed *= np.uint64(size)
        hashed >>= np.uint64(32)
        column = hashed.view(np.int64)
        column += owner * size
        fresh = np.full(rows * size, EMPTY, dtype=np.uint32)
        np.minimum.at(fresh, column, value)
        out = np.where(out == EMPTY, fresh.reshape(rows, size), out)
        pending = (out == EMPTY).any(axis=1)
        if not pending.any():
            return out
        kmers, owner = kmers[pending[owner]], owner[pending[owner]]
    for column_number in range(size):
        empty = (out[:, column_number] == EMPTY)[owner]
        value = np.minimum(mix(kmers[empty], _ROUNDS + column_number).astype(np.uint32), EMPTY - np.uint32(1))
        np.minimum.at(out[:, column_number], owner[empty], value)
    return out
