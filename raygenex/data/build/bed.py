"""CAGE peaks and other BED files."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import BuildConfig
from raygenex.data.build.chosen import check_chosen, is_chosen
from raygenex.data.gene_ids import strip_version
from raygenex.errors import DataError
from raygenex.files.lines import is_position, read_lines


@dataclass(frozen=True)
class CagePeaks:
    """CAGE peaks: by chromosome and strand the positions, 1-based and rising, and the scores."""

    path: str
    peaks: dict[tuple[str, str], tuple[NDArray[np.int64], NDArray[np.float64]]]

    def peak_tss(self, chrom: str, tss: int, strand: str, max_distance: int) -> int | None:
        """Return the TSS that the strongest peak nearby gives.

        Parameters
        ----------
        chrom, strand
            Where to look; chromosomes as the file of peaks names them.
        tss
            The annotated one, 1-based.
        max_distance
            How many bases the peak's position may lie from it, in either direction.

        Returns
        -------
        The position, 1-based, of the peak with the highest score; among equals the nearest, then the lowest. None
        if there is no peak.
        """
        if (chrom, strand) not in self.peaks:
            return None
        positions, scores = self.peaks[chrom, strand]
        low = np.searchsorted(positions, tss - max_distance, side="left")
        high = np.searchsorted(positions, tss + max_distance, side="right")
        if low == high:
            return None
        positions, scores = positions[low:high], scores[low:high]
        return int(positions[np.lexsort((positions, np.abs(positions - tss), -scores))[0]])


def read_peaks(path: str) -> CagePeaks:
    """Read CAGE peaks from a BED file, plain or gzip.

    The position of a peak is the middle base of its thick part, which in FANTOM5's files is the one base where most
    transcripts start; without a thick part, or with one that leaves the peak, it is the middle base of the peak. Of
    two middle bases it is the lower one.

    Parameters
    ----------
    path
        A local path or an fsspec URL of a BED file with at least the columns chrom, start, end, name, score and
        strand, and perhaps thickStart and thickEnd.

    Raises
    ------
    DataError
        If the file cannot be read, a line is malformed, or there is no peak.
    """
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for number, columns in bed_lines(path):
        try:
            place, position, score = _parse_peak(columns)
        except ValueError as error:
            raise _malformed(path, number, error) from None
        found.setdefault(place, []).append((position, score))
    if not found:
        raise DataError(f"{path} holds no peaks; name a BED file with a line for each peak")
    peaks = {}
    for place, pairs in found.items():
        pairs.sort()
        positions, scores = zip(*pairs, strict=True)
        peaks[place] = (np.array(positions, dtype=np.int64), np.array(scores, dtype=np.float64))
    return CagePeaks(path, peaks)


Place = tuple[str, int, str]
"""Chromosome, TSS (1-based) and strand."""


def read_windows(path: str, config: BuildConfig, wanted: Container[str]) -> tuple[dict[str, Place], dict[str, str]]:
    """Read where the windows of genes lie, from a BED file, plain or gzip, with the gene id in column 4.

    Parameters
    ----------
    path
        A local path or an fsspec URL of a BED file with at least the columns chrom, start, end, name, score and strand.
        A window may start before its chromosome.
    config
        Its window and chromosomes, names or globs of this file.
    wanted
        Ids of the genes; other lines do not matter.

    Returns
    -------
    The places by gene id, and why the windows of other genes are not taken: their chromosome is not chosen, they have
    no strand or another length than ``build.window``, or their TSS lies before the chromosome.

    Raises
    ------
    DataError
        If the file cannot be read, a line is malformed, a gene has two windows on chosen chromosomes, a pattern of
        ``build.chromosomes`` matches nothing, or no window is as long as ``build.window``.
    """
    first, stop = config.window
    places: dict[str, Place] = {}
    left_out: dict[str, str] = {}
    chroms: set[str] = set()
    another: str | None = None
    for number, fields in bed_lines(path, from_zero=False):
        if len(fields) < 6 or fields[5] not in ("+", "-", "."):
            raise DataError(f"{path}: line {number} is no window: it needs six columns, the gene id in 4, + or - in 6")
        chrom, low, high, gene, _, strand = map(str.strip, fields[:6])
        chroms.add(chrom)
        gene = strip_version(gene) if config.strip_versions else gene
        if gene not in wanted:
            continue
        if not is_chosen(chrom, config.chromosomes):
            left_out.setdefault(gene, "chromosome not chosen")
        elif strand == ".":
            left_out[gene] = "window without a strand"
        elif (bases := int(high) - int(low)) != stop - first:
            left_out[gene] = "window of another length"
            another = another or (
                f"{path}: line {number}: the window of {gene} has {bases} bases, but build.window [{first}, {stop}] "
                f"asks for {stop - first}: set build.window to what the file holds, the TSS at 0"
            )
        elif gene in places:
            raise DataError(f"{path}: line {number} has another window of gene {gene}; keep one")
        elif (tss := int(low) - first + 1 if strand == "+" else int(high) + first) < 1:
            left_out[gene] = "window leaves the chromosome"
        else:
            places[gene] = (chrom, tss, strand)
    check_chosen(config.chromosomes, chroms, path)
    if another is not None and not places:
        raise DataError(another)
    return places, {gene: reason for gene, reason in left_out.items() if gene not in places}


def bed_lines(path: str, from_zero: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of a BED file, plain or gzip: number, from 1, and columns.

    Comments, ``track`` and ``browser`` lines are left out. Every line has at least chrom, start and end, these rising,
    and ``from_zero`` unless a start may lie before the chromosome.

    Raises
    ------
    DataError
        If the file cannot be read, or a line is malformed.
    """
    for number, line in read_lines(path):
        columns = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or line.startswith("#") or columns[0].split()[:1] in (["track"], ["browser"]):
            continue
        try:
            if len(columns) < 3:
                raise ValueError(f"has {len(columns)} columns, but BED has at least 3")
            is_before = columns[1].startswith("-") and not from_zero
            start = -_number(columns[1][1:]) if is_before else _number(columns[1])
            if start >= (end := _number(columns[2])):
                raise ValueError(f"ends at {end}, not after its start {start}")
        except ValueError as error:
            raise _malformed(path, number, error) from None
        yield number, columns


def _malformed(path: str, number: int, error: ValueError) -> DataError:
    return DataError(f"{path}: line {number} {error}; correct the line, or name another BED file")


def _parse_peak(columns: list[str]) -> tuple[tuple[str, str], int, float]:
    """Return chromosome and strand, position and score; the text of a ValueError goes on after "line 7"."""
    if len(columns) < 6:
        raise ValueError(f"has {len(columns)} columns, but peaks need 6 (chrom, start, end, name, score, strand)")
    chrom, start, end, _, score, strand = columns[0], int(columns[1]), int(columns[2]), *columns[3:6]
    if strand not in ("+", "-"):
        raise ValueError(f"has the strand {strand!r}, not + or -")
    try:
        value = float(score)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"has the score {score!r}, not a number") from None
    if len(columns) >= 8:
        thick_start, thick_end = _number(columns[6]), _number(columns[7])
        if start <= thick_start < thick_end <= end:
            start, end = thick_start, thick_end
    return (chrom, strand), (start + end - 1) // 2 + 1, value


def _number(text: str) -> int:
    if not is_position(text):
        raise ValueError(f"has {text!r} where a position from 0 is expected")
    return int(text)
