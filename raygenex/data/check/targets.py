"""Targets of a run and features beyond the eight, as data hold them: values, and what being measured tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.features import FeatureConfig
from raygenex.config.targets import TargetConfig
from raygenex.data.feature_values import chosen_features, read_feature_values
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.opening import SplitData
from raygenex.data.targets import read_target_values
from raygenex.stats.metrics import auroc

Column = NDArray[np.float32]
_READ = ("feature", "")

TELLING = 0.1
"""A distance of the AUROC from 0.5, from which it is warned that being measured predicts a value."""


@dataclass(frozen=True)
class TargetSummary:
    """One target in one split, in its unit, or a feature that models read beyond the eight."""

    kind: str
    """That of a target; ``feature`` of what is read."""
    unit: str
    measured: int
    """Genes that have a value."""
    mean: float | None
    sd: float | None
    """Standard deviation of the population; like the mean and the ends, of the measured genes; None without any."""
    min: float | None
    max: float | None
    correlations: Mapping[str, float | None]
    """Pearson's r with each other of them, over the genes that have both; None for fewer than three, or no spread."""


def summarise_targets(
    targets: tuple[TargetConfig, ...], features: tuple[FeatureConfig, ...], splits: Mapping[str, SplitData]
) -> tuple[dict[str, dict[str, TargetSummary]], list[str]]:
    """Sum up the targets and the features beyond the eight, and warn where being measured predicts a target.

    Raises
    ------
    DataError
        As `raygenex.data.targets.read_target_values` and `raygenex.data.feature_values.read_feature_values`.
    """
    read = [feature for feature in chosen_features(features) if feature.name not in HALFLIFE_FEATURES]
    if not targets and not read:
        return {name: {} for name in splits}, []
    learned = read_target_values(targets, splits, may_lack=True) if targets else None
    beside = read_feature_values(read, splits) if read else {}
    found: dict[str, dict[str, TargetSummary]] = {}
    sentences: list[str] = []
    for name, split in splits.items():
        kinds = {target.name: (target.kind, target.unit) for target in (learned.targets if learned else ())}
        columns = dict(zip(kinds, learned.values[name].T, strict=True)) if learned else {}
        known = {"label": split.label.astype(np.float32)} if split.has_labels and "label" not in columns else {}
        known |= columns
        if read:
            columns |= dict(zip((feature.name for feature in read), beside[name].T, strict=True))
        found[name] = {
            one: _summary(*kinds.get(one, _READ), column, {key: columns[key] for key in columns if key != one})
            for one, column in columns.items()
        }
        sentences += _telling(name, columns, known)
    return found, sentences


def _summary(kind: str, unit: str, column: Column, others: dict[str, Column]) -> TargetSummary:
    known = column[~np.isnan(column)].astype(np.float64)
    mean, sd, least, most = (
        float(measure(known)) if known.size else None for measure in (np.mean, np.std, np.min, np.max)
    )
    return TargetSummary(
        kind,
        unit,
        known.size,
        mean,
        sd,
        least,
        most,
        {name: _correlation(column, other) for name, other in others.items()},
    )


def _correlation(a: Column, b: Column) -> float | None:
    both = ~(np.isnan(a) | np.isnan(b))
    x, y = a[both].astype(np.float64), b[both].astype(np.float64)
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _telling(name: str, columns: dict[str, Column], known: dict[str, Column]) -> list[str]:
    """Return a sentence for each of ``columns`` whose being measured predicts another that is ``known``."""
    sentences = []
    for one, column in columns.items():
        has = ~np.isnan(column)
        for other, values in known.items():
            both = ~np.isnan(values)
            if other == one or has[both].all() or not has[both].any():
                continue
            area = auroc(has[both], values[both])
            if abs(area - 0.5) >= TELLING:
                sentences.append(
                    f"{name}: whether {one} was measured predicts {other} (AUROC {max(area, 1 - area):.3f}): genes "
                    "without a value are no random ones"
                )
    return sentences
