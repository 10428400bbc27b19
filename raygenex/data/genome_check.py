"""Whether the index next to a FASTA file is that of this very file, whatever the dates of both say."""

import mmap
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

# Records without bases, which an index may leave out, are before the header.
_HEADER = re.compile(rb"(?:\s*>[^\n]*\n)*?\s*>(\S*)[^\n]*\n")
_HEADERS = re.compile(rb"(?:\s*>[^\n]*(?:\n|\Z))*\s*")
_LONGEST_HEADER = 1 << 20
_LONGEST_LINE = 1 << 16
# Of a bgzip block: the gzip header up to the field BC, and the size of the block less 1 (SAM specification, 4.1.1).
_BLOCK = struct.Struct("<10xH2s2xH")
_PAIR = struct.Struct("<QQ")
_COUNT = struct.Struct("<Q")
_SIZE = struct.Struct("<I")


class _Record(NamedTuple):
    """A line of a .fai."""

    name: bytes
    bases: int
    offset: int
    """Of the first base."""
    line_bases: int
    line_width: int
    """Bytes of a line with its end."""

    @property
    def is_possible(self) -> bool:
        """Whether the numbers fit each other."""
        return min(self.bases, self.offset, self.line_bases) >= 0 and (
            self.line_width > self.line_bases > 0 or self.line_bases >= self.bases
        )

    @property
    def end(self) -> int:
        """Offset behind the last base."""
        if not self.bases:
            return self.offset
        lines, last = divmod(self.bases - 1, self.line_bases)
        return self.offset + lines * self.line_width + last + 1


class _Blocks:
    """The blocks of a bgzip file: where each starts, and where its contents start in the unpacked whole."""

    def __init__(self, raw: mmap.mmap) -> None:
        self._raw = raw
        self._packed, self._unpacked = [0], [0]
        self._last = (-1, b"")
        """The number and contents of the block that was read last: short records lie in one."""
        while self._packed[-1] < len(raw):
            extra, name, size = _BLOCK.unpack_from(raw, self._packed[-1])
            if (extra, name) != (6, b"BC"):
                raise ValueError("not a block as bgzip writes it")
            self._packed.append(self._packed[-1] + size + 1)
            self._unpacked.append(self._unpacked[-1] + _SIZE.unpack_from(raw, self._packed[-1] - _SIZE.size)[0])

    @property
    def size(self) -> int:
        """Bytes of the unpacked whole."""
        return self._unpacked[-1]

    def agree(self, gzi: bytes) -> bool:
        """Whether an index names the blocks that hold something, the first one aside, and none that is not there."""
        named = set(_PAIR.iter_unpack(gzi[_COUNT.size :]))
        there = list(zip(self._packed, self._unpacked, strict=True))
        needed = {block for block, after in pairwise(there) if block[0] and block[1] < after[1]}
        return _COUNT.unpack_from(gzi)[0] == len(gzi) // _PAIR.size and needed <= named <= set(there)

    def read(self, start: int, stop: int) -> bytes:
        """Return a stretch of the unpacked whole."""
        first = number = bisect_right(self._unpacked, start) - 1
        found = b""
        while number + 1 < len(self._packed) and self._unpacked[number] < stop:
            if self._last[0] != number:
                block = self._raw[self._packed[number] : self._packed[number + 1]]
                self._last = (number, zlib.decompress(block, zlib.MAX_WBITS | 16))
            found += self._last[1]
            number += 1
        return found[start - self._unpacked[first] : stop - self._unpacked[first]]


@lru_cache(maxsize=8)
def index_agrees(fasta: str, fai: str, gzi: str | None, _state: tuple[int, ...]) -> bool:
    """Return what `describes` does, and keep it until ``_state`` changes: sizes and times of the files."""
    return describes(fasta, fai, gzi)


def describes(fasta: str, fai: str, gzi: str | None) -> bool:
    """Whether an index describes a FASTA file: every record lies where it says, and so does every block of bgzip.

    Of the bases one line of each record is read.

    Parameters
    ----------
    fasta, fai
        Local paths.
    gzi
        The index of the compressed blocks; None if the file is not compressed.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    try:
        with open(fai, "rb") as stream:
            fields = [line.split(b"\t") for line in stream]
        records = sorted((_Record(name, *map(int, numbers)) for name, *numbers in fields), key=lambda line: line.offset)
        with open(fasta, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            if gzi is None:
                return _agree(records, lambda start, stop: raw[start:stop], len(raw))
            blocks = _Blocks(raw)
            with open(gzi, "rb") as index:
                return blocks.agree(index.read()) and _agree(records, blocks.read, blocks.size)
    except (ValueError, TypeError, struct.error, zlib.error):
        # What is wrong with the FASTA file itself is said when its index is made.
        return False


def _agree(records: list[_Record], read: Callable[[int, int], bytes], size: int) -> bool:
    before = 0
    for record in records:
        if not (record.is_possible and before <= record.offset <= before + _LONGEST_HEADER and record.end <= size):
            return False
        header = _HEADER.fullmatch(read(before, record.offset))
        if header is None or header[1] != record.name:
            return False
        line = read(record.offset, min(record.offset + min(record.line_width, _LONGEST_LINE), size))
        bases = line[: min(record.bases, record.line_bases)]
        if (bases and bases.split() != [bases]) or line[len(bases) :].strip():
            return False
        before = record.end
    return size - before <= _LONGEST_HEADER and _HEADERS.fullmatch(read(before, size)) is not None
