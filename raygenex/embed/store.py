"""The embedding store: Parquet shards named by their row range, and a manifest that says what made them.

A shard ``split=train/rows-00000064-00000128.parquet`` holds the genes 64 to 127 of the training split. It is written
aside and renamed, so a shard is whole or absent; which genes are done is read from the names, and no gene can be there
twice.
"""

import contextlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from raygenex.config import RunConfig
from raygenex.data.rows import Columns, Piece
from raygenex.errors import CheckpointError, RaygenexError
from raygenex.plain_json import load_json

SCHEMA_VERSION = 1
BLOCK_BYTES = 8 * 2**20
MANIFEST = "manifest.json"
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
    if paths and manifest.backbone != config.backbone.model_dump(mode="json"):
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
    _replace(Path(store, MANIFEST), manifest.model_dump_json(indent=2).encode() + b"\n")


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


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
        advice = "set embed.dtype to float32" if overflow else "these backbone weights are not usable"
        raise CheckpointError(f"the embedding of gene {gene} is not finite in {embedding.dtype}: {advice}")
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
    sink = pa.BufferOutputStream()
    # Row groups of one block each: a reader of a few genes decompresses no more than those.
    rows_per_group = max(1, BLOCK_BYTES // (embedding[0].nbytes + 80))
    pq.write_table(table, sink, compression="zstd", write_statistics=False, row_group_size=rows_per_group)
    _replace(folder / f"rows-{rows[0]:08d}-{rows[-1] + 1:08d}.parquet", sink.getvalue().to_pybytes())


def remove_leftovers(store: str) -> None:
    """Remove the unfinished files of actors that were killed while writing."""
    for path in Path(store).glob("split=*/.rows-*"):
        path.unlink()


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
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    matches = [(name, _SHARD.match(name)) for name in names]
    shards = sorted(
        (Shard(str(folder / name), int(m[1]), int(m[2])) for name, m in matches if m), key=lambda shard: shard.start
    )
    for before, after in itertools.pairwise(shards):
        if after.start < before.stop:
            raise CheckpointError(f"{after.path} repeats rows of {before.path}: remove the store and embed again")
    return shards


def missing_ranges(store: str, split: str, count: int) -> list[tuple[int, int]]:
    """Return the row ranges, start and exclusive stop, that no shard of the split holds yet."""
    gaps = []
    reached = 0
    for shard in list_shards(store, split):
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
        """Cut rows into pieces that never span two shards."""
        pieces = []
        for shard in self.shards:
            low, high = max(start, shard.start), min(stop, shard.stop)
            while low < high:
                end = min(low + rows_per_piece, high)
                read = partial(_read_shard, shard, low, end)
                pieces.append(Piece(shard.path, end - low, (end - low) * self.row_bytes, read))
                low = end
        return pieces


def read_gene_ids(shard: Shard) -> list[str]:
    """Return the gene ids of one shard, in row order."""
    with _shard_file(shard) as file:
        return file.read(columns=["gene_id"])["gene_id"].to_pylist()


@contextlib.contextmanager
def _shard_file(shard: Shard) -> Iterator[pq.ParquetFile]:
    """Open a shard and turn what is wrong with it into one sentence."""
    try:
        with pq.ParquetFile(shard.path, memory_map=True) as file:
            held = file.metadata.num_rows
            if held != shard.stop - shard.start:
                raise CheckpointError(f"{shard.path} holds {held} rows, not {shard.stop - shard.start}: remove it")
            _check_columns(shard, file.schema_arrow)
            yield file
    except RaygenexError:
        raise
    except (OSError, pa.ArrowException, ValueError, LookupError, MemoryError) as error:
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
    gaps = missing_ranges(store, split, manifest.rows[split])
    if not manifest.complete or gaps:
        raise CheckpointError(f"embedding store {store} is unfinished: run `raygenex embed` again, it continues")
    shards = list_shards(store, split)
    if shards[-1].stop > manifest.rows[split]:
        raise CheckpointError(f"{shards[-1].path} holds rows that the manifest of its store does not know: remove it")
    return EmbeddingRows(tuple(shards), manifest.shape, np.dtype(manifest.dtype).itemsize)
