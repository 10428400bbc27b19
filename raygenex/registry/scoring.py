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
from raygenex.train.checkpoint import CheckpointInfo


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
    """Download a version, once, and check that it can be loaded.

    Raises
    ------
    CheckpointError, TrackingError
        If it is not a model of raygenex, is damaged, or MLflow refuses.
    """
    checkpoint = fetch_checkpoint(config, f"models:/{name}/{version.version}")
    predictor = Predictor(checkpoint)
    if predictor.info.inputs.kind == "embedding" and predictor.info.reads_dna:
        predictor.load_backbone()
    return Contender(version, checkpoint, predictor.info)


def check_same_data(config: RunConfig, a: Contender, b: Contender) -> None:
    """Refuse two versions that were not both chosen on the valid files of the configuration.

    Raises
    ------
    DataError
        If a fingerprint differs; one sentence that names both and says what to do.
    """
    if a.valid_fingerprints != b.valid_fingerprints:
        raise DataError(
            f"version {a.version.version} was chosen on valid data {_short(a.valid_fingerprints)} and version "
            f"{b.version.version} on {_short(b.valid_fingerprints)}, so they cannot be compared: train one of them "
            "again on the data of the other, or promote with --force"
        )
    valid = open_splits(_valid_alone(config), ("valid",))
    prints = sorted(valid["valid"].fingerprints)
    if prints != a.valid_fingerprints:
        raise DataError(
            f"data.valid has fingerprint {_short(prints)} and versions {a.version.version} and {b.version.version} "
            f"were chosen on {_short(a.valid_fingerprints)}: set data.valid to those files, or promote with --force"
        )


def score_both(config: RunConfig, a: Contender, b: Contender) -> PairedScores:
    """Score the valid genes with both versions; no other split is opened.

    Raises
    ------
    DataError, CheckpointError, ClusterError
        If the versions were not chosen on these genes, or scoring fails.
    """
    check_same_data(config, a, b)
    # Everything is opened before a cluster is started.
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
