"""From the records of a file to effects: which alleles change which genes' windows, and why the others are skipped."""

import csv
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.data.genome import Genome, GenomeReader
from raygenex.data.tables import shown
from raygenex.errors import DataError
from raygenex.sequence import to_string
from raygenex.variants.counts import BEYOND, NO_CHROMOSOME, Counts
from raygenex.variants.genes import ChromosomeNames, ScoredGenes
from raygenex.variants.records import VariantRecord
from raygenex.variants.spool import Spool
from raygenex.variants.windows import LEFT_ALIGN_BASES, kind_of, left_align, position_from_tss, trim

_LOG = logging.getLogger(__name__)

CHUNK = 20_000
"""Records that are held at once."""

_BLOCK = 1 << 16
_LETTERS = frozenset("ACGTNRYSWKMBDHV")
_UNKNOWN = str.maketrans(dict.fromkeys(_LETTERS - frozenset("ACGT"), "N"))


class _Bases:
    """Letters of the genome, from a block that is read once for all variants in it."""

    def __init__(self, reader: GenomeReader, genome: Genome) -> None:
        self._reader, self._lengths = reader, genome.lengths
        self._key: tuple[str, int] | None = None
        self._text = ""

    def letters(self, chrom: str, start: int, stop: int) -> str:
        """Return the bases from ``start`` to ``stop``, over ACGTN."""
        number = start // _BLOCK
        if stop > (number + 1) * _BLOCK:
            return to_string(self._reader.fetch(chrom, start, stop))
        if (chrom, number) != self._key:
            end = min((number + 1) * _BLOCK, self._lengths[chrom])
            self._text = to_string(self._reader.fetch(chrom, number * _BLOCK, end))
            self._key = (chrom, number)
        return self._text[start - number * _BLOCK : stop - number * _BLOCK]


class Scanner:
    """Finds the effects of records and puts them into a spool.

    Parameters
    ----------
    genome, reader
        What the variants refer to, and a reader that is open.
    genes
        The genes whose windows are looked at.
    max_length
        Longest trimmed allele in bases.
    spool
        Takes the effects; None if they are only counted.
    skipped
        A TSV that every skipped allele is written to, made when there is the first; None if they are only counted.
    """

    def __init__(
        self,
        genome: Genome,
        reader: GenomeReader,
        genes: ScoredGenes,
        max_length: int,
        spool: Spool | None = None,
        skipped: Path | None = None,
    ) -> None:
        self.counts = Counts()
        self._genome, self._genes, self._spool = genome, genes, spool
        self._bases = _Bases(reader, genome)
        self._names = ChromosomeNames(genome.lengths)
        self._max_length = max_length
        self._skipped_path = skipped
        self._skipped: Any = None
        self._windows = _windows_by_chromosome(genes)
        # As plain values: they are asked for one by one.
        self._tss, self._strand = genes.tss.tolist(), genes.strand.tolist()

    def scan(self, records: Iterable[VariantRecord], path: str) -> None:
        """Go through all records; warn if much of them does not fit the genome.

        Raises
        ------
        DataError
            If no chromosome of the records is in the genome, no allele can be scored, or no REF in a window is what the
            genome has there; the sentence names an example.
        """
        remaining = iter(records)
        try:
            while chunk := list(islice(remaining, CHUNK)):
                self._scan_chunk(chunk)
        finally:
            if self._skipped is not None:
                self._skipped.close()
        unknown = self._names.unknown
        if unknown and not self._names.resolved:
            raise DataError(
                f"{path} names chromosomes such as {unknown[0]} and {self._genome.path} such as "
                f"{next(iter(self._genome.lengths))}, and none of {path} is in that genome: use variants and a genome "
                "of one build"
            )
        if unknown:
            _LOG.warning(
                "%s has variants on %s, which %s does not have: they are skipped",
                path,
                shown(unknown),
                self._genome.path,
            )
        self.counts.judge(path, self._genome.path)

    def _scan_chunk(self, chunk: list[VariantRecord]) -> None:
        self.counts.records += len(chunk)
        chroms = [self._names.find(record.chrom) for record in chunk]
        for record, chrom, is_near in zip(chunk, chroms, self._near(chunk, chroms), strict=True):
            length = self._genome.lengths[chrom] if chrom is not None else 0
            for alt in record.alts:
                self.counts.alleles += 1
                reason = NO_CHROMOSOME if chrom is None else _unusable(record, alt, length)
                if reason is not None:
                    self._skip(record, alt, reason)
                elif is_near:
                    assert chrom is not None, "unknown chromosomes are skipped"
                    self._take(record, chrom, alt)
                else:
                    self.counts.outside += 1

    def _near(self, chunk: list[VariantRecord], chroms: list[str | None]) -> NDArray[np.bool_]:
        """Return which records may change a window, wherever left-alignment takes them."""
        start = np.array([record.pos - 1 for record in chunk])
        size = [len(record.ref) for record in chunk]
        stop = start + np.array(size)
        moves = np.array(
            [any(len(alt) != bases for alt in record.alts) for record, bases in zip(chunk, size, strict=True)]
        )
        start, stop = start - LEFT_ALIGN_BASES * moves, stop + LEFT_ALIGN_BASES * moves
        of = np.array([chrom or "" for chrom in chroms])
        near = np.zeros(len(chunk), dtype=bool)
        for chrom in np.unique(of):
            if (windows := self._windows.get(str(chrom))) is None:
                continue
            rows = of == chrom
            first, last = windows.all_hits(start[rows], stop[rows])
            near[rows] = last > first
        return near

    def _take(self, record: VariantRecord, chrom: str, alt: str) -> None:
        """Put the effects of one allele on all genes into the spool."""
        whole = record.ref.upper()
        before, ref, new = trim(whole, alt.upper())
        if max(len(ref), len(new)) > self._max_length:
            self._skip(record, alt, f"longer than {self._max_length} bases")
            return
        start = record.pos - 1 + before
        there = self._bases.letters(chrom, record.pos - 1, record.pos - 1 + len(whole))
        matches = there == _known(whole)
        note = []
        if matches:
            given = start
            start, ref, new = left_align(start, ref, new, lambda at: self._bases.letters(chrom, at, at + 1))
            if start != given:
                note.append(f"left-aligned by {given - start} bases")
        else:
            note.append("the genome has unknown bases there" if "N" in there else f"the genome has {there[:50]} there")
        stop = start + len(ref)
        windows = self._windows.get(chrom)
        genes = windows.hits(start, stop) if windows is not None else []
        if not genes:
            self.counts.outside += 1
            return
        self.counts.inside += 1
        if not matches:
            self.counts.mismatched += 1
            example = f"line {record.line} with {whole[:50]}, where it has {there[:50]}"
            self.counts.mismatch = self.counts.mismatch or example
        name = record.name or f"{record.chrom}:{record.pos}:{record.ref}:{alt}"
        kind = kind_of(ref, new)
        for gene in genes:
            tss, strand = self._tss[gene], self._strand[gene]
            replaced = [*note, "replaces the TSS"] if start <= tss < stop else note
            self.counts.effects += 1
            self.counts.genes.add(gene)
            if self._spool is None:
                continue
            self._spool.add(
                *(gene, start, stop, new, matches, name, record.chrom, record.pos, record.ref, alt),
                *(position_from_tss(start, stop, tss, strand), kind, matches, "; ".join(replaced)),
            )

    def _skip(self, record: VariantRecord, alt: str, reason: str) -> None:
        self.counts.skipped[reason] += 1
        example = f"line {record.line} ({record.chrom}:{record.pos} {record.ref[:20]} {alt[:20]})"
        self.counts.skip = self.counts.skip or example
        if self._skipped_path is None:
            return
        if self._skipped is None:
            self._skipped = self._skipped_path.open("w", newline="", encoding="utf-8")
            self._rows = csv.writer(self._skipped, delimiter="\t", lineterminator="\n")
            self._rows.writerow(["line", "variant_id", "chrom", "pos", "ref", "alt", "reason"])
        self._rows.writerow([record.line, record.name, record.chrom, record.pos, record.ref, alt, reason])


class _Windows:
    """The windows of one chromosome, all of one length, in the order of their first bases."""

    def __init__(self, genes: NDArray[np.intp], low: NDArray[np.int64], length: int) -> None:
        self._genes, self._lows = genes.tolist(), low.tolist()
        self._low, self._length = low, length

    def hits(self, start: int, stop: int) -> list[int]:
        """Return the genes whose windows change if a stretch is replaced, from left to right.

        An insertion, of ``start == stop``, changes a window if it lies between two of its bases.
        """
        return self._genes[bisect_right(self._lows, start - self._length) : bisect_left(self._lows, stop)]

    def all_hits(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return for many stretches at a time the first window that changes, and the one after the last."""
        return np.searchsorted(self._low, start - self._length, side="right"), np.searchsorted(self._low, stop)


def _windows_by_chromosome(genes: ScoredGenes) -> dict[str, _Windows]:
    order = np.lexsort((genes.low, genes.chrom))
    chroms, starts = np.unique(genes.chrom[order], return_index=True)
    stops = [*starts[1:], len(order)]
    return {
        str(chrom): _Windows(order[start:stop], genes.low[order[start:stop]], genes.window)
        for chrom, start, stop in zip(chroms, starts, stops, strict=True)
    }


def _unusable(record: VariantRecord, alt: str, length: int) -> str | None:
    """Return why an allele cannot be scored; None if it can."""
    if alt == ".":
        return "no ALT"
    if not _LETTERS.issuperset(alt.upper()) or not alt:
        if alt == "*":
            return "ALT * (deleted by another variant)"
        if alt.startswith("<"):
            return "symbolic ALT"
        if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
            return "breakend ALT"
        return "ALT is not DNA"
    if not _LETTERS.issuperset(record.ref.upper()):
        return "REF is not DNA"
    if record.pos < 1 or record.pos - 1 + len(record.ref) > length:
        return BEYOND
    if record.ref.upper() == alt.upper():
        return "ALT is REF"
    return None


def _known(letters: str) -> str:
    """Return letters with N for every ambiguous one, as the genome is read."""
    return letters.translate(_UNKNOWN)
