"""Genomes: any stretch of a FASTA file, read from the disk without holding a chromosome in memory."""

import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from raygenex.data.genome_index import find_index, quiet, read_lengths
from raygenex.data.windows import window_bounds
from raygenex.errors import DataError
from raygenex.files.lines import unreadable
from raygenex.files.locate import is_url, local_copy
from raygenex.sequence import UNKNOWN, from_string, reverse_complement


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

    An index next to the file (``.fai``, and ``.gzi`` for bgzip) is used if it is not older than the file and agrees
    with it: every record starts and ends where the index says, and so does every block of bgzip.
    Otherwise one is made in the cache folder (``RAYGENEX_CACHE``), where it is found again until the file changes;
    nothing is written next to the file. Plain gzip cannot be read at random: it is rewritten as bgzip into the
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
        indexed = find_index(shown, local)
        return Genome(shown, indexed.fasta, indexed.fai, indexed.gzi, read_lengths(indexed.fai))
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(shown, error) from None


class GenomeReader:
    """Reads bases of a genome; a context manager that holds the open file and must stay in its process."""

    def __init__(self, genome: Genome) -> None:
        self._genome = genome
        self._file: Any = None

    def __enter__(self) -> Self:
        import pysam

        genome = self._genome
        try:
            with quiet():
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
            with quiet():
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
                f"{where} has {text[at]!r} at base {start + at + 1}, which is not a DNA letter; correct it, or write N"
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
        assert first < stop, (first, stop)
        low, high = window_bounds(tss, strand, first, stop)
        start, end = max(low, 0), min(high, self._genome.lengths[chrom])
        if (start, end) == (low, high):
            bases = self.fetch(chrom, start, end)
        else:
            bases = np.full(high - low, UNKNOWN, dtype=np.uint8)
            if start < end:
                bases[start - low : end - low] = self.fetch(chrom, start, end)
        return bases if strand == "+" else reverse_complement(bases)


def _is_dna(letter: str) -> bool:
    try:
        return bool(from_string(letter).size)
    except ValueError:
        return False
