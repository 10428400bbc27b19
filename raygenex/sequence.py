"""The alphabet, and the ways between base indices, one-hot and strings.

Base indices are uint8: A 0, C 1, G 2, T 3, unknown 4. They are what travels between processes; one-hot is made only
where a model needs it. Everything here is arithmetic on arrays: no files, no Ray.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ALPHABET = "ACGTN"
UNKNOWN = 4

_NO_LETTER = 255
_LETTER_TO_INDEX = bytearray([_NO_LETTER] * 256)
for _index, _letter in enumerate(ALPHABET):
    _LETTER_TO_INDEX[ord(_letter)] = _LETTER_TO_INDEX[ord(_letter.lower())] = _index
# The IUPAC ambiguity codes say "one of several bases": here that is unknown.
for _letter in "RYSWKMBDHV":
    _LETTER_TO_INDEX[ord(_letter)] = _LETTER_TO_INDEX[ord(_letter.lower())] = UNKNOWN
_INDEX_TO_LETTER = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)

# The code of a hot base is 16 more than what its index lacks to that of an unknown one, so that the low half of the
# sum over a position gives the index, and two hot bases exceed any one.
_HOT_CODES = np.array([20, 19, 18, 17], dtype=np.uint8)
_PACKED_HOT_CODES = np.uint32(int.from_bytes(_HOT_CODES.tobytes()))
_PACKED_ONES = np.uint32(0x01010101)

# Bases that are decoded together: their numbers stay in a core's cache.
CACHED_BASES = 2**15


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
        # Bytes are translated several times as fast as an array is indexed.
        codes = bytearray(text, "ascii").translate(_LETTER_TO_INDEX)
    except UnicodeEncodeError as error:
        raise ValueError(f"{text[error.start]!r} at position {error.start} is not a DNA letter") from None
    if (bad := codes.find(_NO_LETTER)) >= 0:
        raise ValueError(f"{text[bad]!r} at position {bad} is not a DNA letter")
    return np.frombuffer(codes, dtype=np.uint8)


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
        If the shape is another, a value is neither 0 nor 1, or two bases are hot at one position; the message gives
        the shape, or the index of the first.
    """
    if one_hot.ndim < 2 or one_hot.shape[-1] != 4:
        raise ValueError(f"one-hot has the shape (..., length, 4), not {one_hot.shape}")
    stored = np.ascontiguousarray(one_hot)
    if stored.dtype == np.bool_:
        # A file may hold more in a byte than true and false.
        stored = stored.view(np.uint8)
    if stored.dtype.itemsize == 1 and stored.dtype.kind in "iu":
        hot = stored.view(np.uint8)
    else:
        # A value that equals 1, or differs from 0, is so in both or is neither 0 nor 1; NaN is not.
        hot, nonzero = stored == 1, stored != 0
        if (stray := hot != nonzero).any():
            raise _stray(stored, stray)
    codes = np.zeros(stored.shape[:-1], dtype=np.uint8)
    rows = (-1, *stored.shape[-2:]) if codes.size else (0, 1, 4)
    if not add_hot(hot.view(np.uint8).reshape(rows), codes.reshape(rows[:-1])):
        raise _stray(stored, hot > 1)
    if not decode_hot(codes):
        where = tuple(int(i) for i in np.argwhere(hot.sum(axis=-1) > 1)[0])
        raise ValueError(f"{int(hot[where].sum())} bases are hot at index {where}")
    return codes


def add_hot(hot: NDArray[np.uint8], codes: NDArray[np.uint8], base: int = 0) -> bool:
    """Add the codes of hot bases to ``codes``, from which `decode_hot` makes base indices.

    Parameters
    ----------
    hot
        0 or 1 for each of some bases, shape ``(n, length, bases)``, the last axis without gaps.
    codes
        Shape ``(n, length)``, zeros before the first call; all four bases must be added before they are decoded.
    base
        Index of the first of those bases.

    Returns
    -------
    Whether every value is 0 or 1; ``codes`` is of no use where it is not.
    """
    n, length, bases = hot.shape
    if bases != 4:
        found = np.uint8(0)
        for number in range(bases):
            column = hot[..., number]
            found |= np.bitwise_or.reduce(column, axis=None)
            codes += column * _HOT_CODES[base + number]
        return bool(found <= 1)
    # Four bytes are one number, whose product with the packed codes has the code of the hot byte in its last byte.
    packed = hot.view("<u4")[..., 0]
    step = max(1, CACHED_BASES // max(1, length))
    products = np.empty((min(step, n), length), dtype="<u4")
    last_bytes = products.view(np.uint8)[..., 3::4]
    strays = np.uint32(0)
    for start in range(0, n, step):
        part = packed[start : start + step]
        strays |= np.bitwise_or.reduce(part, axis=None)
        np.multiply(part, _PACKED_HOT_CODES, out=products[: len(part)])
        codes[start : start + step] = last_bytes[: len(part)]
    return not strays & ~_PACKED_ONES


def decode_hot(codes: NDArray[np.uint8]) -> bool:
    """Turn codes of hot bases into base indices, in place.

    Returns
    -------
    Whether no position had two hot bases; ``codes`` is of no use where one had.
    """
    most = int(codes.max(initial=0))
    np.bitwise_and(codes, 15, out=codes)
    np.subtract(UNKNOWN, codes, out=codes)
    return most <= int(_HOT_CODES[0])


def _stray(stored: NDArray[Any], stray: NDArray[np.bool_]) -> ValueError:
    where = tuple(int(i) for i in np.argwhere(stray)[0])
    return ValueError(f"value {stored[where]} at index {where} is neither 0 nor 1")


def to_one_hot(indices: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Turn base indices, shape ``(..., length)``, into one-hot, shape ``(..., length, 4)``; unknown is all zeros."""
    return indices[..., None] == np.arange(4, dtype=np.uint8)


def reverse_complement(indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the other strand, read 5' to 3'; shape ``(..., length)`` in and out, unknown stays unknown."""
    # Of the unknown, 3 - 4 is 255.
    return np.minimum(3 - indices[..., ::-1], UNKNOWN, dtype=np.uint8)


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


def composition(bases: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the GC content and the CpG ratio of sequences.

    Parameters
    ----------
    bases
        Base indices, shape ``(N, L)``.

    Returns
    -------
    Shape ``(N, 2)``: the share of C and G among the known bases, in [0, 1]; and CpGs over those expected of as many C
    and G in any order, ``CpG * L / (C * G)`` with L known bases (Gardiner-Garden & Frommer 1987). Each is 0 without a
    denominator.
    """
    c, g = bases == 1, bases == 2
    number_c, number_g = c.sum(axis=1), g.sum(axis=1)
    known = (bases < UNKNOWN).sum(axis=1)
    pairs = (c[:, :-1] & g[:, 1:]).sum(axis=1)
    content = (number_c + number_g) / np.maximum(known, 1)
    # Without C or G there is no pair either.
    ratio = pairs * known / np.maximum(number_c * number_g, 1)
    return np.stack([content, ratio], axis=1).astype(np.float32)
