"""Which target of a model is explained, and what was measured of it."""

import numpy as np
from numpy.typing import NDArray

from raygenex.config.run import RunConfig
from raygenex.config.targets import LABEL
from raygenex.data.opening import open_splits
from raygenex.data.tables import shown
from raygenex.errors import ConfigError
from raygenex.predict.target_scores import measured_values
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.targets import TargetInfo


def explained_target(info: CheckpointInfo, name: str | None) -> TargetInfo | None:
    """Return the target of ``explain.target``, the first for None; None of a model of the label.

    Raises
    ------
    ConfigError
        If the model has no target of this name.
    """
    if not info.targets:
        if name not in (None, LABEL):
            raise ConfigError(f"explain.target is {name}, and the model predicts the label alone: leave the key out")
        return None
    names = [target.name for target in info.targets]
    if name is None:
        return info.targets[0]
    if name not in names:
        raise ConfigError(f"explain.target is {name}, and the model predicts {shown(names)}: name one of them")
    return info.targets[names.index(name)]


def measured_of(config: RunConfig, target: TargetInfo) -> NDArray[np.float64]:
    """Return what was measured of a target in the split that is explained, on the scale of `TargetInfo.transformed`.

    Returns
    -------
    Shape ``(N,)``, NaN where nothing was measured: everywhere, if the configuration does not have the target.

    Raises
    ------
    DataError
        If the values cannot be read, or are of another kind or unit than those that the model learned.
    """
    split = config.explain.split
    data = open_splits(config.data, (split,), both_labels=False, labelled=False)[split]
    configs = tuple(one for one in config.targets if one.name == target.name)
    if not configs:
        return np.full(data.rows, np.nan)
    return target.transformed(measured_values(configs, [target], data, may_lack=True)[:, 0])
