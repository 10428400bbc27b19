"""How much worse genes are told apart once a half-life feature is exchanged between them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.metrics import auroc
from raygenex.models.halflife import FEATURES

Floats = NDArray[np.float64]


class Importance(NamedTuple):
    """Mean loss of AUROC of each feature, and the percentile interval over the permutations, shape ``(8,)`` each."""

    drop: Floats
    low: Floats
    high: Floats


def permuted_features(halflife: NDArray[Any], repeats: int, seed: int) -> NDArray[Any]:
    """Return the features that have to be scored: as they are, then with each feature permuted over the genes.

    Parameters
    ----------
    halflife
        The genes' own features, shape ``(N, 8)``.
    repeats
        Permutations of each feature; every feature gets the same ones.
    seed
        Of the permutations.

    Returns
    -------
    Shape ``(N, 1 + 8 * repeats, 8)``, permutation by permutation, in each of them feature by feature.
    """
    rng = np.random.default_rng(seed)
    versions = [halflife]
    for _ in range(repeats):
        order = rng.permutation(len(halflife))
        for feature in range(halflife.shape[1]):
            mixed = halflife.copy()
            mixed[:, feature] = halflife[order, feature]
            versions.append(mixed)
    return np.stack(versions, axis=1)


def importance(label: NDArray[Any], scores: Floats, confidence: float = 0.95) -> Importance:
    """Measure the loss of AUROC of each feature (Breiman 2001).

    Parameters
    ----------
    label
        0 low or 1 high, shape ``(N,)``.
    scores
        Of `permuted_features`, shape ``(N, 1 + 8 * repeats)``; logits or probabilities.
    confidence
        Share of the permutations between ``low`` and ``high``, in (0, 1).
    """
    areas = np.array([auroc(label, version) for version in scores.T])
    drops = areas[0] - areas[1:].reshape(-1, FEATURES)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drops, [tail, 1 - tail], axis=0)
    return Importance(drops.mean(axis=0), low, high)


def permutation_importance(
    score: Callable[[NDArray[Any]], Floats],
    halflife: NDArray[Any],
    label: NDArray[Any],
    repeats: int = 10,
    seed: int = 0,
    confidence: float = 0.95,
) -> Importance:
    """Permute each half-life feature over the genes and measure the loss of AUROC.

    Parameters
    ----------
    score
        Takes features in their own units, shape ``(N, 8)``, of the same genes in the same order, and returns a score of
        each, shape ``(N,)``.
    halflife, repeats, seed
        As in `permuted_features`.
    label, confidence
        As in `importance`.
    """
    versions = permuted_features(halflife, repeats, seed)
    scores = np.stack([score(versions[:, number]) for number in range(versions.shape[1])], axis=1)
    return importance(label, scores, confidence)
