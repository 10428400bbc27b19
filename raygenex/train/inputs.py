"""What a run trains on: rows of each split, the input shape, and an identity that says when two runs are one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.base import canonical_hash
from raygenex.config.embed import HyenaBackbone
from raygenex.config.features import FeatureConfig
from raygenex.config.model import AutoencoderXgboost, CnnHalflifeOnly, KmerConfig, Logistic
from raygenex.config.run import RunConfig
from raygenex.config.targets import LABEL
from raygenex.data.feature_values import chosen_features, read_feature_values, warn_of_unseen_gaps
from raygenex.data.opening import SplitData, window_offsets
from raygenex.data.rows import PromoterRows, ReplacedRows, Rows
from raygenex.data.targets import read_target_values
from raygenex.embed.store import (
    BACKBONE_FOLDER,
    open_store,
    read_manifest,
    refuse_differences,
    settings_differences,
)
from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.files.fingerprint import array_sha256
from raygenex.train.checkpoint import InputInfo
from raygenex.train.targets import TargetInfo, fit_targets, learned_values, score_names

START_BACKBONE = "online_backbone"
"""Folder, of a training or a study, of the weights that a backbone within it starts from; gone when it has ended."""

# Settings that may change between the parts of one run: where and how fast it happens, and with it the order of genes.
_INCIDENTAL = {"workers", "min_workers", "cpus_per_worker", "use_gpu", "memory_gib", "max_failures", "keep_checkpoints"}

_OF_TARGETS = {"monitor", "target_weights"}

# So many genes with both values, or all where there are fewer, that agree make a feature a copy of what is learned.
_COPIED = 20


@dataclass(frozen=True)
class Inputs:
    """Rows of each split, what the model reads, and which backbone embeds for it.

    ``backbone`` is the folder of its weights in the embedding store; None for bases, and for a backbone that embeds
    within the training, of which ``backbone_sha256`` names the weights to begin with.
    """

    tables: dict[str, Rows]
    info: InputInfo
    fingerprints: dict[str, list[str]]
    identity: str
    backbone: Path | None
    backbone_sha256: str | None
    targets: list[TargetInfo]
    """What is learned; empty: the label."""
    features: NDArray[np.float32]
    """What the model reads of the genes of train beside their DNA, shape ``(N, features)``."""
    feature_range: dict[str, tuple[float, float]]
    """The smallest and the largest value of each of them in train."""
    feature_sources: list[str]
    """The sha256 of the files of train and, where features are chosen, of the features."""


def open_inputs(config: RunConfig, splits: dict[str, SplitData]) -> Inputs:
    """Open the rows that a configuration trains on, from HDF5 (bases) or from its embedding store.

    A backbone that embeds within the training is loaded once, so that what is wrong with its weights is said here.

    Raises
    ------
    ConfigError
        If the model cannot learn the targets or would read one, or another number is to choose the epoch than they
        have.
    DataError
        If the data have no promoters and the model cannot do without, or the values of targets cannot be used.
    CheckpointError
        If the embedding store is absent, unfinished, or was made from other data or settings, or if weights cannot be
        used.
    """
    refuse_without_promoters(config, splits)
    check_targets(config)
    fingerprints = {name: split.fingerprints for name, split in splits.items()}
    window = next(iter(splits.values())).window
    scale = next(iter(splits.values())).halflife_scale
    offsets = window_offsets(next(iter(splits.values())))
    first = None if offsets is None else offsets[0]
    chosen = chosen_features(config.data.features)
    features = read_feature_values(chosen, splits)
    replaced = {name: {"halflife": values} if config.data.features else {} for name, values in features.items()}
    tables: dict[str, Rows] = {}
    if config.reads_store:
        tables = {name: open_store(config.store, name) for name in splits}
        manifest = read_manifest(config.store)
        assert manifest is not None, "an open store has a manifest"
        refuse_differences(config.store, settings_differences(manifest, config, window, fingerprints, paths=True))
        sha256 = manifest.weights_sha256
        bins, channels = manifest.shape
        info = InputInfo(
            kind="embedding", length=bins, channels=channels, window=window, halflife_scale=scale, first=first
        )
        backbone = Path(config.store, BACKBONE_FOLDER)
    else:
        tables = {name: PromoterRows(tuple(split.files), split.window, name) for name, split in splits.items()}
        info = InputInfo(kind="bases", length=window, channels=4, window=window, halflife_scale=scale, first=first)
        sha256, backbone = None, None
        if config.online is not None:
            from raygenex.embed.hyenadna.pooling import bin_count

            sha256, channels = describe_backbone(config.online, window)
            bins = bin_count(window, config.embed.bin_size)
            info = info.model_copy(update={"kind": "embedding", "length": bins, "channels": channels})
    names = tuple(feature.name for feature in chosen)
    train = features["train"]
    lacking = tuple(name for place, name in enumerate(names) if np.isnan(train[:, place]).any())
    info = info.model_copy(update={"features": names, "lacking": lacking})
    for split, own in features.items():
        warn_of_unseen_gaps(names, lacking, own, f"data.{split}")
    targets: list[TargetInfo] = []
    learned: dict[str, Any] = {}
    if config.targets:
        measured = read_target_values(config.targets, splits)
        targets = fit_targets(config.targets, measured)
        _refuse_unknown_monitor(config, targets)
        values = {name: learned_values(targets, measured.values[name]) for name in splits}
        replaced = {name: replaced[name] | {"label": values[name]} for name in splits}
        known = array_sha256(np.concatenate([values["train"], values["valid"]]))
        learned = {"targets": [target.model_dump(mode="json") for target in targets], "values": known}
        sought = dict(zip(measured.names, measured.values["train"].T, strict=True))
    else:
        sought = {LABEL: splits["train"].label}
    if config.data.features:
        _refuse_copies(config, chosen, train, sought)
    # A table beside the files may change, and they not.
    prints = [array_sha256(own) for own in features.values()] if config.data.features else []
    learned |= {"features": prints} if prints else {}
    identity = _identity(config, info, fingerprints, sha256, learned)
    return Inputs(
        tables={name: ReplacedRows(rows, replaced[name]) if replaced[name] else rows for name, rows in tables.items()},
        info=info,
        fingerprints=fingerprints,
        identity=identity,
        backbone=backbone,
        backbone_sha256=sha256,
        targets=targets,
        features=train,
        feature_range=_feature_range(names, train),
        feature_sources=[*fingerprints["train"], *prints[:1]],
    )


def _refuse_copies(
    config: RunConfig,
    chosen: Sequence[FeatureConfig],
    features: NDArray[np.float32],
    learned: Mapping[str, NDArray[Any]],
) -> None:
    """Raise a ConfigError if a chosen feature of train is what is learned under another name or from another place.

    ``features`` are ``(N, F)``, and ``learned`` has values ``(N,)`` by target.
    """
    for feature, column in zip(chosen, features.T, strict=True):
        for target, values in learned.items():
            both = ~(np.isnan(column) | np.isnan(values))
            known = column[both]
            enough = known.size >= min(_COPIED, len(column))
            if enough and np.ptp(known) > 0 and np.array_equal(known, values[both].astype(np.float32)):
                raise ConfigError(
                    f"{config.said('data.features')}: {feature.name} has the value of {target} in every gene of "
                    "data.train that has both, and a model is not to read what it learns: leave one of them out"
                )


def check_targets(config: RunConfig) -> None:
    """Raise a ConfigError if a model of a table cannot learn some target; or for keys of targets without any."""
    model = config.model
    if isinstance(model, KmerConfig | AutoencoderXgboost):
        losses = ("bce", "mse", "poisson") + (() if isinstance(model, Logistic) else ("huber",))
        for target in config.targets:
            if target.loss not in ("auto", *losses):
                raise ConfigError(
                    f"{config.said('targets')}: {model.kind} does not learn {target.name} by loss {target.loss}: "
                    f"choose one of {', '.join(losses)}, or a kind of cnn, or lstm"
                )
        for key in _OF_TARGETS if config.targets else ():
            if getattr(config.train, key) != type(config.train).model_fields[key].default:
                raise ConfigError(
                    f"{config.said(f'train.{key}')} belongs to a network, and {model.kind} fits each target by itself: "
                    "leave it out"
                )
    for key in _OF_TARGETS if not config.targets else ():
        if getattr(config.train, key) != type(config.train).model_fields[key].default:
            raise ConfigError(f"{config.said(f'train.{key}')} belongs to targets, and there are none: leave it out")


def _refuse_unknown_monitor(config: RunConfig, targets: list[TargetInfo]) -> None:
    names = score_names(targets)
    if config.train.monitor not in (None, *names):
        raise ConfigError(
            f"{config.said('train.monitor')} is {config.train.monitor}, which no epoch has: name one of "
            f"{', '.join(names)}, or leave it out for their mean"
        )


def _feature_range(names: tuple[str, ...], train: NDArray[np.float32]) -> dict[str, tuple[float, float]]:
    lows, highs = np.nanmin(train, axis=0), np.nanmax(train, axis=0)
    return dict(zip(names, zip(lows.tolist(), highs.tolist(), strict=True), strict=True))


def refuse_without_promoters(config: RunConfig, splits: dict[str, SplitData]) -> None:
    """Raise a DataError if some split has no promoters and the model, or the backbone, reads DNA."""
    for name, split in splits.items():
        if split.window:
            continue
        where = f"data.{name} has no promoters (no field promoter in {split.files[0].path})"
        model = config.model
        if isinstance(model, KmerConfig) and not model.halflife:
            raise DataError(
                f"{where}, and model.halflife is false, so {model.kind} has nothing to read: set model.halflife to true"
            )
        if not isinstance(model, CnnHalflifeOnly | KmerConfig):
            raise DataError(f"{where}, and {model.kind} reads DNA: set model.kind to cnn_halflife_only")
        if config.reads_embeddings:
            raise DataError(f"{where}, and the backbone {config.backbone.kind} embeds DNA: set backbone.kind to onehot")


def _identity(
    config: RunConfig,
    info: InputInfo,
    fingerprints: dict[str, list[str]],
    backbone_sha256: str | None,
    learned: dict[str, Any] | None = None,
) -> str:
    left_out = _INCIDENTAL if config.targets else _INCIDENTAL | _OF_TARGETS
    train = {key: value for key, value in config.train.model_dump(mode="json").items() if key not in left_out}
    embed: dict[str, Any] | None = None
    if backbone_sha256:
        embed = {key: getattr(config.embed, key) for key in ("bin_size", "pooling", "dtype")}
        embed["effective_precision"] = config.embed_precision
        if config.embed.pooling == "mean" and info.window % config.embed.bin_size:
            # A training that was begun on bins that schema 1 called mean is another one.
            embed["weighted"] = True
    route: dict[str, Any] = {}
    if (online := config.online) is not None:
        route["online"] = {"finetune": online.finetune, "learning_rate": online.learning_rate}
        if online.finetune:
            # Dropout is drawn for as many genes at a time.
            route["online"]["batch_size"] = config.embed.batch_size
    return canonical_hash(
        {
            "seed": config.seed,
            # What older runs did not say has its default, and they stay the same runs; none said where the window lies.
            "inputs": info.model_dump(mode="json", exclude_defaults=True, exclude={"first"}),
            "fingerprints": {name: fingerprints[name] for name in ("train", "valid")},
            "backbone": backbone_sha256,
            "embed": embed,
            "model": config.model.model_dump(mode="json"),
            "halflife": config.halflife.model_dump(mode="json"),
            "train": train,
            "threshold": config.evaluate.threshold_metric,
        }
        | route
        | (learned or {})
    )


def describe_backbone(backbone: HyenaBackbone, window: int) -> tuple[str, int]:
    """Load a backbone; return the sha256 of its weights and the width of its embeddings.

    Raises
    ------
    CheckpointError
        If the weights cannot be loaded or were made for sequences shorter than ``window``.
    """
    from raygenex.embed.hyenadna.weights import build_backbone, weights_sha256

    network = build_backbone(backbone, window)
    return weights_sha256(network), network.config.d_model


def start_backbone(backbone: HyenaBackbone | None, folder: Path) -> Path | None:
    """Return where `prepare_backbone` writes the weights to start from; None where no backbone embeds."""
    return None if backbone is None else folder / START_BACKBONE


def prepare_backbone(backbone: HyenaBackbone | None, window: int, sha256: str | None, folder: Path) -> str | None:
    """Write the weights that a backbone starts from where every worker reads them.

    Parameters
    ----------
    backbone
        The one that embeds within the training; None where none does.
    window
        Bases that it reads.
    sha256
        Of its weights, when the inputs were opened.
    folder
        Of the training, or of the study that it is a part of.

    Returns
    -------
    A folder below ``folder``, in the layout of a checkpoint's ``backbone``; None without a backbone.

    Raises
    ------
    CheckpointError
        If the weights changed since the inputs were opened.
    """
    from raygenex.embed.hyenadna.weights import build_backbone, save_backbone, weights_sha256

    if backbone is None:
        return None
    network = build_backbone(backbone, window)
    if weights_sha256(network) != sha256:
        raise CheckpointError(f"weights {backbone.weights} changed while the training began: run it again")
    target = str(folder / START_BACKBONE)
    save_backbone(network, target)
    return target
