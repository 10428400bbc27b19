"""The embedding job: HDF5 -> Ray Data -> a pool of backbone actors -> the embedding store."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygenex import __version__
from raygenex.cluster.connect import Request, connect, open_cluster, preflight
from raygenex.cluster.torch_process import prepare_process
from raygenex.config.embed import HyenaBackbone
from raygenex.config.run import RunConfig
from raygenex.data.make import build_data, simulate_data
from raygenex.data.opening import SplitData, open_run
from raygenex.data.rows import Columns, PromoterRows
from raygenex.embed.shards import read_gene_ids, write_shard
from raygenex.embed.store import (
    BACKBONE_FOLDER,
    OPEN_SHARDS,
    StoreManifest,
    damaged_shards,
    list_shards,
    missing_ranges,
    read_manifest,
    refuse_differences,
    remove_leftovers,
    remove_store,
    settings_differences,
)
from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.files.errors import disk_errors_told
from raygenex.files.locate import short_path
from raygenex.files.lock import exclusive
from raygenex.files.parts import cut, write_manifest
from raygenex.terminal.progress import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbedResult:
    """What the job did: genes in the store, and how many of them this run embedded."""

    store: str
    rows: dict[str, int]
    shape: tuple[int, int]
    embedded: int
    reused: int
    seconds: float

    def text(self) -> str:
        """Say in one line what the embedding job did."""
        total = sum(self.rows.values())
        shape = " x ".join(str(size) for size in self.shape)
        if self.embedded == 0:
            return f"embeddings: all {total} genes are in {short_path(self.store)} already, nothing to do"
        kept = f", {self.reused} were there" if self.reused else ""
        return f"embeddings: {self.embedded} genes embedded{kept}, {shape} each, in {short_path(self.store)}"


class Embedder:
    """An actor that holds the backbone and turns one block of base indices into one shard of the store.

    Weights are read from the store's folder ``backbone`` and must hash to ``weights_sha256``.
    """

    def __init__(self, store: str, settings: dict[str, Any], weights_sha256: str) -> None:
        from raygenex.embed.hyenadna.weights import load_backbone
        from raygenex.embed.hyenadna.weights import weights_sha256 as hash_of

        self.store = store
        self.settings = settings
        self.device = "cuda" if settings["gpus_per_actor"] > 0 else "cpu"
        prepare_process(settings["cpus_per_actor"])
        backbone = load_backbone(str(Path(store, BACKBONE_FOLDER)), None)
        if hash_of(backbone) != weights_sha256:
            raise CheckpointError(f"the backbone in {store} changed while embedding: embed again with --force")
        self.backbone = backbone.to(self.device).eval()

    def __call__(self, batch: Columns) -> Columns:
        """Embed and store one block; return how many genes of which split it held."""
        from raygenex.embed.inference import embed_sequences

        embedding = embed_sequences(
            self.backbone, batch["sequence"], self.settings, self.device, self.settings["batch_size"]
        )
        with disk_errors_told():
            write_shard(self.store, str(batch["split"][0]), batch, embedding)
        return {"split": batch["split"][:1], "rows": np.array([len(batch["row"])])}


def store_identity(
    config: RunConfig, window: int, splits: dict[str, SplitData], weights_sha256: str, d_model: int
) -> StoreManifest:
    """Return the manifest that a store for this configuration and data has."""
    from raygenex.embed.hyenadna.pooling import bin_count

    assert isinstance(config.backbone, HyenaBackbone), "only this backbone has a store"
    return StoreManifest(
        package_version=__version__,
        backbone=config.backbone.origin(),
        weights_sha256=weights_sha256,
        revision=config.backbone.revision,
        window=window,
        bin_size=config.embed.bin_size,
        pooling=config.embed.pooling,
        dtype=config.embed.dtype,
        precision=config.embed.effective_precision,
        shape=(bin_count(window, config.embed.bin_size), d_model),
        fingerprints={name: split.fingerprints for name, split in splits.items()},
        rows={name: split.rows for name, split in splits.items()},
    )


def check_backbone(config: RunConfig) -> None:
    """Refuse, with a ConfigError, a backbone whose embeddings are not stored."""
    if not isinstance(config.backbone, HyenaBackbone):
        raise ConfigError("backbone.kind is onehot, which needs no embeddings: set it to hyenadna, or go on with train")
    if config.backbone.route == "online":
        raise ConfigError(
            "backbone.route is online, which embeds within training and keeps nothing: set it to cached, or go on with "
            "train"
        )


def embed(config: RunConfig, force: bool = False) -> EmbedResult:
    """Embed every configured split into the store, continuing where an earlier run stopped.

    With ``force`` a store that is there, whatever it was made from, is removed first.

    Raises
    ------
    ConfigError
        If the backbone needs no embedding.
    CheckpointError
        If the weights cannot be used, or the store was made from something else.
    DataError
        If a data file cannot be used.
    """
    from raygenex.embed.hyenadna.weights import build_backbone, save_backbone, weights_sha256

    check_backbone(config)
    started = time.monotonic()
    assert isinstance(config.backbone, HyenaBackbone), "checked above"
    splits = open_run(config, config.data.configured or ("train",))
    window = next(iter(splits.values())).window
    if not window:
        path = next(iter(splits.values())).files[0].path
        raise DataError(f"{path} has no promoters to embed: train cnn_halflife_only on it, with backbone.kind onehot")
    fingerprints = {name: split.fingerprints for name, split in splits.items()}
    existing = read_manifest(config.store)
    if existing is not None and not force:
        refuse_differences(config.store, settings_differences(existing, config, window, fingerprints, paths=False))
    backbone = build_backbone(config.backbone, window)
    manifest = store_identity(config, window, splits, weights_sha256(backbone), backbone.config.d_model)
    rows = {name: split.rows for name, split in splits.items()}
    total = sum(rows.values())
    if existing is not None and not force and _is_done(config.store, existing, manifest):
        # Nothing is written, so a store of somebody else will do, that this user may only read.
        return EmbedResult(config.store, rows, manifest.shape, 0, total, time.monotonic() - started)
    with ExitStack() as stack:
        if existing is not None and force:
            # Whatever could refuse has been asked before a whole store is removed.
            request = _request(config)
            stack.enter_context(open_cluster(config.cluster, request.total_cpus))
            preflight(request, config.cluster.wait_s)
        stack.enter_context(exclusive(config.store, "embedding"))
        # Another process may have finished this store while this one loaded the backbone.
        existing = read_manifest(config.store)
        if existing is not None and force:
            remove_store(config.store)
            existing = None
        elif existing is not None:
            refuse_differences(config.store, existing.differences(manifest))
            manifest.rows = existing.rows | manifest.rows
            manifest.fingerprints = existing.fingerprints | manifest.fingerprints
        _remove_damaged(config.store, splits)
        gaps = {name: missing_ranges(config.store, name, split.rows) for name, split in splits.items()}
        todo = sum(stop - start for ranges in gaps.values() for start, stop in ranges)
        manifest.complete = not todo and existing is not None and existing.complete
        if existing != manifest:
            # The manifest comes last: it says that the backbone is there.
            save_backbone(backbone, str(Path(config.store, BACKBONE_FOLDER)))
            write_manifest(config.store, manifest)
        if todo:
            logger.info("embedding %d of %d genes into %s", todo, total, short_path(config.store))
            _embed_gaps(config, splits, gaps, manifest.weights_sha256, total)
        if not manifest.complete:
            _verify(config.store, splits)
            remove_leftovers(config.store)
            manifest.complete = True
            write_manifest(config.store, manifest)
    return EmbedResult(config.store, rows, manifest.shape, todo, total - todo, time.monotonic() - started)


def _is_done(store: str, existing: StoreManifest, wanted: StoreManifest) -> bool:
    """Whether a store is whole, and all that is wanted is in it."""
    if not existing.complete or existing.backbone != wanted.backbone or existing.differences(wanted):
        return False
    return all(
        existing.rows.get(name) == rows and not missing_ranges(store, name, rows) and not damaged_shards(store, name)
        for name, rows in wanted.rows.items()
    )


def _remove_damaged(store: str, splits: dict[str, SplitData]) -> None:
    """Remove the shards that cannot be opened, so that their genes are embedded again."""
    for name in splits:
        for shard in damaged_shards(store, name):
            logger.warning("%s is damaged: embedding its genes again", short_path(shard.path))
            Path(shard.path).unlink()


def _request(config: RunConfig) -> Request:
    options = config.embed
    return Request("embedding", options.min_actors, options.cpus_per_actor, options.gpus_per_actor, "embed.min_actors")


def _embed_gaps(
    config: RunConfig,
    splits: dict[str, SplitData],
    gaps: dict[str, list[tuple[int, int]]],
    weights_sha256: str,
    total: int,
) -> None:
    from raygenex.data.source import by_actors

    options = config.embed
    tables = {name: PromoterRows(tuple(split.files), split.window, name) for name, split in splits.items()}
    pieces = [
        tables[name].piece(low, high)
        for name, ranges in gaps.items()
        for start, stop in ranges
        for low, high in cut(start, stop, options.rows_per_file)
    ]
    sample = next(iter(tables.values())).piece(0, 1)
    request = _request(config)
    done = total - sum(piece.rows for piece in pieces)
    with connect(config.cluster, request), progress("embedding genes", total, done) as advance:
        arguments = (config.store, options.model_dump(mode="json"), weights_sha256)
        most = max(options.min_actors, min(options.max_actors, len(pieces)))
        for batch in by_actors(pieces, sample, Embedder, arguments, request, options.min_actors, most):
            advance(int(batch["rows"].sum()), "")


def _verify(store: str, splits: dict[str, SplitData]) -> None:
    """Compare the finished store with the data, gene by gene."""
    for name, split in splits.items():
        shards, expected = list_shards(store, name), split.gene_id
        held = sum(shard.stop - shard.start for shard in shards)
        if held != len(expected):
            raise CheckpointError(
                f"embedding store {store} holds {held} {name} genes where the data have {len(expected)}: "
                "run embed again, it adds what is missing"
            )
        with ThreadPoolExecutor(OPEN_SHARDS) as pool:
            for first in range(0, len(shards), OPEN_SHARDS):
                some = shards[first : first + OPEN_SHARDS]
                for shard, found in zip(some, pool.map(read_gene_ids, some), strict=True):
                    _compare_genes(store, name, found, expected[shard.start : shard.stop])


def _compare_genes(store: str, split: str, found: list[str], expected: np.ndarray) -> None:
    for gene, wanted in zip(found, expected, strict=True):
        if gene != wanted:
            raise CheckpointError(
                f"embedding store {store} has gene {gene} where the {split} data have {wanted}: embed with --force"
            )


def plan_embed(config: RunConfig, force: bool) -> str:
    """Say how many genes there are to embed."""
    check_backbone(config)
    splits = open_run(config, config.data.configured or ("train",))
    if (manifest := read_manifest(config.store)) is not None and not force:
        window = next(iter(splits.values())).window
        fingerprints = {name: split.fingerprints for name, split in splits.items()}
        refuse_differences(config.store, settings_differences(manifest, config, window, fingerprints, paths=False))
    step = embed_step(config, {name: split.rows for name, split in splits.items()}, force)
    assert isinstance(config.backbone, HyenaBackbone), "checked above"
    if manifest is not None and not force and manifest.backbone != config.backbone.origin():
        step += "; the weights are compared with the store's when it runs"
    return step


def embed_step(config: RunConfig, counts: dict[str, int], force: bool = False) -> str:
    """Say how many of the genes of each split there are to embed; all, if a store that is there is replaced."""
    is_there = read_manifest(config.store) is not None
    total = todo = sum(counts.values())
    if not (is_there and force):
        gaps = [gap for name, count in counts.items() for gap in missing_ranges(config.store, name, count)]
        todo = sum(stop - start for start, stop in gaps)
    found = "no store yet" if not is_there else "store found, to be replaced" if force else "store found"
    return f"embed: {todo} of {total} genes to do into {short_path(config.store)} ({found})"


def make_inputs(config: RunConfig, embeddings: bool) -> None:
    """Make what is not there: the data set, where the configuration says how, and the embeddings if any is read."""
    if config.simulate is not None:
        simulate_data(config, force=False)
    if config.builds_data:
        build_data(config, force=False)
    if embeddings:
        embed(config)
