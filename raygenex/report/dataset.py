"""The data that a model was trained on, looked at again if they are still what they were."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.run import RunConfig
from raygenex.data.check.check import check
from raygenex.data.check.describe import DataReport
from raygenex.data.check.leakage import sentence
from raygenex.data.feature_values import features_of_model, read_feature_values
from raygenex.data.opening import SplitData, open_splits
from raygenex.errors import DataError
from raygenex.files.fingerprint import fingerprints
from raygenex.files.locate import is_url, locate
from raygenex.predict.target_scores import measured_values
from raygenex.sequence import composition
from raygenex.terminal.progress import steps
from raygenex.train.checkpoint import CheckpointInfo


@dataclass(frozen=True)
class LabelledGenes:
    """The genes of a split."""

    gene_id: NDArray[np.object_]
    """Shape ``(n,)``."""
    label: NDArray[np.uint8]
    """Shape ``(n,)``, 0 or 1; all 0 where a run of targets has files without labels."""
    halflife: NDArray[np.float32]
    """Half-life features, shape ``(n, 8)``."""
    features: NDArray[np.float32]
    """What the model reads beside the DNA, shape ``(n, f)``, NaN where a gene has no value; often ``halflife``."""
    composition: NDArray[np.float32] | None
    """GC content and CpG ratio of each promoter, as `raygenex.sequence.composition` has them; None without."""
    fingerprints: tuple[str, ...]
    """The sha256 of each file."""
    values: NDArray[np.float32] | None = None
    """What was measured of the targets, in their units, shape ``(n, T)``, NaN where nothing was; None of the label."""


@dataclass(frozen=True)
class DataFacts:
    """What the data files of a run say."""

    report: DataReport | None
    """The full check; None if there are no files to check."""
    missing: str
    """Why there is none, a sentence without its full stop; else empty."""
    verdict: str
    """What leaks between splits, and what to do; empty if no more does than allowed."""
    truth: dict[str, LabelledGenes]
    """By split."""


def read_data(config: RunConfig, info: CheckpointInfo) -> DataFacts:
    """Check the data of a run in full, if they are here and are those that the model was trained on.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    names = config.data.configured
    if any(is_url(pattern) for name in names for pattern in config.data.split(name)):
        return _nothing("the data are remote, and a report does not download them")
    try:
        files = {name: locate(config.data.split(name), f"data.{name}") for name in names}
    except DataError as error:
        return _nothing(f"the data are not here ({error})")
    prints = {name: tuple(fingerprints(paths)) for name, paths in files.items()}
    changed = [name for name, known in info.fingerprints.items() if prints.get(name) != tuple(known)]
    if changed:
        return _nothing(f"the files of {' and '.join(changed)} are not those that the model was trained with")
    learned = [target.name for target in info.targets]
    if learned != [target.name for target in config.targets]:
        return _nothing(f"{config.said('targets')} are not those of the model, {', '.join(learned) or 'the label'}")
    splits = open_splits(config.data, names, both_labels=not learned, labelled=not learned)
    try:
        values = {
            name: measured_values(config.targets, info.targets, split, may_lack=True) if learned else None
            for name, split in splits.items()
        }
    except DataError as error:
        return _nothing(f"the values of the targets are not to be had ({error})")
    try:
        features = _features(config, info, splits)
    except DataError as error:
        return _nothing(f"the features of the model are not to be had ({error})")
    parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    with steps("checking genes") as on_progress:
        report = check(
            config.data,
            config.check,
            on_progress,
            lambda name, bases: parts[name].append(composition(bases)),
            targets=config.targets,
        )
    made = {name: np.concatenate(blocks) if blocks else None for name, blocks in parts.items()}
    truth = {
        name: LabelledGenes(
            split.gene_id,
            _label(split),
            split.halflife,
            features[name],
            made[name],
            prints[name],
            values[name],
        )
        for name, split in splits.items()
    }
    leaks = report.leakage.exceeds(config.check.max_leaked)
    return DataFacts(report, "", sentence(report.leakage, config.check) if leaks else "", truth)


def _features(
    config: RunConfig, info: CheckpointInfo, splits: Mapping[str, SplitData]
) -> dict[str, NDArray[np.float32]]:
    if not info.reads_other_features:
        return {name: split.halflife for name, split in splits.items()}
    configs = features_of_model(info.inputs.features, config.data.features, info.run_config.data.features)
    return read_feature_values(configs, splits)


def _label(split: SplitData) -> NDArray[np.uint8]:
    return split.label if split.has_labels else np.zeros(split.rows, np.uint8)


def _nothing(reason: str) -> DataFacts:
    return DataFacts(None, reason, "", {})
