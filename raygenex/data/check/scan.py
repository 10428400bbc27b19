"""Reading every promoter of a split once: base counts by position, and what tells promoters alike."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.data.hdf5.read import iter_rows
from raygenex.data.opening import SplitData, locations, window_offsets
from raygenex.data.sketches import sequence_digests, sketch
from raygenex.data.windows import GeneWindows
from raygenex.sequence import UNKNOWN

BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Scan:
    """What one pass over the promoters of a split finds."""

    counts: NDArray[np.int64]
    """How often each base (A, C, G, T, unknown) is at each position, shape ``(window, 5)``."""
    with_unknown: int
    """Genes with at least one unknown base."""
    without_bases: tuple[str, ...]
    """Ids of the genes of whose promoter no base is known."""
    digests: NDArray[np.bytes_] | None
    """A digest of every promoter, shape ``(rows,)``; None without promoters."""
    sketches: NDArray[np.uint32] | None
    """A MinHash sketch of every promoter, shape ``(rows, size)``; None without promoters."""


def scan(split: SplitData, on_block: Callable[[NDArray[np.uint8]], None] | None = None) -> Scan:
    """Read and check every promoter of a split, block by block.

    Parameters
    ----------
    split
        As `raygenex.data.opening.open_splits` returns it.
    on_block
        Called with the base indices of each block, shape ``(genes, window)``.

    Raises
    ------
    DataError
        If a promoter holds values other than 0 and 1, or two bases hot at one position, or a file is damaged.
    """
    counts = np.zeros((split.window, UNKNOWN + 1), dtype=np.int64)
    if not split.window:
        # The small columns, all that there is, were checked when the split was opened.
        if on_block is not None:
            on_block(np.empty((split.rows, 0), dtype=np.uint8))
        return Scan(counts, 0, (), None, None)
    with_unknown = 0
    without_bases: list[str] = []
    digests, sketches = [], []
    for file in split.files:
        for block in iter_rows(file, 0, file.rows, file.rows_within(BLOCK_BYTES), split.window):
            bases = block["sequence"]
            for base in range(UNKNOWN + 1):
                counts[:, base] += (bases == base).sum(axis=0)
            unknown = bases == UNKNOWN
            with_unknown += int(unknown.any(axis=1).sum())
            without_bases += block["gene_id"][unknown.all(axis=1)].tolist()
            digests.append(sequence_digests(bases))
            sketches.append(sketch(bases))
            if on_block is not None:
                on_block(bases)
    return Scan(counts, with_unknown, tuple(without_bases), np.concatenate(digests), np.concatenate(sketches))


def leak_genes(split: SplitData, scanned: Scan) -> GeneWindows:
    """Return what the search for leaks needs of a split and its scan."""
    places = locations(split)
    return GeneWindows(
        split.gene_id,
        **({} if places is None else places.columns()),
        window=window_offsets(split),
        digests=scanned.digests,
        promoter_sketch=scanned.sketches,
    )
