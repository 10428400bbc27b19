"""Reading every promoter of a split once: base counts by position, and what tells promoters alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.cluster.connect import Request, connect
from raygenex.cluster.tasks import in_tasks
from raygenex.config.services import ClusterConfig
from raygenex.data.hdf5.read import iter_rows
from raygenex.data.hdf5.schema import PromoterFile
from raygenex.data.opening import SplitData, locations, window_offsets
from raygenex.data.sketches import sequence_digests, sketch
from raygenex.data.windows import GeneWindows
from raygenex.sequence import UNKNOWN

BLOCK_BYTES = 8 * 2**20
# Seconds of work a task.
_BLOCKS_A_TASK = 8


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


class _Sum:
    """What the blocks of a split come to; they may come in any order, each with its number."""

    def __init__(self, window: int) -> None:
        self._counts = np.zeros((window, UNKNOWN + 1), dtype=np.int64)
        self._with_unknown = 0
        self._blocks: dict[int, tuple[tuple[str, ...], NDArray[np.bytes_], NDArray[np.uint32]]] = {}

    def add(self, number: int, block: Scan) -> None:
        self._counts += block.counts
        self._with_unknown += block.with_unknown
        assert block.digests is not None
        assert block.sketches is not None
        self._blocks[number] = block.without_bases, block.digests, block.sketches

    def total(self) -> Scan:
        names, digests, sketches = zip(*(self._blocks[number] for number in sorted(self._blocks)), strict=True)
        return Scan(
            self._counts,
            self._with_unknown,
            tuple(chain.from_iterable(names)),
            np.concatenate(digests),
            np.concatenate(sketches),
        )


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
    if not split.window:
        # The small columns, all that there is, were checked when the split was opened.
        if on_block is not None:
            on_block(np.empty((split.rows, 0), dtype=np.uint8))
        return _without_promoters()
    parts = _Sum(split.window)
    numbers = count()
    for file in split.files:
        for block in iter_rows(file, 0, file.rows, file.rows_within(BLOCK_BYTES), split.window):
            parts.add(next(numbers), _scan_block(block["gene_id"], block["sequence"]))
            if on_block is not None:
                on_block(block["sequence"])
    return parts.total()


def scan_in_tasks(
    splits: Mapping[str, SplitData],
    cluster: ClusterConfig,
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scan]:
    """Read and check every promoter of several splits in tasks of Ray, each of which holds a few MiB of them.

    Parameters
    ----------
    splits
        By name; every node must reach their files.
    cluster, workers
        Where, and how many tasks at a time.
    on_progress
        Called now and then with the genes read so far and the genes in all.

    Raises
    ------
    DataError
        As `scan` does.
    ClusterError
        If the cluster has no room for the workers.
    """
    total = sum(split.rows for split in splits.values())
    sums = {name: _Sum(split.window) for name, split in splits.items() if split.window}
    ranges = [
        _Range(name, file, low, min(low + step, file.rows), splits[name].window)
        for name in sums
        for file in splits[name].files
        for step in [file.rows_within(BLOCK_BYTES) * _BLOCKS_A_TASK]
        for low in range(0, file.rows, step)
    ]
    done = 0
    with connect(cluster, Request("checking", workers, 1.0, 0.0, "check.workers")):
        for number, part in in_tasks(_scan_range, enumerate(ranges), 1.0, workers):
            sums[ranges[number].split].add(number, part)
            done += ranges[number].stop - ranges[number].start
            if on_progress is not None:
                on_progress(done, total)
    return {name: sums[name].total() if name in sums else _without_promoters() for name in splits}


@dataclass(frozen=True)
class _Range:
    """Some rows of one file of a split."""

    split: str
    file: PromoterFile
    start: int
    stop: int
    window: int


def _scan_range(numbered: tuple[int, _Range]) -> tuple[int, Scan]:
    number, rows = numbered
    parts = _Sum(rows.window)
    blocks = iter_rows(rows.file, rows.start, rows.stop, rows.file.rows_within(BLOCK_BYTES), rows.window)
    for at, block in enumerate(blocks):
        parts.add(at, _scan_block(block["gene_id"], block["sequence"]))
    return number, parts.total()


def _scan_block(gene_id: NDArray[Any], bases: NDArray[np.uint8]) -> Scan:
    unknown = bases == UNKNOWN
    return Scan(
        np.stack([(bases == base).sum(axis=0) for base in range(UNKNOWN + 1)], axis=1),
        int(unknown.any(axis=1).sum()),
        tuple(gene_id[unknown.all(axis=1)].tolist()),
        sequence_digests(bases),
        sketch(bases),
    )


def _without_promoters() -> Scan:
    return Scan(np.zeros((0, UNKNOWN + 1), dtype=np.int64), 0, (), None, None)


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
