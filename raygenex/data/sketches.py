"""Sketches of sequences: 128 numbers that say how alike two sets of k-mers are, and digests of whole sequences."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def sketch(sequences: NDArray[np.uint8], k: int = 16, size: int = 128) -> NDArray[np.uint32]:
    """Sketch the set of k-mers of every sequence.

    A k-mer and its reverse complement are one, so that windows on opposite strands are found alike; k-mers with an
    unknown base are left out. A row's sketch depends on that row alone.

    Parameters
    ----------
    sequences
        Base indices, shape ``(n, length)``, values 0 to 4.
    k
        Bases per k-mer, 1 to 32.
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

    ``k`` is 1 to 12 amino acids. The result is that of `sketch`; an empty sequence has an empty sketch.
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
