"""The half-life features of a transcript, from its regions and the genome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex import sequence
from raygenex.data.build.transcripts import Transcript

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
    """Compute the eight features of a coding transcript; ``fetch`` is as of `splice`.

    Returns
    -------
    The features in the order and units of `HALFLIFE_FEATURES`, shape ``(8,)``, of all coding bases; and the coding
    sequence from its first whole codon, base indices.
    """
    regions = cut_regions(transcript)
    utr5, cds, utr3 = (splice(pieces, transcript.strand, fetch) for pieces in (regions.utr5, regions.cds, regions.utr3))
    lengths = scale_lengths(np.array([len(utr5), len(cds), regions.intron_bases, len(utr3)]))
    density = 1000 * regions.coding_exons / len(cds)
    gc = [gc_fraction(bases) for bases in (utr5, cds, utr3)]
    return np.array([*lengths, *gc, density]), cds[transcript.phase :]
