"""The eight half-life features: names, order, units, and how they are computed from a transcript."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raygenex import sequence

if TYPE_CHECKING:
    from raygenex.data.build.annotation import Transcript

HALFLIFE_FEATURES = (
    "UTR5LEN",
    "CDSLEN",
    "INTRONLEN",
    "UTR3LEN",
    "UTR5GC",
    "CDSGC",
    "UTR3GC",
    "ORFEXONDENSITY",
)
"""The columns of ``halflife``, in order: features of the transcript that go with the half-life of its mRNA.

The choice and the order are those of Xpresso (Agarwal and Shendure, Cell Reports 31:107663, 2020), as used by Duan,
Huang and Li.

==================  =====================================================================  ==========================
name                meaning                                                                unit
==================  =====================================================================  ==========================
``UTR5LEN``         exonic bases upstream of the coding sequence                           log10(bases + 0.1)
``CDSLEN``          coding bases, from the start codon to the stop codon, both included    log10(bases + 0.1)
``INTRONLEN``       bases between the transcript's exons, all introns together             log10(bases + 0.1)
``UTR3LEN``         exonic bases downstream of the coding sequence                         log10(bases + 0.1)
``UTR5GC``          share of G and C among the known bases of the 5' untranslated region   fraction, 0 to 1
``CDSGC``           the same of the coding sequence                                        fraction, 0 to 1
``UTR3GC``          the same of the 3' untranslated region                                 fraction, 0 to 1
``ORFEXONDENSITY``  exons that hold coding bases, for every 1000 coding bases              exons a kilobase, above 0
==================  =====================================================================  ==========================

A region without bases has length 0, so log10(0.1) = -1, and GC 0, as in the published tables. Files that `data build`
wrote hold the lengths as above and say ``halflife_scale = log10``; the published files hold their z-scores over all
genes. Either way a model standardises all eight with mean and spread of its training genes, and keeps these in its
checkpoint.

The published ORFEXONDENSITY, called a junction density there, counts coding exons, not the junctions between them: it
is 1.70 for RHOB, whose coding sequence of one exon has 588 bases without the stop codon, and 4.46 for ACTB with five
exons and 1,125 bases. These are 1000 * exons / (bases - exons) to every digit, so each published exon is one base short
too; the published CDSLEN fits the same lengths. Here no base is lost.
"""

LENGTHS = slice(0, 4)
"""Columns that hold lengths."""

GC_FRACTIONS = slice(4, 7)
"""Columns that hold GC fractions."""

PSEUDO_LENGTH = 0.1
"""Bases added before the logarithm, as Xpresso does."""


@dataclass(frozen=True)
class Regions:
    """A transcript cut into what the features measure; pieces are 1-based, inclusive, in genomic order."""

    utr5: tuple[tuple[int, int], ...]
    cds: tuple[tuple[int, int], ...]
    utr3: tuple[tuple[int, int], ...]
    intron_bases: int
    coding_exons: int


def cut_regions(transcript: "Transcript") -> Regions:
    """Cut a coding transcript into untranslated regions, coding sequence and introns.

    The untranslated regions are the exonic bases outside the coding sequence, whatever the annotation calls them.
    """
    assert transcript.cds, transcript.transcript_id
    first, last = transcript.cds[0][0], transcript.cds[-1][1]
    before = tuple((start, min(stop, first - 1)) for start, stop in transcript.exons if start < first)
    after = tuple((max(start, last + 1), stop) for start, stop in transcript.exons if stop > last)
    exonic = length(transcript.exons)
    span = transcript.exons[-1][1] - transcript.exons[0][0] + 1
    coding = sum(
        any(start <= piece_stop and piece_start <= stop for piece_start, piece_stop in transcript.cds)
        for start, stop in transcript.exons
    )
    utr5, utr3 = (before, after) if transcript.strand == "+" else (after, before)
    return Regions(utr5, transcript.cds, utr3, span - exonic, coding)


def length(pieces: Sequence[tuple[int, int]]) -> int:
    """Return the bases of pieces, 1-based and inclusive."""
    return sum(stop - start + 1 for start, stop in pieces)


def splice(
    pieces: Sequence[tuple[int, int]], strand: str, fetch: Callable[[int, int], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Join pieces of a transcript as they read on its strand.

    Parameters
    ----------
    pieces
        1-based and inclusive, in genomic order.
    strand
        ``+`` or ``-``.
    fetch
        Gives the forward strand's base indices from a start (0-based) to a stop (exclusive).

    Returns
    -------
    Base indices, uint8, 5' to 3'.
    """
    parts = [fetch(start - 1, stop) for start, stop in pieces]
    joined = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint8)
    return joined if strand == "+" else sequence.reverse_complement(joined)


def gc_fraction(bases: NDArray[np.uint8]) -> float:
    """Return the share of G and C among known bases, 0 to 1; 0 if none is known."""
    counts = np.bincount(bases, minlength=sequence.UNKNOWN + 1)[: sequence.UNKNOWN]
    return float((counts[1] + counts[2]) / counts.sum()) if counts.sum() else 0.0


def scale_lengths(lengths: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn bases into log10(bases + 0.1), any shape."""
    return np.log10(np.asarray(lengths, dtype=np.float64) + PSEUDO_LENGTH)


def halflife_features(
    transcript: "Transcript", fetch: Callable[[int, int], NDArray[np.uint8]]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Compute the eight features of a coding transcript.

    Parameters
    ----------
    transcript
        One with a coding sequence.
    fetch
        As in `splice`.

    Returns
    -------
    The features in the order and units of `HALFLIFE_FEATURES`, shape ``(8,)``, and the coding sequence, base indices.
    """
    regions = cut_regions(transcript)
    utr5, cds, utr3 = (splice(pieces, transcript.strand, fetch) for pieces in (regions.utr5, regions.cds, regions.utr3))
    lengths = scale_lengths(np.array([len(utr5), len(cds), regions.intron_bases, len(utr3)]))
    density = 1000 * regions.coding_exons / len(cds)
    gc = [gc_fraction(bases) for bases in (utr5, cds, utr3)]
    return np.array([*lengths, *gc, density]), cds
