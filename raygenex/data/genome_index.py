"""What makes a FASTA file readable at random: its index, and a bgzip copy of plain gzip.

htslib makes the index. pyfaidx takes nearly twice as long for it, reads bgzip through Biopython alone and plain gzip
not at all.
"""

import contextlib
import gzip
import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from raygenex.data.genome_check import describes, index_agrees
from raygenex.errors import DataError
from raygenex.files.lines import GZIP_MAGIC
from raygenex.files.locate import CACHE_VARIABLE, cache_folder
from raygenex.files.whole import aside_folder, sync_tree

_LOG = logging.getLogger(__name__)

_BLOCK = 1 << 20
_LONGEST_NAME = 10_000
# The empty block that ends every bgzip file (SAM specification, section 4.1.2).
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# Level 4 of 9 takes a fifth of the default's time, and 4 % more room.
_BGZIP_MODE = "w4"


@dataclass(frozen=True)
class Indexed:
    """A FASTA file and its index; local paths."""

    fasta: str
    """The user's own file, or a bgzip copy of it in the cache."""
    fai: str
    """Index of the chromosomes."""
    gzi: str | None
    """Index of the compressed blocks; None if the file is not compressed."""


def find_index(shown: str, local: str) -> Indexed:
    """Return a FASTA file that can be read at random: with the index next to it, or one in the cache.

    Parameters
    ----------
    shown, local
        The path as errors name it, and the file.

    Raises
    ------
    DataError
        If the file is not FASTA, names a chromosome twice or breaks its lines unevenly, or the cache cannot be written.
    OSError, EOFError, zlib.error
        If the file cannot be read.
    """
    kind = _kind(shown, local)
    existing = None if kind == "gzip" else _index_next_to(local, kind)
    return existing or _prepare(shown, local, kind)


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


def _index_next_to(local: str, kind: str) -> Indexed | None:
    """Return a FASTA file with its index next to it, None unless all files are there, readable and of one content."""
    fai, gzi = f"{local}.fai", f"{local}.gzi" if kind == "bgzip" else None
    names = [name for name in (fai, gzi) if name]
    if not all(os.access(name, os.R_OK) for name in names):
        return None
    # Copies that keep their dates make an index newer than the file that it was not made from.
    states = [os.stat(name) for name in (local, *names)]
    is_old = any(state.st_mtime_ns < states[0].st_mtime_ns for state in states)
    key = tuple(number for state in states for number in (state.st_ino, state.st_size, state.st_mtime_ns))
    return Indexed(local, fai, gzi) if not is_old and index_agrees(local, fai, gzi, key) else None


def _prepare(shown: str, local: str, kind: str) -> Indexed:
    """Return the file and its index in the cache, made if they are not there yet."""
    state = os.stat(local)
    key = hashlib.sha256(f"{local}\n{state.st_size}\n{state.st_mtime_ns}".encode()).hexdigest()[:16]
    name = Path(local).name
    copy = f"{name.removesuffix('.gz')}.bgz"
    try:
        folder = cache_folder() / f"{key}-{name}.index"
        if not folder.exists():
            # The folder appears under its name complete or not at all, whoever else makes it at this moment.
            if kind != "gzip" and os.path.exists(f"{local}.fai"):
                _LOG.warning(
                    "the index beside %s is missing in part, older or of another file: it is made again in %s",
                    shown,
                    folder,
                )
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
    fasta = str(folder / copy) if kind == "gzip" else local
    return Indexed(fasta, str(folder / "fai"), str(folder / "gzi") if kind != "plain" else None)


def _rewrite(local: str, target: Path) -> None:
    import pysam

    with gzip.open(local, "rb") as source, pysam.BGZFile(str(target), _BGZIP_MODE) as copy:
        while block := source.read(_BLOCK):
            copy.write(block)


def _make_index(shown: str, fasta: str, kind: str, folder: Path) -> None:
    import pysam

    fai, gzi = str(folder / "fai"), None if kind == "plain" else str(folder / "gzi")
    options = ["--fai-idx", fai] + ([] if gzi is None else ["--gzi-idx", gzi])
    try:
        with quiet():
            pysam.faidx(*options, fasta)
    except pysam.SamtoolsError:
        _check_names(shown, fasta, kind)
        with _open_plain(fasta, kind) as stream:
            place = _uneven_line(stream)
        if place is None:
            raise DataError(f"{shown} cannot be indexed; check that bases follow each line with >") from None
        raise DataError(
            f"{shown}: line {place[1]}, in chromosome {place[0]}, breaks the length of the lines, which must be "
            "the same for all but a chromosome's last; write the file again with lines of one length"
        ) from None
    # faidx takes the first of two chromosomes with one name, and only mutters: then its index leaves bases out. Looking
    # at each record's ends costs less than unpacking all again; it passes a second one only if that has no base.
    with open(fai, "rb") as stream:
        names = [line.partition(b"\t")[0] for line in stream]
    is_plain = all(len(name) <= _LONGEST_NAME and _is_utf8(name) for name in names)
    if not (is_plain and describes(fasta, fai, gzi)):
        _check_names(shown, fasta, kind)


def _check_names(shown: str, fasta: str, kind: str) -> None:
    """Read the whole file, and refuse, by a DataError, names of chromosomes that are twice, too long or no text."""
    with _open_plain(fasta, kind) as stream:
        found = Counter(_names(shown, stream))
    twice = [name for name, count in found.items() if count > 1]
    if twice:
        raise DataError(
            f"{shown} has the chromosome {twice[0].decode('utf-8', 'replace')} twice; rename or remove one of them"
        )
    if unreadable_name := next((name for name in found if not _is_utf8(name)), None):
        raise DataError(f"{shown} has a chromosome {ascii(unreadable_name)[1:]}, which is not UTF-8; rename it")


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


def read_lengths(fai: str) -> dict[str, int]:
    """Return the bases of each chromosome, in the order of the file, from its index."""
    try:
        with open(fai, encoding="utf-8") as stream:
            return {name: int(length) for name, length, *_ in (line.rstrip("\n").split("\t") for line in stream)}
    except ValueError:
        raise DataError(f"{fai} is not a FASTA index; remove it, so that it is made again") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep htslib, which writes past Python, off the terminal."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)
