"""How much worse genes are told apart once a half-life feature is exchanged between them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.metrics import auroc

Floats = NDArray[np.float64]


class Importance(NamedTuple):
    """Mean loss of AUROC of each feature, and the percentile interval over the permutations, shape ``(8,)`` each."""

    drop: Floats
    low: Floats
    high: Floats


def permutation_importance(
    score: Callable[[NDArray[Any]], Floats],
    halflife: NDArray[Any],
    label: NDArray[Any],
    repeats: int = 10,
    seed: int = 0,
    confidence: float = 0.95,
) -> Importance:
    """Permute each half-life feature over the genes and measure the loss of AUROC (Breiman 2001).

    Parameters
    ----------
    score
        Takes features in their own units, shape ``(N, 8)``, of the same genes in the same order, and returns a score of
        each, shape ``(N,)``.
    halflife
        The genes' own features, shape ``(N, 8)``.
    label
        0 low or 1 high, shape ``(N,)``.
    repeats
        Permutations of each feature; every feature gets the same ones.
    seed
        Of the permutations.
    confidence
        Share of the permutations between ``low`` and ``high``, in (0, 1).
    """
    whole = auroc(label, score(halflife))
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(halflife)) for _ in range(repeats)]
    drops = np.empty((repeats, halflife.shape[1]))
    for number, order in enumerate(orders):
        for feature in range(halflife.shape[1]):
            mixed = halflife.copy()
            mixed[:, feature] = halflife[order, feature]
            drops[number, feature] = whole - auroc(label, score(mixed))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drops, [tail, 1 - tail], axis=0)
    return Importance(drops.mean(axis=0), low, high)
