"""A worker's share of a split: kept in memory when it fits, read in every pass when it does not."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

COLUMNS = ("sequence", "halflife", "label")


@dataclass(frozen=True)
class GeneBatch:
    """Genes of one step on one worker.

    ``sequence`` is base indices ``(n, window)`` or embeddings ``(n, bins, channels)``, ``halflife`` float32
    ``(n, features)`` and ``label`` ``(n,)`` float32.
    """

    sequence: Tensor
    halflife: Tensor
    label: Tensor

    def to(self, device: torch.device) -> "GeneBatch":
        """Return the batch on a device."""
        return GeneBatch(*(part.to(device, non_blocking=True) for part in (self.sequence, self.halflife, self.label)))


def derive_seed(*parts: int) -> int:
    """Mix integers, such as seed, epoch and rank, into one 63-bit seed; other integers give another seed."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


class WorkerShard:
    """The rows of one worker, in a fixed order, each given exactly once per pass.

    Parameters
    ----------
    stream
        Called with a batch size and an optional seed; yields numpy column batches in row order, or shuffled by it.
    count
        Rows of the shard.
    keep
        Whether to hold the rows in memory after the first read.
    """

    def __init__(self, stream: Callable[[int, int | None], Iterator[dict[str, Any]]], count: int, keep: bool) -> None:
        self._stream = stream
        self.count = count
        self._kept: GeneBatch | None = None
        if keep:
            self._kept = _to_batch(hold(stream(4096, None), count))

    @classmethod
    def of(cls, genes: GeneBatch) -> "WorkerShard":
        """Return a shard of genes that are in memory already, which it does not change."""
        shard = cls(lambda batch_size, seed: iter(()), len(genes.label), keep=False)
        shard._kept = genes
        return shard

    def shuffled(self, batch_size: int, seed: int) -> Iterator[GeneBatch]:
        """Yield every row once, in an order drawn from ``seed``."""
        if self._kept is None:
            yield from map(_to_batch, self._stream(batch_size, seed % 2**31))
            return
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(seed))
        for rows in order.split(batch_size):
            # Copies whole rows, where indexing by a tensor goes number by number.
            yield GeneBatch(*(part.index_select(0, rows) for part in _columns(self._kept)))

    def in_order(self, batch_size: int) -> Iterator[GeneBatch]:
        """Yield every row once, in row order."""
        if self._kept is None:
            yield from map(_to_batch, self._stream(batch_size, None))
            return
        for start in range(0, self.count, batch_size):
            yield GeneBatch(*(part[start : start + batch_size] for part in _columns(self._kept)))


def _columns(genes: GeneBatch) -> tuple[Tensor, Tensor, Tensor]:
    return genes.sequence, genes.halflife, genes.label


def hold(parts: Iterable[dict[str, Any]], count: int) -> dict[str, np.ndarray]:
    """Copy the columns of rows that come in parts, ``count`` in all, into memory for all of them."""
    held: dict[str, np.ndarray] = {}
    reached = 0
    for part in parts:
        stop = reached + len(part["label"])
        assert stop <= count, "a shard must hold the rows it was promised"
        for name in COLUMNS:
            column = part[name]
            if name not in held:
                held[name] = np.empty((count, *column.shape[1:]), column.dtype)
            held[name][reached:stop] = column
        reached = stop
    assert reached == count, "a shard must hold the rows it was promised"
    return held


def _to_batch(columns: dict[str, Any]) -> GeneBatch:
    # Ray hands out read-only views of its object store; torch wants memory of its own.
    own = (column if column.flags.writeable else column.copy() for column in (columns[name] for name in COLUMNS))
    sequence, halflife, label = map(torch.from_numpy, own)
    return GeneBatch(sequence, halflife.float(), label.float())


def ray_stream(iterator: Any) -> Callable[[int, int | None], Iterator[dict[str, Any]]]:
    """Read a Ray Data iterator as `WorkerShard` wants a shard that it keeps, in the order of the rows."""

    def stream(batch_size: int, seed: int | None) -> Iterator[dict[str, Any]]:
        assert seed is None, "what is kept is shuffled in memory"
        return iter(iterator.iter_batches(batch_size=batch_size, batch_format="numpy"))

    return stream
