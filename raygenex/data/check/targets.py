"""What the data hold of the targets of a run: how many genes have each, their values, and what being measured tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.targets import TargetConfig
from raygenex.data.hdf5.schema import Target
from raygenex.data.opening import SplitData
from raygenex.data.targets import TargetValues, read_target_values
from raygenex.stats.metrics import auroc

TELLING = 0.1
"""A distance of the AUROC from 0.5, from which it is warned that being measured predicts a value."""


@dataclass(frozen=True)
class TargetSummary:
    """One target in one split, in its unit."""

    kind: str
    unit: str
    measured: int
    """Genes that have a value."""
    mean: float | None
    sd: float | None
    """Standard deviation of the population; like the mean and the ends, of the measured genes; None without any."""
    min: float | None
    max: float | None
    correlations: Mapping[str, float | None]
    """Pearson's r with each other target, over the genes that have both; None for fewer than three, or no spread."""


def summarise_targets(
    configs: tuple[TargetConfig, ...], splits: Mapping[str, SplitData]
) -> tuple[dict[str, dict[str, TargetSummary]], list[str]]:
    """Sum up the targets of every split, and warn where being measured predicts what was measured of another.

    Raises
    ------
    DataError
        As `raygenex.data.targets.read_target_values`.
    """
    if not configs:
        return {name: {} for name in splits}, []
    found = read_target_values(configs, splits, may_lack=True)
    summaries = {
        name: {
            target.name: _summary(target, column, dict(zip(found.names, values.T, strict=True)))
            for target, column in zip(found.targets, values.T, strict=True)
        }
        for name, values in found.values.items()
    }
    return summaries, [sentence for name, split in splits.items() for sentence in _telling(found, name, split)]


def _summary(target: Target, column: NDArray[np.float32], columns: dict[str, NDArray[np.float32]]) -> TargetSummary:
    known = column[~np.isnan(column)].astype(np.float64)
    mean, sd, least, most = (
        float(measure(known)) if known.size else None for measure in (np.mean, np.std, np.min, np.max)
    )
    return TargetSummary(
        target.kind,
        target.unit,
        known.size,
        mean,
        sd,
        least,
        most,
        {name: _correlation(column, other) for name, other in columns.items() if name != target.name},
    )


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float | None:
    both = ~(np.isnan(a) | np.isnan(b))
    x, y = a[both].astype(np.float64), b[both].astype(np.float64)
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _telling(found: TargetValues, name: str, split: SplitData) -> list[str]:
    """Return a sentence for each target whose being measured predicts another, or the label."""
    values = found.values[name]
    others = {target.name: column for target, column in zip(found.targets, values.T, strict=True)}
    if split.has_labels:
        others.setdefault("label", split.label.astype(np.float32))
    sentences = []
    for target, column in zip(found.targets, values.T, strict=True):
        has = ~np.isnan(column)
        for other, known in others.items():
            both = ~np.isnan(known)
            if other == target.name or has[both].all() or not has[both].any():
                continue
            area = auroc(has[both], known[both])
            if abs(area - 0.5) >= TELLING:
                sentences.append(
                    f"{name}: whether {target.name} was measured predicts {other} (AUROC {max(area, 1 - area):.3f}): "
                    "genes without a value are no random ones"
                )
    return sentences
