"""The embedding store: Parquet shards named by their row range, and a manifest that says what made them.

A shard ``split=train/rows-00000064-00000128.parquet`` holds the genes 64 to 127 of the training split. It is written
aside and renamed, so a shard is whole or absent; which genes are done is read from the names, and no gene can be there
twice.
"""

import contextlib
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from raygenex.config.embed import HyenaBackbone
from raygenex.config.run import RunConfig
from raygenex.data.rows import Columns, Piece
from raygenex.errors import CheckpointError, RaygenexError
from raygenex.files import leftovers
from raygenex.files.errors import disk_errors_told
from raygenex.files.json_file import load_json
from raygenex.files.whole import replace_text, whole_file

SCHEMA_VERSION = 1
BLOCK_BYTES = 8 * 2**20
MANIFEST = "manifest.json"
# Shards that are opened at the same time, while the file system makes them wait.
OPEN_SHARDS = 16
BACKBONE_FOLDER = "backbone"
_COLUMNS = {
    "gene_id": pa.string(),
    "row": pa.int64(),
    "halflife": ((1, pa.float32()),),
    "label": pa.uint8(),
    "embedding": ((2, pa.float16()), (2, pa.float32())),
}
"""Columns of a shard and their types; of tensors, how many axes a gene has and the types of their numbers."""
_SHARD = re.compile(r"^rows-(\d+)-(\d+)\.parquet$")
# What raygenex wrote aside before files had the names of `raygenex.files.whole`, with the number of the process.
_EARLIER_LEFTOVER = re.compile(r"^\.rows-\d+-\d+\.parquet\.\d+$")


class Manifest(BaseModel):
    """What made a store; two stores with equal `identity` hold equal embeddings."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    package_version: str
    backbone: dict[str, Any]
    weights_sha256: str
    revision: str | None
    window: int
    bin_size: int
    pooling: str
    dtype: Literal["float16", "float32"]
    precision: str
    shape: tuple[PositiveInt, PositiveInt]
    fingerprints: dict[str, list[str]]
    rows: dict[str, NonNegativeInt]
    complete: bool = False

    def differences(self, other: "Manifest") -> list[str]:
        """Name, in words, everything that makes the other store's embeddings other numbers."""
        words = {
            "weights_sha256": "backbone weights",
            "window": "window",
            "bin_size": "bin size",
            "pooling": "pooling",
            "dtype": "dtype",
            "precision": "precision",
        }
        found: list[str] = []
        for field, word in words.items():
            mine, theirs = getattr(self, field), getattr(other, field)
            if mine != theirs:
                shown = (str(v)[:12] for v in (mine, theirs))
                found.append("{} ({} there, {} here)".format(word, *shown))
        for split, prints in self.fingerprints.items():
            if split in other.fingerprints and prints != other.fingerprints[split]:
                found.append(f"data of the {split} split")
        return found


def settings_differences(
    manifest: Manifest, config: RunConfig, window: int, fingerprints: dict[str, list[str]], paths: bool
) -> list[str]:
    """Name what a store was made from otherwise, as far as the configuration tells without loading the backbone.

    ``paths`` says whether weights at another place count as other weights, since nobody will look into them.
    """
    wanted = manifest.model_copy(
        update={
            "window": window,
            "bin_size": config.embed.bin_size,
            "pooling": config.embed.pooling,
            "dtype": config.embed.dtype,
            "precision": config.embed.effective_precision,
            "fingerprints": fingerprints,
        }
    )
    found = manifest.differences(wanted)
    if paths and isinstance(config.backbone, HyenaBackbone) and manifest.backbone != config.backbone.origin():
        found.append("backbone settings")
    return found


def refuse_differences(store: str, differences: list[str]) -> None:
    """Raise a CheckpointError that names what a store was made from otherwise, if anything."""
    if differences:
        raise CheckpointError(
            f"embedding store {store} was made from other {' and other '.join(differences)}: "
            "pass --force to `raygenex embed` to replace it, or set embed.store to another folder"
        )


def read_manifest(store: str) -> Manifest | None:
    """Read a store's manifest; None where there is no store.

    Raises
    ------
    CheckpointError
        If the manifest is damaged, or a later version of raygenex wrote it.
    """
    path = Path(store, MANIFEST)
    try:
        values = load_json(path)
        if values.get("schema_version", 0) > SCHEMA_VERSION:
            raise CheckpointError(
                f"embedding store {store} was written by a later raygenex: upgrade, or use another store"
            )
        return Manifest.model_validate(values)
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, ValidationError):
        raise CheckpointError(f"{path} is damaged: remove the folder {store} and embed again") from None


def write_manifest(store: str, manifest: Manifest) -> None:
    """Write the manifest aside and rename it into place."""
    Path(store).mkdir(parents=True, exist_ok=True)
    replace_text(Path(store, MANIFEST), manifest.model_dump_json(indent=2) + "\n")


def write_shard(store: str, split: str, columns: Columns, embedding: np.ndarray) -> None:
    """Write one shard: consecutive rows of one split.

    Parameters
    ----------
    store, split
        The store's folder and the split's name.
    columns
        ``gene_id`` (n,), ``row`` (n,) consecutive, ``halflife`` (n, 8) and ``label`` (n,).
    embedding
        Binned embeddings, shape ``(n, bins, channels)``, float16 or float32.

    Raises
    ------
    CheckpointError
        If a value is not finite in the store's number format.
    """
    if not np.isfinite(embedding).all():
        gene = columns["gene_id"][~np.isfinite(embedding).all(axis=(1, 2))][0]
        overflow = embedding.dtype == np.float16 and not np.isnan(embedding).any()
        raise not_finite(f"the embedding of gene {gene}", str(embedding.dtype), overflow)
    rows = columns["row"]
    assert (np.diff(rows) == 1).all(), "a shard holds consecutive rows"
    table = pa.table(
        {
            "gene_id": pa.array([str(gene) for gene in columns["gene_id"]], pa.string()),
            "row": pa.array(rows, pa.int64()),
            "halflife": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(columns["halflife"])),
            "label": pa.array(columns["label"], pa.uint8()),
            "embedding": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(embedding)),
        }
    )
    folder = Path(store, f"split={split}")
    folder.mkdir(parents=True, exist_ok=True)
    # Row groups of one block each: a reader of a few genes decompresses no more than those.
    rows_per_group = max(1, BLOCK_BYTES // (embedding[0].nbytes + 80))
    options = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
    path = folder / f"rows-{rows[0]:08d}-{rows[-1] + 1:08d}.parquet"
    with whole_file(path, sweep=False) as partial, partial.open("wb") as file:
        pq.write_table(table, file, row_group_size=rows_per_group, **options)


def remove_leftovers(store: str) -> None:
    """Remove the unfinished files of actors that were killed while writing."""
    for folder in Path(store).glob("split=*"):
        leftovers.remove_leftovers(folder)
        for name in os.listdir(folder):
            if _EARLIER_LEFTOVER.match(name):
                (folder / name).unlink()


@dataclass(frozen=True)
class Shard:
    """One file of a store and the rows it holds."""

    path: str
    start: int
    stop: int


def list_shards(store: str, split: str) -> list[Shard]:
    """Return a split's shards in row order.

    Raises
    ------
    CheckpointError
        If two shards hold the same row.
    """
    folder = Path(store, f"split={split}")
    names = os.listdir(folder) if folder.is_dir() else []
    matches = [(name, _SHARD.match(name)) for name in names]
    shards = sorted(
        (Shard(f"{folder}{os.sep}{name}", int(m[1]), int(m[2])) for name, m in matches if m),
        key=lambda shard: shard.start,
    )
    for before, after in pairwise(shards):
        if after.start < before.stop:
            raise CheckpointError(f"{after.path} repeats rows of {before.path}: remove the store and embed again")
    return shards


def missing_ranges(store: str, split: str, count: int) -> list[tuple[int, int]]:
    """Return the row ranges, start and exclusive stop, that no shard of the split holds yet."""
    return _gaps(list_shards(store, split), count)


def _gaps(shards: list[Shard], count: int) -> list[tuple[int, int]]:
    gaps = []
    reached = 0
    for shard in shards:
        if shard.start > reached:
            gaps.append((reached, shard.start))
        reached = shard.stop
    if reached < count:
        gaps.append((reached, count))
    return gaps


@dataclass(frozen=True)
class EmbeddingRows:
    """The genes of one split in a store, in row order.

    Its columns are ``gene_id``, ``row``, ``halflife``, ``label`` and ``sequence``: binned embeddings, shape
    ``(n, bins, channels)``.
    """

    shards: tuple[Shard, ...]
    shape: tuple[int, int]
    itemsize: int

    @property
    def count(self) -> int:
        """Genes in the split."""
        return self.shards[-1].stop

    @property
    def row_bytes(self) -> int:
        """Bytes of a gene in memory."""
        return self.shape[0] * self.shape[1] * self.itemsize + 8 * 4 + 48

    def pieces(self, start: int, stop: int, rows_per_piece: int) -> list[Piece]:
        """Cut rows into pieces of some shards each, or of a part of one that is larger than a piece."""
        cuts: list[tuple[list[Shard], int]] = []
        reached = start
        first = bisect_right(self.shards, start, key=lambda shard: shard.stop)
        for shard in islice(self.shards, first, None):
            low, high = max(start, shard.start), min(stop, shard.stop)
            if low >= high:
                break
            if cuts and high - cuts[-1][1] <= rows_per_piece:
                cuts[-1][0].append(shard)
            else:
                cuts += [([shard], begun) for begun in range(low, high, rows_per_piece)]
            reached = high
        bounds = pairwise([*(begun for _, begun in cuts), reached])
        return [
            Piece(shards[0].path, high - low, (high - low) * self.row_bytes, partial(_read_shards, shards, low, high))
            for (shards, _), (low, high) in zip(cuts, bounds, strict=True)
        ]


def read_gene_ids(shard: Shard) -> list[str]:
    """Return the gene ids of one shard, in row order."""
    with _shard_file(shard) as file:
        return file.read(columns=["gene_id"])["gene_id"].to_pylist()


def damaged_shards(store: str, split: str) -> list[Shard]:
    """Return the shards whose end, where Parquet says what a file holds, is missing or says something else.

    Raises
    ------
    OSError, MemoryError
        If a shard could not be looked at, which says nothing of what it holds.
    """
    shards = list_shards(store, split)
    with ThreadPoolExecutor(OPEN_SHARDS) as pool:
        return [shard for shard, damaged in zip(shards, pool.map(_is_damaged, shards), strict=True) if damaged]


def _is_damaged(shard: Shard) -> bool:
    try:
        with _shard_file(shard):
            return False
    except CheckpointError:
        return True


@contextlib.contextmanager
def _shard_file(shard: Shard) -> Iterator[pq.ParquetFile]:
    """Open a shard and turn what is wrong with it into one sentence; what keeps it from being read is not that."""
    try:
        with pq.ParquetFile(shard.path, memory_map=True, page_checksum_verification=True) as file:
            held = file.metadata.num_rows
            if held != shard.stop - shard.start:
                raise CheckpointError(f"{shard.path} holds {held} rows, not {shard.stop - shard.start}: remove it")
            _check_columns(shard, file.schema_arrow)
            yield file
    except (RaygenexError, MemoryError, pa.ArrowCancelled):
        raise
    except (OSError, pa.ArrowException, ValueError, LookupError) as error:
        # The system numbers its errors. Those of Parquet, of a cut file or of flipped bits, have no number.
        if isinstance(error, OSError) and error.errno:
            error.filename = error.filename or shard.path
            raise
        raise CheckpointError(f"{shard.path} cannot be read ({error}): remove that file and embed again") from None


def _check_columns(shard: Shard, schema: pa.Schema) -> None:
    """Refuse a shard whose columns are not those that `write_shard` writes."""
    for name, kind in _COLUMNS.items():
        at = schema.get_field_index(name)
        found = None if at < 0 else schema.field(at).type
        if isinstance(kind, pa.DataType):
            fits = found == kind
        else:
            fits = isinstance(found, pa.FixedShapeTensorType) and (len(found.shape), found.value_type) in kind
        if not fits:
            raise CheckpointError(
                f"{shard.path} has no column {name} as `raygenex embed` writes it: remove that file and embed again"
            )


def _read_shards(shards: list[Shard], start: int, stop: int) -> Columns:
    with disk_errors_told():
        parts = [_read_shard(shard, max(start, shard.start), min(stop, shard.stop)) for shard in shards]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]


def _read_shard(shard: Shard, start: int, stop: int) -> Columns:
    with _shard_file(shard) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = shard.start + np.cumsum(sizes)
        starts = ends - sizes
        wanted = [group for group in range(len(sizes)) if starts[group] < stop and ends[group] > start]
        first = int(starts[wanted[0]])
        table = file.read_row_groups(wanted).slice(start - first, stop - start).combine_chunks()
        if empty := [name for name in _COLUMNS if table[name].null_count]:
            raise CheckpointError(f"{shard.path} lacks values of {empty[0]}: remove that file and embed again")

        def tensor(name: str) -> np.ndarray:
            return table[name].chunk(0).to_numpy_ndarray()

        return {
            "gene_id": table["gene_id"].to_numpy(zero_copy_only=False).astype(str),
            "row": table["row"].to_numpy(),
            "halflife": tensor("halflife"),
            "label": table["label"].to_numpy(),
            "sequence": tensor("embedding"),
        }


def open_store(store: str, split: str) -> EmbeddingRows:
    """Open one split of a complete store.

    Raises
    ------
    CheckpointError
        If the store is absent, unfinished or lacks the split.
    """
    manifest = read_manifest(store)
    if manifest is None:
        raise CheckpointError(f"there is no embedding store at {store}: run `raygenex embed` with this config first")
    if split not in manifest.rows:
        raise CheckpointError(f"embedding store {store} has no {split} split: run `raygenex embed` with this config")
    shards = list_shards(store, split)
    if not manifest.complete or _gaps(shards, manifest.rows[split]):
        raise CheckpointError(f"embedding store {store} is unfinished: run `raygenex embed` again, it continues")
    if shards[-1].stop > manifest.rows[split]:
        raise CheckpointError(f"{shards[-1].path} holds rows that the manifest of its store does not know: remove it")
    return EmbeddingRows(tuple(shards), manifest.shape, np.dtype(manifest.dtype).itemsize)


def not_finite(what: str, dtype: str, overflow: bool) -> CheckpointError:
    """Return the error of embeddings that are infinite or not a number.

    Parameters
    ----------
    what
        Whose embedding it is.
    dtype
        Its number format, as in ``embed.dtype``.
    overflow
        Whether the number format is at fault, which is too small for the values.
    """
    advice = "set embed.dtype to float32" if overflow else "these backbone weights are not usable"
    return CheckpointError(f"{what} is not finite in {dtype}: {advice}")
