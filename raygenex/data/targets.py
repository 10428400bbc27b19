"""What the genes of a run are to be predicted: the values of its targets, from promoter files and from tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raygenex.config.targets import LABEL, TargetConfig
from raygenex.data.hdf5.read import read_targets
from raygenex.data.hdf5.schema import Target, check_target
from raygenex.data.opening import SplitData
from raygenex.data.tables import GeneColumns, shown
from raygenex.errors import DataError

if TYPE_CHECKING:
    pass

Values = NDArray[np.float32]


@dataclass(frozen=True)
class TargetValues:
    """The targets of a run, and what was measured of them."""

    targets: tuple[Target, ...]
    """What they are, in the order of the configuration."""
    values: Mapping[str, Values]
    """By split: shape ``(N, T)``, NaN where nothing was measured, in the units of their files and tables."""

    @property
    def names(self) -> list[str]:
        """The names of the targets."""
        return [target.name for target in self.targets]


def read_target_values(
    configs: tuple[TargetConfig, ...], splits: Mapping[str, SplitData], may_lack: bool = False
) -> TargetValues:
    """Read the targets of a configuration for the genes of some splits.

    Parameters
    ----------
    configs
        What is wanted.
    splits
        The genes.
    may_lack
        Whether a split may have no value of a target, as when it is only looked at.

    Raises
    ------
    DataError
        If a target is nowhere, has another kind in another file, or its values do not fit its kind; if a table cannot
        be read or has fewer than half of the genes; if nothing of a target was measured in a split that must have it.
    """
    targets: list[Target] = []
    columns: list[dict[str, Values]] = []
    tables = GeneColumns("targets", {name: split.gene_id for name, split in splits.items()})
    for config in configs:
        target, found = _of_files(config, splits) if config.table is None else _of_table(config, tables)
        for name, column in found.items():
            _check(target, column, splits[name], config.table or f"data.{name}", may_lack)
        targets.append(target)
        columns.append(found)
    values = {name: np.stack([column[name] for column in columns], axis=1) for name in splits}
    return TargetValues(tuple(targets), values)


def _of_files(config: TargetConfig, splits: Mapping[str, SplitData]) -> tuple[Target, dict[str, Values]]:
    """Read a target that the promoter files hold: a column of theirs, or their label."""
    kinds: dict[Target, str] = {}
    found = {}
    for name, split in splits.items():
        parts = []
        for file, table in zip(split.files, split.tables, strict=True):
            known = {target.name: target for target in file.targets}
            if config.place in known:
                target = replace(known[config.place], name=config.name)
                values = read_targets(file, config.place)
            elif config.place == LABEL and table.label is not None:
                target, values = Target(config.name, "binary"), table.label.astype(np.float32)
            else:
                names = [*known, *([LABEL] if file.has_label else [])]
                raise DataError(
                    f"{file.path} has no target {config.place}; it has {shown(names)}: correct targets.name or "
                    "targets.column, or name the table that has it in targets.table"
                )
            kinds.setdefault(target, file.path)
            parts.append(values)
        found[name] = np.concatenate(parts)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise DataError(
            f"{config.name} is {one.scale} in {first} and {other.scale} in {second}: use files that were made in one "
            "way"
        )
    (target,) = kinds
    if config.kind not in (None, target.kind):
        raise DataError(
            f"{config.name} is {target.kind} in {next(iter(kinds.values()))}, but targets.kind is {config.kind}: leave "
            "the key out"
        )
    return target, found


def _of_table(config: TargetConfig, tables: GeneColumns) -> tuple[Target, dict[str, Values]]:
    """Read a target that a table holds, one row per gene; a gene without a row was not measured."""
    assert config.table is not None, "checked by the caller"
    found = tables.read(config.table, config.place, config.gene_column)
    kind = config.kind_known
    assert kind is not None, "a table's has one"
    return Target(config.name, kind, config.unit), found


def _check(target: Target, values: Values, split: SplitData, where: str, may_lack: bool) -> None:
    """Refuse values that are none of the target's kind, and, unless it may be so, a split without any."""
    if np.isnan(values).all() and not may_lack:
        raise DataError(
            f"{where}: nothing of {target.name} was measured in the {split.rows} genes of data.{split.name}; leave the "
            "target out, or use genes that have it"
        )
    check_target(where, target, split.gene_id, values)
