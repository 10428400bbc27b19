"""Genomes: any stretch of a FASTA file, read from the disk without holding a chromosome in memory."""

import contextlib
import gzip
import hashlib
import logging
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from raygenex.data import windows
from raygenex.errors import DataError
from raygenex.files.lines import GZIP_MAGIC, unreadable
from raygenex.files.locate import CACHE_VARIABLE, cache_folder, is_url, local_copy
from raygenex.files.whole import aside_folder, sync_tree
from raygenex.sequence import UNKNOWN, from_string, reverse_complement

_LOG = logging.getLogger(__name__)

_BLOCK = 1 << 20
_LONGEST_NAME = 10_000
# The empty block that ends every bgzip file (SAM specification, section 4.1.2).
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# Level 4 of 9 takes a fifth of the default's time, and 4 % more room.
_BGZIP_MODE = "w4"


@dataclass(frozen=True)
class Genome:
    """A FASTA file that can be read at random; it holds names and lengths alone, so it may be pickled.

    The paths are those of the machine that called `open_genome`: on another one, call it again.
    """

    path: str
    """As the user named it, made absolute."""
    indexed: str
    """The file that is read: the user's own, or a bgzip copy of it in the cache."""
    fai: str
    """Index of the chromosomes."""
    gzi: str | None
    """Index of the compressed blocks; None if the file is not compressed."""
    lengths: dict[str, int]
    """Bases of each chromosome, in the order of the file."""


def open_genome(path: str) -> Genome:
    """Make a FASTA file readable at random.

    An index beside the file (``.fai``, and ``.gzi`` for bgzip) is trusted if it is not older than the file.
    Otherwise one is made in the cache folder (``RAYGENEX_CACHE``), where it is found again until the file changes;
    nothing is written beside the file. Plain gzip cannot be read at random: it is rewritten as bgzip into the
    cache, once.

    Parameters
    ----------
    path
        A local path or an fsspec URL of a FASTA file: plain, gzip or bgzip, told apart by content.

    Raises
    ------
    DataError
        If the file cannot be read, is truncated or not FASTA, names a chromosome twice or breaks its lines
        unevenly, or the cache cannot be written.
    """
    local = local_copy(path)
    shown = path if is_url(path) else local
    try:
        kind = _kind(shown, local)
        if kind != "gzip" and (beside := _index_beside(local, kind)):
            fai, gzi = beside
        else:
            local, fai, gzi = _prepare(shown, local, kind)
        return Genome(shown, local, fai, gzi, _lengths(fai))
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(shown, error) from None


class GenomeReader:
    """Reads bases of a genome; a context manager that holds the open file and must stay in its process.

    Parameters
    ----------
    genome
        What `open_genome` returned, on this machine.
    """

    def __init__(self, genome: Genome) -> None:
        self._genome = genome
        self._file: Any = None

    def __enter__(self) -> Self:
        import pysam

        genome = self._genome
        try:
            with _quiet():
                self._file = pysam.FastaFile(
                    genome.indexed, filepath_index=genome.fai, filepath_index_compressed=genome.gzi
                )
        except (OSError, ValueError):
            raise DataError(
                f"{genome.path} can no longer be read with its index {genome.fai}; check that both are still there"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._file = None

    def fetch(self, chrom: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the forward strand of a stretch within a chromosome.

        Parameters
        ----------
        chrom
            A name among the genome's ``lengths``.
        start, stop
            The first base and the one after the last, from 0; ``0 <= start <= stop <= lengths[chrom]``.

        Returns
        -------
        Base indices, shape ``(stop - start,)``, values 0 to 4.

        Raises
        ------
        DataError
            If the file is damaged, or a letter there is no DNA letter.
        """
        assert self._file is not None, "used outside its `with`"
        assert 0 <= start <= stop <= self._genome.lengths[chrom], (chrom, start, stop)
        try:
            with _quiet():
                text = self._file.fetch(chrom, start, stop)
        except (OSError, ValueError):
            text = ""
        where = f"{self._genome.path}: chromosome {chrom}"
        if len(text) != stop - start:
            raise DataError(
                f"{where} cannot be read from base {start + 1} to {stop}; copy or download the file again, "
                "without its old index"
            )
        try:
            return from_string(text)
        except ValueError:
            at = min(text.index(letter) for letter in set(text) if not _is_dna(letter))
            raise DataError(
                f"{where} has {text[at]!r} at base {start + at + 1}, which is no DNA letter; correct it, or write N"
            ) from None

    def window(self, chrom: str, tss: int, strand: str, first: int, stop: int) -> NDArray[np.uint8]:
        """Return the bases around a TSS as they read on the gene's strand.

        Parameters
        ----------
        chrom
            A name among the genome's ``lengths``.
        tss
            1-based.
        strand
            ``+`` or ``-``.
        first, stop
            Offsets of the first base and of the one after the last, ``first < stop``.

        Returns
        -------
        Base indices, shape ``(stop - first,)``, values 0 to 4; the TSS is at index ``-first``, and what lies
        outside the chromosome is unknown (4).

        Raises
        ------
        DataError
            As from `fetch`.
        """
        low, high = window_bounds(tss, strand, first, stop)
        start, end = max(low, 0), min(high, self._genome.lengths[chrom])
        bases = np.full(high - low, UNKNOWN, dtype=np.uint8)
        if start < end:
            bases[start - low : end - low] = self.fetch(chrom, start, end)
        return bases if strand == "+" else reverse_complement(bases)


def window_bounds(tss: int, strand: str, first: int, stop: int) -> tuple[int, int]:
    """Return where one window lies, as `raygenex.data.windows.window_bounds` does for many.

    The bounds may leave the chromosome. Parameters are those of `GenomeReader.window`.
    """
    assert strand in ("+", "-"), strand
    assert first < stop, (first, stop)
    low, high = windows.window_bounds(np.asarray(tss), np.asarray(strand, dtype=object), first, stop)
    return int(low), int(high)


def _is_dna(letter: str) -> bool:
    try:
        return bool(from_string(letter).size)
    except ValueError:
        return False


def _kind(shown: str, local: str) -> str:
    """Return plain, gzip or bgzip; refuse what does not start like FASTA, or is bgzip without its end."""
    with open(local, "rb") as stream:
        head = stream.read(18)
        # bgzip keeps the size of each block in a field BC of the gzip header.
        kind = "plain" if not head.startswith(GZIP_MAGIC) else "bgzip" if head[12:14] == b"BC" else "gzip"
        if kind == "bgzip":
            stream.seek(-min(len(_BGZIP_END), os.fstat(stream.fileno()).st_size), os.SEEK_END)
            if stream.read() != _BGZIP_END:
                raise EOFError
    with _open_plain(local, kind) as stream:
        first = stream.read(1)
    if not first:
        raise DataError(f"{shown} is empty; name a FASTA file with the bases of the chromosomes")
    if first != b">":
        raise DataError(
            f"{shown} is not FASTA: it starts with {first.decode('latin-1')!r}, not with >; name a FASTA file"
        )
    return kind


def _open_plain(local: str, kind: str) -> BufferedReader | gzip.GzipFile:
    return open(local, "rb") if kind == "plain" else gzip.open(local, "rb")


def _index_beside(local: str, kind: str) -> tuple[str, str | None] | None:
    """Return the index files beside a FASTA file, None unless all are there, readable and up to date."""
    fai, gzi = f"{local}.fai", f"{local}.gzi" if kind == "bgzip" else None
    changed = os.stat(local).st_mtime_ns
    for name in (fai, gzi):
        if name and not (os.access(name, os.R_OK) and os.stat(name).st_mtime_ns >= changed):
            return None
    return fai, gzi


def _prepare(shown: str, local: str, kind: str) -> tuple[str, str, str | None]:
    """Return the file to read and its index files, made in the cache if they are not there yet."""
    state = os.stat(local)
    key = hashlib.sha256(f"{local}\n{state.st_size}\n{state.st_mtime_ns}".encode()).hexdigest()[:16]
    name = Path(local).name
    copy = f"{name.removesuffix('.gz')}.bgz"
    try:
        folder = cache_folder() / f"{key}-{name}.index"
        if not folder.exists():
            # The folder appears under its name complete or not at all, whoever else makes it at this moment.
            with aside_folder(folder) as work:
                ready = work / "ready"
                ready.mkdir()
                if kind == "gzip":
                    _LOG.info("%s is gzip and cannot be read at random: rewriting it as bgzip in %s", shown, folder)
                    _rewrite(local, ready / copy)
                _make_index(shown, str(ready / copy) if kind == "gzip" else local, kind, ready)
                sync_tree(ready)
                try:
                    ready.rename(folder)
                except OSError:
                    if not folder.exists():
                        raise
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise DataError(
            f"{shown} needs an index, but the cache folder cannot be written ({error.strerror or error}); set "
            f"{CACHE_VARIABLE} to a folder with room that this user may write"
        ) from None
    return (
        str(folder / copy) if kind == "gzip" else local,
        str(folder / "fai"),
        str(folder / "gzi") if kind != "plain" else None,
    )


def _rewrite(local: str, target: Path) -> None:
    import pysam

    with gzip.open(local, "rb") as source, pysam.BGZFile(str(target), _BGZIP_MODE) as copy:
        while block := source.read(_BLOCK):
            copy.write(block)


def _make_index(shown: str, fasta: str, kind: str, folder: Path) -> None:
    import pysam

    # faidx takes the first of two chromosomes with one name, and only mutters.
    with _open_plain(fasta, kind) as stream:
        found = Counter(_names(shown, stream))
    twice = [name for name, count in found.items() if count > 1]
    if twice:
        raise DataError(
            f"{shown} has the chromosome {twice[0].decode('utf-8', 'replace')} twice; rename or remove one of them"
        )
    if unreadable_name := next((name for name in found if not _is_utf8(name)), None):
        raise DataError(f"{shown} has a chromosome {ascii(unreadable_name)[1:]}, which is not UTF-8; rename it")
    options = ["--fai-idx", str(folder / "fai")]
    if kind != "plain":
        options += ["--gzi-idx", str(folder / "gzi")]
    try:
        with _quiet():
            pysam.faidx(*options, fasta)
    except pysam.SamtoolsError:
        with _open_plain(fasta, kind) as stream:
            place = _uneven_line(stream)
        if place is None:
            raise DataError(f"{shown} cannot be indexed; check that bases follow each line with >") from None
        raise DataError(
            f"{shown}: line {place[1]}, in chromosome {place[0]}, breaks the length of the lines, which must be "
            "the same for all but a chromosome's last; write the file anew with lines of one length"
        ) from None


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _names(shown: str, stream: BufferedReader | gzip.GzipFile) -> Iterator[bytes]:
    """Yield the names of the chromosomes, whatever the length of the lines."""
    while block := stream.read(_BLOCK):
        # A name must not be cut in two; a rest of bases need not end.
        block += stream.readline(_BLOCK)
        if b">" in block:
            for name in re.findall(rb"(?m)^>(\S*)", block):
                if len(name) > _LONGEST_NAME:
                    start = name[:20].decode("utf-8", "replace")
                    raise DataError(
                        f"{shown}: a chromosome's name, {start}..., has over {_LONGEST_NAME} bytes; shorten it"
                    )
                yield name


def _uneven_line(stream: BufferedReader | gzip.GzipFile) -> tuple[str, int] | None:
    """Return the chromosome and number of the first line after a shorter one, or longer than the one before."""
    name, width, is_last = "", 0, False
    for number, line in enumerate(stream, 1):
        bases = len(line.rstrip())
        if line.startswith(b">"):
            name, width, is_last = line[1:].split()[0].decode(errors="replace") if bases > 1 else "", 0, False
        elif bases and (is_last or (width and bases > width)):
            return name, number
        else:
            width, is_last = width or bases, bases < (width or bases) or not bases
    return None


def _lengths(fai: str) -> dict[str, int]:
    try:
        with open(fai, encoding="utf-8") as stream:
            return {name: int(length) for name, length, *_ in (line.rstrip("\n").split("\t") for line in stream)}
    except ValueError:
        raise DataError(f"{fai} is no FASTA index; remove it, so that it is made anew") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep htslib, which writes past Python, off the terminal."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)
