"""Where windows lie on their chromosomes."""

import numpy as np
from numpy.typing import NDArray


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


def window_bounds(
    tss: NDArray[np.int64], strand: NDArray[np.object_], first: int, stop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where windows begin and end on their chromosomes.

    Parameters
    ----------
    tss
        From 1, shape ``(n,)``.
    strand
        ``+`` or ``-``, shape ``(n,)``; a window of ``-`` runs to the left.
    first, stop
        First base and the one after the last, from the TSS, on the gene's strand.

    Returns
    -------
    First base and the one after the last, from 0, shapes ``(n,)``.
    """
    left = np.where(strand == "-", tss - stop, tss - 1 + first)
    return left, left + (stop - first)
