"""Two registered versions on the same valid genes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.cluster.connect import SPARE_CPUS, open_cluster
from raygenex.config.data import DataConfig
from raygenex.config.run import RunConfig
from raygenex.config.targets import LABEL, TargetConfig
from raygenex.data.opening import SplitData, open_run
from raygenex.data.rows import Columns, Rows
from raygenex.errors import DataError
from raygenex.evaluate import open_rows
from raygenex.predict.predictor import Predictor
from raygenex.predict.scoring import score_rows
from raygenex.predict.target_scores import measured_values, resampled_difference
from raygenex.registry.history import Difference
from raygenex.registry.register import fetch_checkpoint
from raygenex.registry.versions import Version
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.targets import TargetInfo, outputs_of


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

    @property
    def targets(self) -> dict[str, TargetInfo]:
        """What it predicts, by name; a model of the label has one target, the label."""
        if self.info.targets:
            return {target.name: target for target in self.info.targets}
        threshold = self.info.threshold
        return {LABEL: TargetInfo(name=LABEL, kind="binary", loss="bce", measured=0, threshold=threshold)}

    def predicted(self, scored: Columns, name: str) -> NDArray[np.float64]:
        """Return what it predicts of a target, on the scale of its errors, shape ``(N,)``, from its scores."""
        if not self.info.targets:
            return scored["probability"]
        target, outputs = self.targets[name], scored["outputs"]
        place = dict(zip(self.targets, outputs_of(self.info.targets), strict=True))[name]
        return target.predicted(outputs.reshape(len(outputs), -1)[:, place])


@dataclass(frozen=True)
class PairedScores:
    """The valid genes that have a value of a target, or a label, as two versions score them."""

    target: TargetInfo
    """As the first version learned it."""
    truth: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    """On the scale of the target's errors, shape ``(N,)``; labels 0 or 1 and probabilities."""
    thresholds: tuple[float, float]
    """Of a label, or a binary target."""
    genes: int
    """Valid genes in all."""


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
    alone = config.model_copy(update={"data": _valid_alone(config)})
    found = sorted(open_run(alone, ("valid",))["valid"].fingerprints)
    if found != prints[0]:
        raise DataError(
            f"data.valid has fingerprint {_short(found)} and versions {a} and {b} were chosen on {_short(prints[0])}: "
            "set data.valid to those files, or promote with --force"
        )


def shared_targets(config: RunConfig, a: Contender, b: Contender) -> dict[str, TargetConfig]:
    """Return the targets that two versions both predict, in the order of the first, and where their values are.

    Raises
    ------
    DataError
        If there is none that means the same for both and that the configuration has.
    """
    own, others = a.targets, b.targets
    # Files say labels, whatever else is learned.
    known = {LABEL: TargetConfig(name=LABEL)} | {target.name: target for target in config.targets}
    shared = [name for name in own if name in others and _meaning(own[name]) == _meaning(others[name])]
    if not any(name in known for name in shared):
        raise DataError(
            f"version {a.version.version} predicts {', '.join(own)} and version {b.version.version} "
            f"{', '.join(others)}, of which {config.said('targets')} has none that both learned alike, so they cannot "
            "be compared: name one in targets, or promote with --force"
        )
    return {name: known[name] for name in shared if name in known}


def _meaning(target: TargetInfo) -> tuple[str, ...]:
    return target.kind, target.unit, target.transform


def score_both(config: RunConfig, a: Contender, b: Contender) -> list[PairedScores]:
    """Score the valid genes with both versions, target by target; no other split is opened.

    Raises
    ------
    DataError, CheckpointError, ClusterError
        If the versions were not chosen on these genes or share no target, or scoring fails.
    """
    check_same_data(config, a, b)
    shared = shared_targets(config, a, b)
    # Everything is loaded and opened before a cluster is started.
    for contender in (a, b):
        Predictor.check(contender.checkpoint)
    opened = [_open_valid(config, contender) for contender in (a, b)]
    values = measured_values(tuple(shared.values()), [a.targets[name] for name in shared], opened[0][1])
    cpus = config.predict.workers * config.predict.cpus_per_worker + SPARE_CPUS
    with open_cluster(config.cluster, cpus):
        scored = [
            score_rows(rows, contender.checkpoint, config, f"version {contender.version.version} on valid")
            for (rows, _), contender in zip(opened, (a, b), strict=True)
        ]
    assert np.array_equal(scored[0]["gene_id"], scored[1]["gene_id"]), "both read the same files in the same order"
    return [_paired(name, values[:, place], (a, b), scored) for place, name in enumerate(shared)]


def _paired(
    name: str, values: NDArray[np.float32], contenders: tuple[Contender, Contender], scored: list[Columns]
) -> PairedScores:
    """Return a target as two versions score the genes that have a value of it, ``values`` ``(N,)`` in its unit."""
    first, second = (contender.targets[name] for contender in contenders)
    known = ~np.isnan(values)
    a, b = (contender.predicted(one, name)[known] for contender, one in zip(contenders, scored, strict=True))
    if first.quantiles != second.quantiles:
        # Ranks among other genes of train are other numbers.
        b = first.transformed(second.in_unit(b))
    thresholds = first.threshold, second.threshold
    if first.kind != "binary":
        return PairedScores(first, first.transformed(values[known]), a, b, (0.5, 0.5), values.size)
    assert thresholds[0] is not None, "checked when loading"
    assert thresholds[1] is not None, "checked when loading"
    return PairedScores(first, first.transformed(values[known]), a, b, (thresholds[0], thresholds[1]), values.size)


def compare_metric(config: RunConfig, scores: PairedScores, metric: str) -> Difference:
    """Return a metric of both versions and the paired bootstrap of their difference.

    Raises
    ------
    DataError
        If the measured values, or the predictions of a version, do not differ.
    """
    target, truth, pair = scores.target, scores.truth, (scores.a, scores.b)
    found = resampled_difference(target, truth, pair, metric, config.evaluate, config.seed, scores.thresholds)
    a, b = (
        target.model_copy(update={"threshold": threshold}).measure(truth, values)[metric]
        for values, threshold in zip(pair, scores.thresholds, strict=True)
    )
    return Difference(a, b, *found)


def _open_valid(config: RunConfig, contender: Contender) -> tuple[Rows, SplitData]:
    """Open the valid genes and their small columns as this version reads them: its window, its run's embeddings."""
    own = contender.info.run_config
    window = contender.info.inputs.window if contender.info.reads_dna else config.data.window
    data = _valid_alone(config).model_copy(update={"window": window, "features": own.data.features})
    embed = own.embed.model_copy(update={"store": own.store})
    _, rows, opened = open_rows(config.model_copy(update={"data": data, "embed": embed}), "valid", contender.info)
    return rows, opened


def _valid_alone(config: RunConfig) -> DataConfig:
    return config.data.model_copy(update={"train": (), "test": ()})


def _short(fingerprints: list[str]) -> str:
    return "+".join(fingerprint[:12] for fingerprint in fingerprints) or "unknown"
