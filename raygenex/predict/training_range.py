"""Features far outside those that a model was trained on: mostly of another scale, such as bases for logarithms."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.data.features import features_in_words
from raygenex.errors import DataError

logger = logging.getLogger(__name__)

Range = Mapping[str, tuple[float, float]]
"""The smallest and the largest value of each feature in training."""


def check_range(halflife: NDArray[Any], names: Sequence[str], known: Range | None, what: str, strict: bool) -> None:
    """Warn of features that lie further outside the range of training than it is wide.

    Parameters
    ----------
    halflife
        Features of genes, or their extremes alone, shape ``(n, features)``; NaN where there is no value.
    names
        What they are.
    known
        The range of training; None if the model does not know it or reads no features, and nothing is looked at.
    what
        Where the features come from, for the sentence.
    strict
        Whether they are refused.

    Raises
    ------
    DataError
        If there are such features and ``strict``.
    """
    if known is None or not len(halflife):
        return
    found = []
    # fmin and fmax pass over what is missing.
    extremes = zip(names, np.fmin.reduce(halflife), np.fmax.reduce(halflife), strict=True)
    for name, low, high in extremes:
        first, last = known.get(name, (-np.inf, np.inf))
        width = last - first
        # What was the same in all of training says nothing about the scale.
        if width > 0 and (low < first - width or high > last + width):
            found.append(f"{name} {low:g} to {high:g}, in training {first:g} to {last:g}")
    if not found:
        return
    message = f"{features_in_words(names)} of {what} are far outside those of training ({'; '.join(found)})"
    if strict:
        raise DataError(f"{message}: give them in the units of the training data, or leave strict out")
    logger.warning("%s: are they in the units of the training data?", message)
