"""Windows of many genes and alleles at a time, cut from the genome as arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.data.genome import GenomeReader
from raygenex.sequence import UNKNOWN, from_string, reverse_complement
from raygenex.variants.genes import ScoredGenes
from raygenex.variants.windows import changed_window

# Windows with fewer bases between them are read together, up to so many bases at a time.
_GAP = 2**12
_STRETCH = 2**18


class Edits(NamedTuple):
    """What some windows have in place of the genome; one value per window."""

    of: NDArray[np.intp]
    """Which of the genes that are cut together."""
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    """The replaced stretch of the forward strand; an empty one with an empty allele leaves the window as it is."""
    allele: NDArray[np.str_]
    """Letters of the forward strand."""


def cut_windows(
    genes: ScoredGenes, rows: NDArray[np.intp], edits: Edits, reader: GenomeReader, length_of: dict[str, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the windows of genes, and those that edits make of them, each on the strand of its gene.

    Parameters
    ----------
    genes
        All genes.
    rows
        Which of them are cut, ``(G,)``.
    edits
        Made in their windows.
    reader
        Of the genome, open.
    length_of
        Bases of every chromosome.

    Returns
    -------
    Base indices, ``(G, window)`` and ``(n, window)``.
    """
    bases = np.strings.str_len(edits.allele)
    margin = int(max(bases.max(initial=0), (edits.stop - edits.start).max(initial=0)))
    around = _read_around(genes, rows, margin, reader, length_of)
    low, backward = genes.low[rows], genes.strand[rows] == "-"
    changed = around[edits.of]
    keeps_length = edits.stop - edits.start == bases
    for length in np.unique(bases[keeps_length]):
        if not length:
            continue
        same = np.flatnonzero(keeps_length & (bases == length))
        place = edits.start[same] - low[edits.of[same]] + margin
        letters = from_string("".join(edits.allele[same].tolist())).reshape(-1, length)
        changed[same[:, None], place[:, None] + np.arange(length)] = letters
    inner = slice(margin, margin + genes.window)
    windows, changed = around[:, inner].copy(), changed[:, inner]
    windows[backward] = reverse_complement(windows[backward])
    changed[backward[edits.of]] = reverse_complement(changed[backward[edits.of]])
    for row in np.flatnonzero(~keeps_length).tolist():
        gene = int(edits.of[row])
        tss, strand = int(genes.tss[rows[gene]]), "-" if backward[gene] else "+"
        start, stop, allele = int(edits.start[row]), int(edits.stop[row]), from_string(str(edits.allele[row]))
        changed[row] = changed_window(around[gene], margin, int(low[gene]), tss, strand, start, stop, allele)
    return windows, changed


def _read_around(
    genes: ScoredGenes, rows: NDArray[np.intp], margin: int, reader: GenomeReader, length_of: dict[str, int]
) -> NDArray[np.uint8]:
    """Return the forward strand of windows with a margin on either side, unknown beyond the chromosomes."""
    size = genes.window + 2 * margin
    found = np.full((len(rows), size), UNKNOWN, dtype=np.uint8)
    chroms, begins = genes.chrom[rows].tolist(), (genes.low[rows] - margin).tolist()
    order = sorted(range(len(rows)), key=lambda row: (chroms[row], begins[row]))
    at = 0
    while at < len(order):
        chrom, begin = chroms[order[at]], begins[order[at]]
        together, end = [order[at]], begin + size
        for row in order[at + 1 :]:
            is_near = chroms[row] == chrom and begins[row] <= end + _GAP and begins[row] + size <= begin + _STRETCH
            if not is_near:
                break
            together.append(row)
            end = begins[row] + size
        at += len(together)
        first, last = max(begin, 0), min(end, length_of[chrom])
        if first >= last:
            continue
        stretch = reader.fetch(chrom, first, last)
        for row in together:
            start, stop = max(begins[row], first), min(begins[row] + size, last)
            if start < stop:
                found[row, start - begins[row] : stop - begins[row]] = stretch[start - first : stop - first]
    return found
