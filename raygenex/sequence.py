"""The alphabet, and the ways between base indices, one-hot and strings.

Base indices are uint8: A 0, C 1, G 2, T 3, unknown 4. They are what travels between processes; one-hot is made only
where a model needs it. Everything here is arithmetic on arrays: no files, no Ray.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ALPHABET = "ACGTN"
UNKNOWN = 4

_LETTER_TO_INDEX = np.full(256, 255, dtype=np.uint8)
for _index, _letter in enumerate(ALPHABET):
    _LETTER_TO_INDEX[ord(_letter)] = _LETTER_TO_INDEX[ord(_letter.lower())] = _index
# The IUPAC ambiguity codes say "one of several bases": here that is unknown.
for _letter in "RYSWKMBDHV":
    _LETTER_TO_INDEX[ord(_letter)] = _LETTER_TO_INDEX[ord(_letter.lower())] = UNKNOWN
_INDEX_TO_LETTER = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)


def from_string(text: str) -> NDArray[np.uint8]:
    """Turn a DNA string into base indices.

    Parameters
    ----------
    text
        Letters A, C, G, T in either case; N and the IUPAC ambiguity codes become unknown (4).

    Returns
    -------
    Base indices, shape ``(len(text),)``, values 0 to 4.

    Raises
    ------
    ValueError
        If a letter is no DNA letter; the message names it and its position, counted from 0.
    """
    try:
        raw = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    except UnicodeEncodeError as error:
        raise ValueError(f"{text[error.start]!r} at position {error.start} is not a DNA letter") from None
    indices = _LETTER_TO_INDEX[raw]
    if (bad := np.flatnonzero(indices == 255)).size:
        raise ValueError(f"{text[bad[0]]!r} at position {bad[0]} is not a DNA letter")
    return indices


def to_string(indices: NDArray[np.uint8]) -> str:
    """Turn base indices, shape ``(length,)``, into a string over ``ACGTN``."""
    return _INDEX_TO_LETTER[indices].tobytes().decode()


def from_one_hot(one_hot: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn one-hot rows into base indices; an all-zero row becomes unknown.

    Parameters
    ----------
    one_hot
        Shape ``(..., length, 4)`` in the order A, C, G, T, any dtype whose values are 0 and 1 only.

    Returns
    -------
    Base indices, shape ``(..., length)``, values 0 to 4.

    Raises
    ------
    ValueError
        If a value is neither 0 nor 1, or two bases are hot at one position; the message gives the index of the first.
    """
    if one_hot.shape[-1] != 4:
        raise ValueError(f"one-hot needs 4 values a position, not {one_hot.shape[-1]}")
    hot: NDArray[np.bool_] = one_hot if one_hot.dtype == np.bool_ else one_hot == 1
    if one_hot.dtype != np.bool_:
        stray = ~hot & (one_hot != 0)
        if stray.any():
            where = tuple(int(i) for i in np.argwhere(stray)[0])
            raise ValueError(f"value {one_hot[where]} at index {where} is neither 0 nor 1")
    # One pass over bytes: a hot base adds 16 and its number plus 1, so two hot bases always exceed 20.
    weights = np.array([17, 18, 19, 20], dtype=np.uint8)
    code = np.ascontiguousarray(hot).view(np.uint8) @ weights
    if (double := code > 20).any():
        where = tuple(int(i) for i in np.argwhere(double)[0])
        raise ValueError(f"{int(hot[where].sum())} bases are hot at index {where}")
    return np.where(code == 0, UNKNOWN, code - 17).astype(np.uint8)


def to_one_hot(indices: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Turn base indices, shape ``(..., length)``, into one-hot, shape ``(..., length, 4)``; unknown is all zeros."""
    return indices[..., None] == np.arange(4, dtype=np.uint8)


def reverse_complement(indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the other strand, read 5' to 3'; shape ``(..., length)`` in and out, unknown stays unknown."""
    return _COMPLEMENT[indices[..., ::-1]]


def crop_start(length: int, window: int) -> int:
    """Return the index at which the middle ``window`` of ``length`` positions starts, as `centre_crop` cuts it."""
    return length // 2 - window // 2


def centre_crop(indices: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """Keep the middle ``window`` positions of the last axis.

    Index ``length // 2``, the TSS of a centred promoter, moves to index ``window // 2``.

    Raises
    ------
    ValueError
        If ``window`` is longer than the sequence.
    """
    length = indices.shape[-1]
    if window > length:
        raise ValueError(f"cannot crop {length} bases to {window}")
    start = crop_start(length, window)
    return indices[..., start : start + window]
