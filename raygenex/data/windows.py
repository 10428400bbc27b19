"""Where the windows of genes lie on their chromosomes, and what else tells genes alike."""

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class GeneWindows:
    """What rules of splits and the search for leaks look at, one row per gene; None for what is not known."""

    gene_id: NDArray[np.object_]
    """Ids, str, shape ``(n,)``, at least one, each once."""
    chrom: NDArray[np.object_] | None = None
    """Chromosome names; None or empty for a gene whose place is unknown."""
    tss: NDArray[np.int64] | None = None
    """Transcription start sites, from 1."""
    strand: NDArray[np.object_] | None = None
    """``+`` or ``-``."""
    window: tuple[int, int] | None = None
    """The windows' first base and the one after the last, from the TSS, on the gene's strand."""
    group: NDArray[np.object_] | None = None
    """Names of the user's groups; None or empty for a gene without one."""
    digests: NDArray[np.bytes_] | None = None
    """Of promoters, from `raygenex.data.sketches.sequence_digests`."""
    promoter_sketch: NDArray[np.uint32] | None = None
    """From `raygenex.data.sketches.sketch`, shape ``(n, size)``."""
    protein_sketch: NDArray[np.uint32] | None = None
    """From `raygenex.data.sketches.protein_sketch`, shape ``(n, size)``."""

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Return where the windows begin and end, as `window_bounds` does; None if that is not known."""
        if self.chrom is None or self.tss is None or self.strand is None or self.window is None:
            return None
        return window_bounds(self.tss, self.strand, *self.window)


def chromosome_keys(chrom: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return a number for every chromosome name to which positions can be added, and no two chromosomes meet.

    Returns
    -------
    Shape ``(n,)``, multiples of 2**40; -1 for a gene without a chromosome.
    """
    names = np.array([name if isinstance(name, str) else "" for name in chrom], dtype=object)
    keys = np.unique(names.astype(str), return_inverse=True)[1].astype(np.int64) << 40
    keys[names == ""] = -1
    return keys


@overload
def window_bounds(tss: int, strand: str, first: int, stop: int) -> tuple[int, int]: ...


@overload
def window_bounds(
    tss: NDArray[np.int64], strand: NDArray[np.object_], first: int, stop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...


def window_bounds(tss: Any, strand: Any, first: int, stop: int) -> tuple[Any, Any]:
    """Return where windows begin and end, on their chromosomes or outside.

    Parameters
    ----------
    tss
        From 1, shape ``(n,)`` or a single one.
    strand
        ``+`` or ``-``, as many; a window of ``-`` runs to the left.
    first, stop
        First base and the one after the last, from the TSS, on the gene's strand.

    Returns
    -------
    First base and the one after the last, from 0, as many.
    """
    backward, forward = tss - stop, tss - 1 + first
    if isinstance(strand, str):
        # Windows are cut one by one too, and numpy takes longer for one than the genome does.
        left = backward if strand == "-" else forward
    else:
        left = np.where(np.asarray(strand) == "-", backward, forward)
    return left, left + (stop - first)
