"""Promoters from HDF5 to batches, against h5py in a DataLoader of torch, as `benchmarks/hdf5_reading.py` has it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from hdf5_reading import CACHE_BYTES, load, read, write

from peers.rows import Row, beside

SAME = "the same genes (checked as the file is written); raygenex gives base indices, h5py float one-hot"

UNTIMED = "; raygenex reads in order, and its shuffling in memory is not timed"


def compare(small: bool) -> Iterator[Row]:
    """Yield the rows: in order with a cache that holds the chunks, and shuffled with h5py's own."""
    genes, window, repeats = (64, 2000, 3) if small else (300, 20_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        path = next(iter(write(Path(folder), genes, window).values()))
        shuffled = torch.randperm(genes, generator=torch.Generator().manual_seed(0)).tolist()
        orders = {"in order": (list(range(genes)), CACHE_BYTES, ""), "shuffled": (shuffled, None, UNTIMED)}
        for name, (order, cache, said) in orders.items():
            yield from beside(
                f"{genes} promoters of {window:,} bases from HDF5, {name}",
                lambda: read(path),
                {f"h5py in a DataLoader, {name}": lambda order=order, cache=cache: lambda: load(path, order, cache)},
                lambda ours, theirs, said=said: SAME + said,
                repeats,
            )
