"""From the gzip chunks of a promoter file straight to base indices, past HDF5's own filters and arrays of one-hot.

HDF5 inflates a chunk, copies it through its cache into an array of one-hot values, and that array is then turned into
base indices. Here each chunk is turned into base indices as soon as it is inflated, by ISA-L's inflate, which is about
twice as fast as zlib's. Only what is stored plainly is read so: one byte per value, gzip with or without HDF5's
shuffling of bytes (which leaves single bytes as they are). For all else, and wherever a chunk is damaged, was never
written or holds what is not one-hot, a reader gives up; its caller reads the same rows through HDF5 and finds the words
for what is wrong.
"""

import math
from typing import Any

import numpy as np
from isal import isal_zlib as inflater
from numpy.typing import NDArray

from raygenex.sequence import add_hot, decode_hot

# Numbers of HDF5's filters: H5Z_FILTER_DEFLATE and H5Z_FILTER_SHUFFLE in its H5Zpublic.h.
DEFLATE, SHUFFLE = 1, 2

# Of smaller chunks, HDF5 reads many in the time that the calls for one take from here.
LEAST_CHUNK_BYTES = 32 * 2**10

# What may be held to decode the chunks of one range of rows.
MOST_BYTES = 128 * 2**20


class NotPlainError(Exception):
    """Rows that HDF5 itself must read, or that hold something that is not a base."""


def is_plain(dataset: Any) -> bool:
    """Whether the chunks of an HDF5 dataset of promoters, shape ``(N, L, 4)``, can be read by a `ChunkReader`."""
    if dataset.chunks is None or dataset.dtype.itemsize != 1 or dataset.dtype.kind not in "biu":
        return False
    stored = dataset.id.get_create_plist()
    filters = [stored.get_filter(number)[0] for number in range(stored.get_nfilters())]
    deep, long, bases = dataset.chunks
    size = deep * long * bases
    fits = size >= LEAST_CHUNK_BYTES and size + deep * dataset.shape[1] <= MOST_BYTES
    return filters in ([DEFLATE], [SHUFFLE, DEFLATE]) and fits


class ChunkReader:
    """Base indices of a plain dataset by row ranges, while its file is open.

    Chunks that share their rows, a band, are decoded together. A band is kept where a range ended within it, so that
    ranges that follow each other decode no chunk twice.

    Parameters
    ----------
    dataset
        An open dataset of which `is_plain` holds.
    first, window
        The first base to keep of every row, and how many.
    """

    def __init__(self, dataset: Any, first: int, window: int) -> None:
        self._dataset = dataset
        # Every look at these asks HDF5 again.
        self._rows, self._chunks = dataset.shape[0], dataset.chunks
        self._first = first
        self._window = window
        self._kept_top = -1
        self._kept = np.empty((0, window), dtype=np.uint8)

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return base indices, shape ``(stop - start, window)``, of the rows ``start`` to ``stop`` (exclusive).

        Raises
        ------
        NotPlainError
            If a chunk is damaged, was never written or stored past a filter, or a position is not one-hot.
        """
        deep = self._chunks[0]
        codes = np.zeros((stop - start, self._window), dtype=np.uint8)
        for top in range(start - start % deep, stop, deep):
            bottom = min(top + deep, self._rows)
            low, high = max(start, top), min(stop, bottom)
            here = codes[low - start : high - start]
            if self._kept_top == top:
                here[:] = self._kept[low - top : high - top]
            elif (low, high) == (top, bottom):
                self._add_band(top, here)
            else:
                self._kept_top, self._kept = -1, np.zeros((bottom - top, self._window), dtype=np.uint8)
                self._add_band(top, self._kept)
                self._kept_top = top
                here[:] = self._kept[low - top : high - top]
        if not decode_hot(codes):
            raise NotPlainError("two bases are hot at one position")
        return codes

    def _add_band(self, top: int, codes: NDArray[np.uint8]) -> None:
        """Add the codes of the band that begins in row ``top``."""
        _, long, bases = self._chunks
        end = self._first + self._window
        for left in range(self._first - self._first % long, end, long):
            # The bases that this chunk and the window share.
            begin, stop = max(left, self._first), min(left + long, end)
            for base in range(0, 4, bases):
                chunk = self._inflate(top, left, base)
                hot = chunk[: len(codes), begin - left : stop - left, : 4 - base]
                if not add_hot(hot, codes[:, begin - self._first : stop - self._first], base):
                    raise NotPlainError("a value is neither 0 nor 1")

    def _inflate(self, *corner: int) -> NDArray[np.uint8]:
        """Return the chunk with this first element."""
        try:
            skipped, raw = self._dataset.id.read_direct_chunk(corner)
        except (OSError, RuntimeError, ValueError) as error:
            raise NotPlainError("a chunk cannot be read") from error
        if skipped:
            raise NotPlainError("a chunk was stored without its filters")
        size = math.prod(self._chunks)
        stream = inflater.decompressobj()
        try:
            # One byte more than there should be, so that a stream that goes on is seen, and costs no memory.
            inflated = stream.decompress(raw, size + 1)
        except inflater.error as error:  # type: ignore[misc]
            raise NotPlainError("a chunk is damaged") from error
        if len(inflated) != size or not stream.eof:
            raise NotPlainError("a chunk is longer or shorter than it should be")
        return np.frombuffer(inflated, dtype=np.uint8).reshape(self._chunks)
