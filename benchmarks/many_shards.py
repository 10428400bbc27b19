"""A store of very many small shards and a data set of very many files: what opening, checking and reading them costs.

``python benchmarks/many_shards.py [--shards 20000] [--files 500] [--no-ray]``. Shards hold two genes, with embeddings
of 16 bins and 16 channels; HDF5 files hold four genes of 2,000 bases, and one more holds 256 genes of 20,000. Times are
medians of three calls, but for what is done once: writing, gene ids, sha256, leak checks, and reading through Ray.
"""

import argparse
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measure import print_table

from raygenex.cluster.connect import open_cluster
from raygenex.config.data import CheckConfig, DataConfig
from raygenex.config.services import ClusterConfig
from raygenex.data.check.check import check
from raygenex.data.hdf5.read import read_rows
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.data.opening import open_splits
from raygenex.data.rows import PromoterRows
from raygenex.data.source import RowShards, to_dataset
from raygenex.embed.store import (
    Manifest,
    list_shards,
    missing_ranges,
    open_store,
    read_gene_ids,
    write_manifest,
    write_shard,
)
from raygenex.train.shard import WorkerShard, ray_stream

GENES, SHAPE, WINDOW, GENES_A_FILE = 2, (16, 16), 2000, 4
LONG_GENES, LONG = 256, 20_000
SMALL_BLOCKS = 400


def timed(call: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Return the median seconds of some calls, and what the last one returned."""
    seconds, found = [], None
    for _ in range(repeats):
        started = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), found


def held(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the bytes that this process grows by while it makes something that it keeps, and that."""
    process = psutil.Process()
    before = process.memory_info().rss
    made = call()
    return process.memory_info().rss - before, made


def write_store(store: str, shards: int) -> None:
    """Write a store of random embeddings."""
    rng = np.random.default_rng(0)
    for shard in range(shards):
        rows = np.arange(shard * GENES, (shard + 1) * GENES)
        columns = {"gene_id": rows.astype(str), "row": rows, "label": rows % 2}
        columns["halflife"] = rng.standard_normal((GENES, 8), dtype=np.float32)
        write_shard(store, "train", columns, rng.standard_normal((GENES, *SHAPE)).astype(np.float16))
    write_manifest(store, complete(shards * GENES))


def write_names(store: str, shards: int) -> None:
    """Make a store of empty files, which is opened like any other: what is done is read from names."""
    folder = Path(store, "split=train")
    folder.mkdir()
    for start in range(0, shards * 64, 64):
        (folder / f"rows-{start:08d}-{start + 64:08d}.parquet").touch()
    write_manifest(store, complete(shards * 64))


def complete(rows: int) -> Manifest:
    """Return the manifest of a complete store."""
    made = {"package_version": "", "backbone": {}, "weights_sha256": "", "revision": None, "fingerprints": {}}
    how = {"window": WINDOW, "bin_size": 125, "pooling": "mean", "dtype": "float16", "precision": "fp32"}
    return Manifest.model_validate(made | how | {"shape": SHAPE, "rows": {"train": rows}, "complete": True})


def write_files(folder: Path, files: int, genes: int, window: int) -> None:
    """Write HDF5 files of random promoters."""
    rng = np.random.default_rng(0)
    for number in range(files):
        ids = [f"G{number}_{gene}" for gene in range(genes)]
        bases = rng.integers(0, 4, (genes, window), dtype=np.uint8)
        halflife = rng.standard_normal((genes, 8), dtype=np.float32)
        with PromoterWriter(folder / f"part{number:04d}.h5", window) as writer:
            writer.append(ids, bases, halflife, np.arange(genes) % 2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=20_000, help="Parquet shards of two genes")
    parser.add_argument("--files", type=int, default=500, help="HDF5 files of four genes")
    parser.add_argument("--names", type=int, default=156_250, help="empty shards of 64 genes, to list")
    parser.add_argument("--no-ray", action="store_true", help="leave out what needs Ray")
    given = parser.parse_args()
    rows: list[list[str]] = []

    def show(what: str, seconds: float, number: int, unit: str, memory: float | None = None) -> None:
        each = f"{1e6 * seconds / number:,.1f}"
        bytes_each = "" if memory is None else f"{memory / number:,.0f}"
        rows.append([what, f"{number:,} {unit}", f"{seconds:.3g}", each, bytes_each])
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        store, n = f"{folder}/store", given.shards
        show("write_shard (with fsync)", timed(lambda: write_store(store, n), 1)[0], n, "shards")
        show("list_shards", timed(lambda: list_shards(store, "train"))[0], n, "shards")
        show("missing_ranges", timed(lambda: missing_ranges(store, "train", n * GENES))[0], n, "shards")
        grown, table = held(lambda: open_store(store, "train"))
        show("open_store", timed(lambda: open_store(store, "train"))[0], n, "shards", grown)
        shards = list_shards(store, "train")
        show("gene ids of every shard", timed(lambda: [read_gene_ids(shard) for shard in shards], 1)[0], n, "shards")
        seconds, pieces = timed(lambda: table.pieces(0, table.count, 64))
        show("cut into pieces", seconds, len(pieces), "pieces", len(pickle.dumps(pieces[0])) * len(pieces))
        show("read a piece, without Ray", timed(pieces[1].read)[0], pieces[1].rows // GENES, "shards")
        if not given.no_ray:
            read_through_ray(table, show)
        write_files(Path(folder), given.files, GENES_A_FILE, WINDOW)
        data = DataConfig(train=(f"{folder}/part*.h5",))
        grown, splits = held(lambda: open_splits(data, ("train",)))
        show("open_splits", timed(lambda: open_splits(data, ("train",)))[0], given.files, "HDF5 files", grown)
        show("sha256 of every file", timed(lambda: splits["train"].fingerprints, 1)[0], given.files, "HDF5 files")
        promoters = PromoterRows(splits["train"].files, WINDOW, "train")
        seconds, parts = timed(lambda: promoters.pieces(0, promoters.count, 64))
        show("cut into pieces", seconds, len(parts), "pieces", len(pickle.dumps(parts[0])) * len(parts))
        genes = given.files * GENES_A_FILE
        show("leak check, 2,000 bases", timed(lambda: check(data, CheckConfig()), 1)[0], genes, "genes")
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), 1, LONG_GENES, LONG)
        data = DataConfig(train=(f"{folder}/part*.h5",))
        (file,) = open_splits(data, ("train",))["train"].files
        show("read_rows, 20,000 bases", timed(lambda: read_rows(file, 0, LONG_GENES))[0], LONG_GENES, "genes")
        show("leak check, 20,000 bases", timed(lambda: check(data, CheckConfig()), 1)[0], LONG_GENES, "genes")
    with tempfile.TemporaryDirectory() as folder:
        write_names(folder, given.names)
        show("open_store, files empty", timed(lambda: open_store(folder, "train"))[0], given.names, "shards")
        table = open_store(folder, "train")
        seconds, pieces = timed(lambda: table.pieces(0, table.count, 14_000))
        show("cut into pieces of 14,000 genes", seconds, len(pieces), "pieces")
    header = ["what", "of", "seconds", "microseconds each", "bytes each"]
    print_table(header, rows)


def read_through_ray(table: Any, show: Callable[..., None]) -> None:
    """Time the first batch and a pass as a training worker that streams has them."""
    with open_cluster(ClusterConfig(), 2.0):
        started = time.perf_counter()
        iterator = RowShards({"train": table}, 1.0).configure({"train": None}, 1, None, None)[0]["train"]
        shard = WorkerShard(ray_stream(iterator, 64), table.count, keep=False)
        batches = shard.in_order(64)
        next(batches)
        show("first batch through Ray Data", time.perf_counter() - started, 1, "batch")
        started = time.perf_counter()
        genes = 64 + sum(len(batch.label) for batch in batches)
        assert genes == table.count, "a pass gives every gene"
        show("the rest of the pass", time.perf_counter() - started, table.count // GENES, "shards")
        few = table.pieces(0, min(table.count, GENES * SMALL_BLOCKS), GENES)
        blocks = iter(to_dataset(few, table.pieces(0, 1, 1)[0]).iter_batches(batch_size=None, batch_format="numpy"))
        next(blocks)
        started = time.perf_counter()
        assert 1 + sum(1 for _ in blocks) == len(few), "every block is a batch"
        show("blocks of one shard", time.perf_counter() - started, len(few) - 1, "blocks")


if __name__ == "__main__":
    main()
