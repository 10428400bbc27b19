"""Alleles without padding, and the window of a gene on a chromosome that carries a variant.

Everything here is arithmetic on positions and arrays. Positions are on the forward strand, counted from 0, and a
stretch is its first position and the one after its last.

The window of a gene with a variant has the length of the reference window. It is cut from the changed chromosome, with
its anchor where it was: the anchor is the TSS or, if the window does not hold the TSS, the base of the window that is
nearest to it. A deletion on one side of the anchor so pulls in bases at the far end of that side, an insertion pushes
bases out there, and the other side stays as it is. The anchor is the same base as before, unless the variant replaces
it: then it is the base of the new allele as far from the allele's 5' end, on the gene's strand, as the old one was, or,
if the new allele has no such base, the first one behind the allele on the gene's strand.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from raygenex.sequence import reverse_complement

LEFT_ALIGN_BASES = 1000
"""An indel is moved at most so far to the left within a repeat."""


def trim(ref: str, alt: str) -> tuple[int, str, str]:
    """Cut off what two alleles share: their equal ends first, then their equal beginnings.

    Returns
    -------
    Bases cut off at the beginning, and what is left of both; at least one is empty for an insertion or a deletion,
    both for equal alleles.
    """
    shorter = min(len(ref), len(alt))
    behind = 0
    while behind < shorter and ref[-1 - behind] == alt[-1 - behind]:
        behind += 1
    before = 0
    while before < shorter - behind and ref[before] == alt[before]:
        before += 1
    return before, ref[before : len(ref) - behind], alt[before : len(alt) - behind]


def left_align(start: int, ref: str, alt: str, base_at: Callable[[int], str]) -> tuple[int, str, str]:
    """Move an insertion or deletion as far to the left as the repeat that it lies in reaches.

    All ways to write an indel in a repeat so become one (Tan, Abecasis and Kang, Bioinformatics 31:2202, 2015).

    Parameters
    ----------
    start
        Position of the alleles.
    ref, alt
        Trimmed alleles, one of them empty.
    base_at
        Returns the letter of the reference at a position, ``N`` for unknown.

    Returns
    -------
    The new position and alleles; those given if both hold bases.
    """
    if bool(ref) == bool(alt):
        return start, ref, alt
    allele, last = ref or alt, start
    while start > max(0, last - LEFT_ALIGN_BASES):
        base = base_at(start - 1)
        # Two unknown bases need not be the same one.
        if base != allele[-1] or base == "N":
            break
        allele, start = base + allele[:-1], start - 1
    return (start, allele, "") if ref else (start, "", allele)


def kind_of(ref: str, alt: str) -> str:
    """Name what happens between two trimmed alleles: snv, mnv, insertion, deletion or delins."""
    if not ref:
        return "insertion"
    if not alt:
        return "deletion"
    if len(ref) != len(alt):
        return "delins"
    return "snv" if len(ref) == 1 else "mnv"


def position_from_tss(start: int, stop: int, tss: int, strand: str) -> int:
    """Return where a variant lies on the gene's strand, in bases from the TSS; negative is upstream.

    That is the first replaced base on the gene's strand or, of an insertion, the base behind it on that strand.

    Parameters
    ----------
    start, stop
        The replaced stretch; equal for an insertion, which is then before ``start``.
    tss
        Position of the TSS, from 0.
    strand
        ``+`` or ``-``.
    """
    return start - tss if strand == "+" else tss - (stop - 1)


def moved_anchor(anchor: int, strand: str, start: int, stop: int, bases: int) -> int:
    """Return where the anchor lies on the chromosome once ``start`` to ``stop`` holds ``bases`` bases."""
    if start > anchor:
        return anchor
    if stop <= anchor:
        return anchor + bases - (stop - start)
    if strand == "+":
        return start + min(anchor - start, bases)
    return start + bases - 1 - min(stop - 1 - anchor, bases)


def changed_window(
    reference: NDArray[np.uint8],
    margin: int,
    low: int,
    tss: int,
    strand: str,
    start: int,
    stop: int,
    allele: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Return the window of a gene, on its strand, with ``start`` to ``stop`` replaced by an allele.

    Parameters
    ----------
    reference
        Forward strand of the window and ``margin`` bases on either side, base indices, unknown beyond the chromosome.
    margin
        At least the bases of either allele.
    low
        Position of the window's first base.
    tss
        Position of the TSS, from 0; it may lie outside the window.
    strand
        ``+`` or ``-``.
    start, stop
        The replaced stretch.
    allele
        What replaces it, on the forward strand; may be empty.

    Returns
    -------
    Base indices, shape ``(len(reference) - 2 * margin,)``.
    """
    length = len(reference) - 2 * margin
    assert max(stop - start, len(allele)) <= margin, (start, stop, len(allele), margin)
    anchor = min(max(tss, low), low + length - 1)
    first = moved_anchor(anchor, strand, start, stop, len(allele)) - (anchor - low)
    end = first + length
    after, shift = start + len(allele), (stop - start) - len(allele)
    origin = low - margin
    parts = (
        reference[max(first - origin, 0) : max(min(end, start) - origin, 0)],
        allele[max(first - start, 0) : max(end - start, 0)],
        reference[max(first, after) + shift - origin : max(end + shift - origin, 0)],
    )
    window = np.concatenate(parts).astype(np.uint8)
    assert len(window) == length, (len(window), length)
    return window if strand == "+" else reverse_complement(window)
