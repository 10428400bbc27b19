"""Two registered versions on the same valid genes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.cluster.connect import SPARE_CPUS, open_cluster
from raygenex.config.data import DataConfig
from raygenex.config.run import RunConfig
from raygenex.data.opening import open_splits
from raygenex.data.rows import Rows
from raygenex.errors import DataError
from raygenex.evaluate import open_rows
from raygenex.predict.predictor import Predictor
from raygenex.predict.scoring import score_rows
from raygenex.registry.history import Difference
from raygenex.registry.register import fetch_checkpoint
from raygenex.registry.versions import Version
from raygenex.stats.compare import paired_bootstrap
from raygenex.stats.metrics import binary_metrics
from raygenex.train.checkpoint import CheckpointInfo, refuse_targets


@dataclass(frozen=True)
class Contender:
    """A version with its checkpoint at hand."""

    version: Version
    checkpoint: str
    info: CheckpointInfo

    @property
    def valid_fingerprints(self) -> list[str]:
        """The sha256 of each valid file that it was chosen on, in sorted order."""
        return sorted(self.info.fingerprints.get("valid", ()))


@dataclass(frozen=True)
class PairedScores:
    """The valid genes as two versions score them."""

    labels: NDArray[np.uint8]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    thresholds: tuple[float, float]


def fetch_contender(config: RunConfig, name: str, version: Version) -> Contender:
    """Download a version, once, and read what it says of itself; its weights are not loaded.

    Raises
    ------
    CheckpointError, TrackingError
        If it is not a model of raygenex, is damaged as far as that tells, or MLflow refuses.
    """
    checkpoint = fetch_checkpoint(config, f"models:/{name}/{version.version}")
    return Contender(version, checkpoint, Predictor.describe(checkpoint))


def check_same_tags(config: RunConfig, a: Version, b: Version) -> None:
    """Do as `check_same_data` by what tags of the versions say, before anything is downloaded; pass where they lack.

    Raises
    ------
    DataError
        As of `check_same_data`.
    """
    if a.valid_fingerprint and b.valid_fingerprint:
        prints = [sorted(version.valid_fingerprint.split(",")) for version in (a, b) if version.valid_fingerprint]
        _check_prints(config, (a.version, b.version), prints)


def check_same_data(config: RunConfig, a: Contender, b: Contender) -> None:
    """Refuse two versions that were not both chosen on the valid files of the configuration.

    Raises
    ------
    DataError
        If a fingerprint differs; one sentence that names both and says what to do.
    """
    _check_prints(
        config, (a.version.version, b.version.version), [contender.valid_fingerprints for contender in (a, b)]
    )


def _check_prints(config: RunConfig, versions: tuple[str, str], prints: list[list[str]]) -> None:
    a, b = versions
    if prints[0] != prints[1]:
        raise DataError(
            f"version {a} was chosen on valid data {_short(prints[0])} and version {b} on {_short(prints[1])}, so they "
            "cannot be compared: train one of them again on the data of the other, or promote with --force"
        )
    found = sorted(open_splits(_valid_alone(config), ("valid",))["valid"].fingerprints)
    if found != prints[0]:
        raise DataError(
            f"data.valid has fingerprint {_short(found)} and versions {a} and {b} were chosen on {_short(prints[0])}: "
            "set data.valid to those files, or promote with --force"
        )


def score_both(config: RunConfig, a: Contender, b: Contender) -> PairedScores:
    """Score the valid genes with both versions; no other split is opened.

    Raises
    ------
    DataError, CheckpointError, ClusterError
        If the versions were not chosen on these genes, or scoring fails.
    """
    check_same_data(config, a, b)
    for contender in (a, b):
        refuse_targets(contender.info, contender.checkpoint, "a comparison of versions")
    # Everything is loaded and opened before a cluster is started.
    for contender in (a, b):
        Predictor.check(contender.checkpoint)
    opened = [_open_valid(config, contender) for contender in (a, b)]
    cpus = config.predict.workers * config.predict.cpus_per_worker + SPARE_CPUS
    with open_cluster(config.cluster, cpus):
        scored = [
            score_rows(rows, contender.checkpoint, config, f"version {contender.version.version} on valid")
            for rows, contender in zip(opened, (a, b), strict=True)
        ]
    first, second = scored
    assert np.array_equal(first["gene_id"], second["gene_id"]), "both read the same files in the same order"
    thresholds = [contender.info.threshold for contender in (a, b)]
    assert thresholds[0] is not None, "checked when loading"
    assert thresholds[1] is not None, "checked when loading"
    return PairedScores(
        first["label"].astype(np.uint8),
        first["probability"],
        second["probability"],
        (thresholds[0], thresholds[1]),
    )


def compare_metric(config: RunConfig, scores: PairedScores, metric: str) -> Difference:
    """Return a metric of both versions and the paired bootstrap of their difference."""
    options = config.evaluate
    found = paired_bootstrap(
        scores.labels,
        scores.a,
        scores.b,
        metric,
        options.bootstrap,
        options.confidence,
        config.seed,
        scores.thresholds,
    )
    a, b = (
        binary_metrics(scores.labels, probability, threshold)[metric]
        for probability, threshold in zip((scores.a, scores.b), scores.thresholds, strict=True)
    )
    return Difference(a, b, *found)


def _open_valid(config: RunConfig, contender: Contender) -> Rows:
    """Open the valid genes as this version reads them: its window, and its run's embeddings where they are."""
    own = contender.info.run_config
    window = contender.info.inputs.window if contender.info.reads_dna else config.data.window
    data = _valid_alone(config).model_copy(update={"window": window})
    embed = own.embed.model_copy(update={"store": own.store})
    return open_rows(config.model_copy(update={"data": data, "embed": embed}), "valid", contender.info)[1]


def _valid_alone(config: RunConfig) -> DataConfig:
    return config.data.model_copy(update={"train": (), "test": ()})


def _short(fingerprints: list[str]) -> str:
    return "+".join(fingerprint[:12] for fingerprint in fingerprints) or "unknown"
