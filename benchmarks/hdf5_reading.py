"""From HDF5 to batches of base indices, against a torch DataLoader that reads float one-hot through h5py, on one core.

    python benchmarks/hdf5_reading.py

Every side passes once over the same genes. The DataLoader reads a gene an item, as a plain Dataset does: in the order
of the file, from a dataset that stays open with a chunk cache raised to hold its chunks (its best case), and shuffled
as for training (with h5py's own cache: one raised to hold this small file would hold little of a real one). The limit
is zlib's own inflate (and ISA-L's) of the same chunks, already in memory. Two layouts: what
`raygenex data` writes, and what h5py chooses by itself.
"""

import argparse
import math
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from measure import print_ratio, print_table, side_by_side
from torch.utils.data import DataLoader, Dataset

from raygenex.data.hdf5 import chunks
from raygenex.data.hdf5 import read as hdf5
from raygenex.data.hdf5.read import inspect, iter_rows
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.sequence import to_one_hot

BATCH = 32
CACHE_BYTES = 64 * 2**20
SHUFFLED = "DataLoader, float one-hot, shuffled"
IN_ORDER = "DataLoader, float one-hot, in order"
FEW_GENES = 32
"""Sides that inflate a chunk for every gene read so few that their time is bearable; their rate is what counts."""


class OneHot(Dataset):
    """A gene an item: its promoter as float one-hot, shape ``(L, 4)``, and its label."""

    def __init__(self, path: str, rows: int, cache_bytes: int | None) -> None:
        self.handle = h5py.File(path, "r", locking=False, rdcc_nbytes=cache_bytes)
        # Held open, since HDF5's cache of chunks goes with the dataset.
        self.promoter, self.label = self.handle["promoter"], self.handle["label"]
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> tuple[torch.Tensor, float]:
        return torch.from_numpy(self.promoter[row]).float(), float(self.label[row])


def load(path: str, order: list[int], cache_bytes: int | None = None) -> None:
    genes = OneHot(path, max(order) + 1, cache_bytes)
    for one_hot, _ in DataLoader(genes, batch_size=BATCH, sampler=order):
        assert one_hot.shape[-1] == 4
    genes.handle.close()


def batches(path: str, window: int | None = None) -> Iterator[torch.Tensor]:
    """Yield base indices in batches, as training takes them."""
    file = inspect(path)
    for block in iter_rows(file, 0, file.rows, file.chunk_rows, window):
        yield from torch.from_numpy(block["sequence"]).split(BATCH)


def read(path: str, window: int | None = None) -> None:
    assert sum(len(batch) for batch in batches(path, window)) > 0


def through_hdf5(path: str) -> None:
    """Read the same without the chunks' own reader."""
    plain, hdf5.is_plain = hdf5.is_plain, lambda dataset: False
    try:
        read(path)
    finally:
        hdf5.is_plain = plain


def raw_chunks(path: str) -> tuple[list[bytes], int]:
    with h5py.File(path, "r", locking=False) as handle:
        promoter = handle["promoter"]
        stored = [
            promoter.id.read_direct_chunk(promoter.id.get_chunk_info(number).chunk_offset)[1]
            for number in range(promoter.id.get_num_chunks())
        ]
        return stored, math.prod(promoter.chunks)


def inflate(module: object, path: str) -> Callable[[], None]:
    stored, size = raw_chunks(path)

    def run() -> None:
        for raw in stored:
            module.decompressobj().decompress(raw, size + 1)

    return run


def write(folder: Path, genes: int, window: int) -> dict[str, str]:
    rng = np.random.default_rng(0)
    bases = rng.choice(5, (genes, window), p=[0.2499, 0.2499, 0.2499, 0.2499, 0.0004]).astype(np.uint8)
    names = [f"G{number}" for number in range(genes)]
    ours, chosen = folder / "ours.h5", folder / "chosen.h5"
    with PromoterWriter(ours, window) as writer:
        writer.append(names, bases, np.zeros((genes, 8)), np.arange(genes) % 2)
    with h5py.File(chosen, "w") as handle:
        handle.update({"gene_id": names, "halflife": np.zeros((genes, 8)), "label": np.arange(genes) % 2})
        handle.create_dataset("promoter", data=to_one_hot(bases), compression="gzip")
    for path in (ours, chosen):
        np.testing.assert_array_equal(np.concatenate(list(batches(str(path)))), bases)
    return {"as `raygenex data` writes": str(ours), "as h5py chooses": str(chosen)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--window", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    inflaters = {"zlib": zlib, "ISA-L": chunks.inflater}
    rows: list[tuple[object, ...]] = []
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for layout, path in write(Path(folder), options.genes, options.window).items():
            with h5py.File(path, "r", locking=False) as handle:
                shape = "x".join(map(str, handle["promoter"].chunks))
            file_order = list(range(options.genes))
            few = torch.randperm(options.genes, generator=torch.Generator().manual_seed(0))[:FEW_GENES].tolist()

            def ours(module: object, path: str = path) -> None:
                before, chunks.inflater = chunks.inflater, module
                try:
                    read(path)
                finally:
                    chunks.inflater = before

            sides = {
                IN_ORDER: lambda path=path, order=file_order: load(path, order, CACHE_BYTES),
                SHUFFLED: lambda path=path, order=few: load(path, order),
                "h5py to base indices": lambda path=path: through_hdf5(path),
                **{f"raygenex, {name}": lambda module=module: ours(module) for name, module in inflaters.items()},
                "raygenex, middle 2,000 bp": lambda path=path: read(path, min(2000, options.window)),
                **{f"limit: {name} alone": inflate(module, path) for name, module in inflaters.items()},
            }
            timings = side_by_side(sides, options.repeats)
            first = timings[IN_ORDER].median / options.genes
            ours_s = timings["raygenex, ISA-L"].median
            if not ratios:
                ratios["hdf5_in_order"] = timings[IN_ORDER].median / ours_s
                ratios["hdf5_shuffled"] = timings[SHUFFLED].median / FEW_GENES * options.genes / ours_s
                ratios["hdf5_zlib_alone"] = timings["limit: zlib alone"].median / ours_s
            for name, timing in timings.items():
                genes = FEW_GENES if name == SHUFFLED else options.genes
                each = timing.median / genes
                speed = options.window * 4 / each / 1e6
                rows.append(
                    (f"{layout} ({shape})", name, f"{1 / each:.0f}", f"{speed:.0f}", f"{first / each:.2f}", timing)
                )
    print_table(("chunks", "side", "genes/s", "MB/s of one-hot", "times the first", "a pass"), rows)
    for name, ratio in ratios.items():
        print_ratio(name, ratio)


if __name__ == "__main__":
    main()
