"""A shard that does not fit into memory: its genes are read in every pass, ahead of the training, and mixed.

A thread of the worker reads the next blocks while the network trains on those before. Ray Data, which reads a shard
that is kept, starts anew for every pass, and hands on each row through its object store: a training waited two thirds
of its time for it (``benchmarks/streamed.py``).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.data.rows import Columns, Piece, Rows, blocks
from raygenex.train.shard import COLUMNS

AHEAD = 2
"""Blocks that are read before they are asked for."""


def piece_stream(
    rows: Rows, start: int, stop: int, buffer: int
) -> Callable[[int, int | None], Iterator[dict[str, NDArray[Any]]]]:
    """Read the rows ``start`` to ``stop`` (exclusive) of a table as `raygenex.train.shard.WorkerShard` wants it.

    Without a seed rows come in their order. With one, blocks are read in an order drawn from it, and each row of a
    batch is drawn from about ``buffer`` rows at a time, the first ones from fewer. The same seed gives the same
    batches.
    """

    def stream(batch_size: int, seed: int | None) -> Iterator[dict[str, NDArray[Any]]]:
        pieces = blocks(rows, start, stop)
        if seed is None:
            return _cut(_read_ahead(pieces), batch_size)
        rng = np.random.default_rng(seed)
        drawn = [pieces[place] for place in rng.permutation(len(pieces))]
        return _mix(_read_ahead(drawn), batch_size, max(buffer, batch_size), rng)

    return stream


def _read(piece: Piece) -> Columns:
    columns = piece.read()
    return {name: columns[name] for name in COLUMNS}


def _read_ahead(pieces: Sequence[Piece]) -> Iterator[Columns]:
    """Yield the columns of pieces in their order, read by a thread that ends with the iteration."""
    waiting: deque[Future[Columns]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reader:
        try:
            for piece in pieces:
                waiting.append(reader.submit(_read, piece))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _cut(parts: Iterable[Columns], batch_size: int) -> Iterator[Columns]:
    """Yield the rows of parts in their order, ``batch_size`` at a time; the last batch may be smaller."""
    held: list[Columns] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part["label"])
        if count < batch_size:
            continue
        joined = _join(held)
        whole = count - count % batch_size
        for low in range(0, whole, batch_size):
            yield {name: column[low : low + batch_size] for name, column in joined.items()}
        held, count = [{name: column[whole:] for name, column in joined.items()}], count - whole
    if count:
        yield _join(held)


def _mix(parts: Iterator[Columns], batch_size: int, buffer: int, rng: np.random.Generator) -> Iterator[Columns]:
    """Yield batches of rows drawn from those at hand, which are kept at ``buffer`` or more while there are others.

    Until there are so many, half of what is read is kept, so that the training need not wait for all of them.
    """
    held: Columns = {}
    count = arrived = given = 0
    for part in parts:
        held, count = _append(held, count, part, buffer)
        arrived += len(part["label"])
        while count >= buffer + batch_size or (count >= 2 * batch_size and given + batch_size <= arrived // 2):
            yield _draw(held, count, batch_size, rng)
            count, given = count - batch_size, given + batch_size
    while count:
        size = min(batch_size, count)
        yield _draw(held, count, size, rng)
        count -= size


def _append(held: Columns, count: int, part: Columns, buffer: int) -> tuple[Columns, int]:
    """Put rows behind the first ``count`` that are held, in arrays that grow when they must."""
    needed = count + len(part["label"])
    for name, column in part.items():
        if name not in held or len(held[name]) < needed:
            grown = np.empty((max(needed, buffer + 2 * len(column)), *column.shape[1:]), column.dtype)
            grown[:count] = held[name][:count] if name in held else column[:0]
            held[name] = grown
        held[name][count:needed] = column
    return held, needed


def _draw(held: Columns, count: int, size: int, rng: np.random.Generator) -> Columns:
    """Take ``size`` of the first ``count`` rows that are held; the last of them fill the gaps."""
    drawn = rng.choice(count, size, replace=False)
    taken = {name: column[drawn] for name, column in held.items()}
    left = count - size
    gaps = drawn[drawn < left]
    fill = np.setdiff1d(np.arange(left, count), drawn)
    for column in held.values():
        column[gaps] = column[fill]
    return taken


def _join(parts: list[Columns]) -> Columns:
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
