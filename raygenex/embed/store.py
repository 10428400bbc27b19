"""The embedding store: Parquet shards named by their row range, and a manifest that says what made them.

A shard ``split=train/rows-00000064-00000128.parquet`` holds the genes 64 to 127 of the training split. It is written
aside and renamed, so a shard is whole or absent; which genes are done is read from the names, and no gene can be there
twice.
"""

import contextlib
import shutil
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from raygenex.config.embed import EmbedConfig, HyenaBackbone, Pooling
from raygenex.config.run import RunConfig
from raygenex.data.rows import Piece
from raygenex.embed.shards import SHARDS, is_damaged, read_shards
from raygenex.errors import CheckpointError
from raygenex.files.parts import MANIFEST, Part, changed_fields, gaps
from raygenex.files.parts import read_manifest as read_manifest_of

# Shards that are opened at the same time, while the file system makes them wait.
OPEN_SHARDS = 16
BACKBONE_FOLDER = "backbone"
# What decides random weights.
_DRAWN_BY = ("d_model", "n_layer", "seed")


class StoreManifest(BaseModel):
    """What made a store; two stores with equal `identity` hold equal embeddings."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 2
    package_version: str
    backbone: dict[str, Any]
    weights_sha256: str
    revision: str | None
    window: int
    bin_size: int
    pooling: Pooling
    dtype: Literal["float16", "float32"]
    precision: str
    shape: tuple[PositiveInt, PositiveInt]
    fingerprints: dict[str, list[str]]
    rows: dict[str, NonNegativeInt]
    complete: bool = False

    def differences(self, other: "StoreManifest") -> list[str]:
        """Name, in words, everything that makes the other store's embeddings other numbers."""
        words = {
            "weights_sha256": "backbone weights",
            "window": "window",
            "bin_size": "bin size",
            "pooling": "pooling",
            "dtype": "dtype",
            "precision": "precision",
        }
        changes = changed_fields(self, other, words)
        for split, prints in self.fingerprints.items():
            if split in other.fingerprints and prints != other.fingerprints[split]:
                changes.append(f"data of the {split} split")
        return changes


def settings_differences(
    manifest: StoreManifest, config: RunConfig, window: int, fingerprints: dict[str, list[str]], paths: bool
) -> list[str]:
    """Name what a store was made from otherwise, as far as the configuration tells without loading the backbone.

    ``paths`` says whether weights at another place count as other weights, since nobody will look into them; random
    weights that were drawn otherwise always do.
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
    changes = manifest.differences(wanted)
    if isinstance(config.backbone, HyenaBackbone) and manifest.backbone != (origin := config.backbone.origin()):
        if paths:
            changes.append("backbone settings")
        elif manifest.backbone.get("weights", "") is None is origin["weights"] and any(
            manifest.backbone.get(name) != origin[name] for name in _DRAWN_BY
        ):
            changes.append("backbone weights")
    return changes


def refuse_differences(store: str, differences: list[str]) -> None:
    """Raise a CheckpointError that names what a store was made from otherwise, if anything."""
    if differences:
        raise CheckpointError(
            f"embedding store {store} was made from other {' and other '.join(differences)}: "
            "pass --force to `raygenex embed` to replace it, or set embed.store to another folder"
        )


def read_manifest(store: str) -> StoreManifest | None:
    """Read a store's manifest; None where there is no store.

    Raises
    ------
    CheckpointError
        If the manifest is damaged, or a later version of raygenex wrote it.
    """
    repair = f"remove the folder {store} and embed again"
    manifest = read_manifest_of(StoreManifest, Path(store), f"embedding store {store}", "use another store", repair)
    if manifest is not None and manifest.schema_version == 1:
        manifest.pooling = EmbedConfig.pooling_of_schema_1(manifest.pooling, manifest.window, manifest.bin_size)
    return manifest


def remove_store(store: str) -> None:
    """Remove a store, and nothing else in its folder; the manifest last, which says what the rest was made from."""
    for part in (*Path(store).glob("split=*"), *Path(store).glob(BACKBONE_FOLDER)):
        shutil.rmtree(part)
    Path(store, MANIFEST).unlink()
    with contextlib.suppress(OSError):
        Path(store).rmdir()


def remove_leftovers(store: str) -> None:
    """Remove the unfinished files of actors that were killed while writing."""
    for folder in Path(store).glob("split=*"):
        SHARDS.remove_leftovers(folder)


def list_shards(store: str, split: str) -> list[Part]:
    """Return a split's shards in row order.

    Raises
    ------
    CheckpointError
        If two shards hold the same row.
    """
    shards = SHARDS.parts(Path(store, f"split={split}"))
    for before, after in pairwise(shards):
        if after.start < before.stop:
            raise CheckpointError(f"{after.path} repeats rows of {before.path}: remove the store and embed again")
    return shards


def missing_ranges(store: str, split: str, count: int) -> list[tuple[int, int]]:
    """Return the row ranges, start and exclusive stop, that no shard of the split holds yet."""
    return gaps(list_shards(store, split), count)


@dataclass(frozen=True)
class EmbeddingRows:
    """The genes of one split in a store, in row order.

    Its columns are ``gene_id``, ``row``, ``halflife``, ``label`` and ``sequence``: binned embeddings, shape
    ``(n, bins, channels)``.
    """

    shards: tuple[Part, ...]
    shape: tuple[int, int]
    itemsize: int

    @property
    def count(self) -> int:
        """Genes in the split."""
        return self.shards[-1].stop

    @property
    def row_bytes(self) -> int:
        """Bytes per gene, in memory."""
        return self.shape[0] * self.shape[1] * self.itemsize + 8 * 4 + 48

    def pieces(self, start: int, stop: int, rows_per_piece: int) -> list[Piece]:
        """Cut rows into pieces of some shards each, or of a part of one that is larger than a piece."""
        cuts: list[tuple[list[Part], int]] = []
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
            Piece(shards[0].path, high - low, (high - low) * self.row_bytes, partial(read_shards, shards, low, high))
            for (shards, _), (low, high) in zip(cuts, bounds, strict=True)
        ]


def damaged_shards(store: str, split: str) -> list[Part]:
    """Return the shards whose end, where Parquet says what a file holds, is missing or says something else.

    Raises
    ------
    OSError, MemoryError
        If a shard could not be looked at, which says nothing of what it holds.
    """
    shards = list_shards(store, split)
    with ThreadPoolExecutor(OPEN_SHARDS) as pool:
        return [shard for shard, damaged in zip(shards, pool.map(is_damaged, shards), strict=True) if damaged]


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
    if not manifest.complete or gaps(shards, manifest.rows[split]):
        raise CheckpointError(f"embedding store {store} is unfinished: run `raygenex embed` again, it continues")
    if shards[-1].stop > manifest.rows[split]:
        raise CheckpointError(f"{shards[-1].path} holds rows that the manifest of its store does not know: remove it")
    return EmbeddingRows(tuple(shards), manifest.shape, np.dtype(manifest.dtype).itemsize)
