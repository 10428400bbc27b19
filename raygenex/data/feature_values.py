"""What models read of genes beside their DNA: the eight half-life features, or those that ``data.features`` names."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raygenex.config.features import ALL_EIGHT, FeatureConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.read import read_extra, read_table, read_targets
from raygenex.data.hdf5.schema import PromoterFile
from raygenex.data.opening import SplitData
from raygenex.data.tables import GeneColumns, shown
from raygenex.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

Values = NDArray[np.float32]

EIGHT = tuple(FeatureConfig(name=name) for name in HALFLIFE_FEATURES)


def chosen_features(configs: Sequence[FeatureConfig]) -> tuple[FeatureConfig, ...]:
    """Return the features of a configuration one by one; of an empty one, the eight.

    Raises
    ------
    ConfigError
        If one is named twice, once by itself and once among the eight.
    """
    found: list[FeatureConfig] = []
    for config in configs or EIGHT:
        found.extend(EIGHT if config.name == ALL_EIGHT else [config])
    names = [config.name for config in found]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise ConfigError(f"data.features names {twice} and {ALL_EIGHT}, which holds it: leave one of them out")
    if (held := next((config.name for config in found if _is_held(config) and config.table), None)) is not None:
        raise ConfigError(f"data.features: {held} is a half-life feature of the promoter files: leave its table out")
    return tuple(found)


def features_of_model(
    names: Sequence[str], given: Sequence[FeatureConfig], trained: Sequence[FeatureConfig]
) -> tuple[FeatureConfig, ...]:
    """Return where the features of a model are: as ``given`` says, and of those that it does not name, as in training.

    Parameters
    ----------
    names
        The features that the model reads.
    given, trained
        ``data.features`` of the configuration at hand and of the training.
    """
    known = {config.name: config for configs in (trained, given) if configs for config in chosen_features(configs)}
    return tuple(known.get(name, FeatureConfig(name=name)) for name in names)


def read_feature_values(configs: Sequence[FeatureConfig], splits: Mapping[str, SplitData]) -> dict[str, Values]:
    """Read the features of the genes of some splits: see `values_of_features`."""
    genes = {name: split.gene_id for name, split in splits.items()}
    eight = {name: split.halflife for name, split in splits.items()}
    return values_of_features(configs, genes, eight, {name: split.files for name, split in splits.items()})


def values_of_features(
    configs: Sequence[FeatureConfig],
    genes: Mapping[str, NDArray[np.object_]],
    eight: Mapping[str, Values],
    files: Mapping[str, Sequence[PromoterFile]],
) -> dict[str, Values]:
    """Return the features of genes.

    Parameters
    ----------
    configs
        The features one by one, as of `chosen_features`.
    genes, eight
        Of each split, the gene ids ``(N,)`` and the half-life features ``(N, 8)``.
    files
        Of each split, the files that hold its genes, one after the other; none if they are of an annotation.

    Returns
    -------
    By split, shape ``(N, features)``; NaN where a feature beyond the eight has no value.

    Raises
    ------
    DataError
        If a feature is nowhere or holds no numbers, or nothing of it was measured in train.
    """
    tables = GeneColumns("data.features", genes)
    columns: list[dict[str, Values]] = []
    for config in configs:
        if _is_held(config):
            place = HALFLIFE_FEATURES.index(config.place)
            found = {name: values[:, place] for name, values in eight.items()}
        elif config.table is None:
            found = {name: _of_files(config, its) for name, its in files.items()}
        else:
            found = tables.read(config.table, config.place, config.gene_column)
        if "train" in found and np.isnan(found["train"]).all():
            raise DataError(
                f"nothing of {config.name} was measured in the {len(found['train'])} genes of data.train: leave it out "
                "of data.features"
            )
        columns.append(found)
    return {name: np.stack([column[name] for column in columns], axis=1) for name in genes}


def warn_of_unseen_gaps(names: Sequence[str], lacking: Sequence[str], values: Values, what: str) -> None:
    """Say which features genes lack that every gene of the training had, or that none of several genes has.

    Networks and regressions read the mean of train there.

    Parameters
    ----------
    names, lacking
        The features of the model, and those of them that genes of its training lacked.
    values
        Shape ``(N, features)``.
    what
        The genes, for the sentence.
    """
    for name, column in zip(names, values.T, strict=True):
        gaps = int(np.isnan(column).sum())
        if gaps == len(column) > 1:
            logger.warning(
                "none of %d genes of %s has a value of %s: check that its table is of the same kind of gene ids",
                *(gaps, what, name),
            )
        elif gaps and name not in lacking:
            logger.warning(
                "%d of %d genes of %s have no value of %s, which every gene of the training has: networks read the "
                "mean of those, and trees follow no rule that they learned",
                *(gaps, len(column), what, name),
            )


def _is_held(config: FeatureConfig) -> bool:
    """Whether a feature is one of the eight."""
    return config.place in HALFLIFE_FEATURES and (config.table is None or config.name in HALFLIFE_FEATURES)


def _of_files(config: FeatureConfig, files: Sequence[PromoterFile]) -> Values:
    """Read a feature that was added to the promoter files, among their targets or the columns of the user."""
    parts = []
    for file in files:
        if config.place in (target.name for target in file.targets):
            parts.append(read_targets(file, config.place))
            continue
        if config.place not in file.extra:
            names = [ALL_EIGHT, *(target.name for target in file.targets), *file.extra]
            raise DataError(
                f"{file.path} has no column {config.place}; it has {shown(names)}: correct data.features, or name the "
                "table that has it there"
            )
        column = read_extra(file, config.place)
        if column.dtype.kind not in "fiu":
            raise DataError(f"{file.path}: {config.place} holds text, and data.features are numbers: leave it out")
        values = column.astype(np.float32)
        if (wrong := np.flatnonzero(np.isinf(values))).size:
            gene = read_table(file).gene_id[wrong[0]]
            raise DataError(f"{file.path}: {config.place} of gene {gene} is {column[wrong[0]]:g}: correct it")
        parts.append(values)
    if not parts:
        raise DataError(f"{config.name} of data.features is in no table, and an annotation does not have it: name one")
    return np.concatenate(parts)
