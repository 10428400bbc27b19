"""Fitting a logistic regression by L-BFGS."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raygenex.models.tabular import LogisticRegression
from raygenex.stats.metrics import auroc, bce_with_logits
from raygenex.train.tables.table import FeatureTable

logger = logging.getLogger(__name__)

MAX_ITERATIONS = 500
# Largest entry of the gradient of the mean loss at which the optimum is reached.
TOLERANCE = 1e-6


def fit_logistic(
    model: LogisticRegression,
    train: FeatureTable,
    valid: FeatureTable,
    l2: float,
    show: Callable[[dict[str, float]], None] = lambda metrics: None,
) -> list[dict[str, float]]:
    """Fit a model to the optimum of its penalised loss, which does not depend on valid.

    The loss is the mean cross-entropy plus ``l2 / (2 n)`` times the sum of the squared weights, the bias free, as
    in scikit-learn's ``LogisticRegression(C=1 / l2)``. Everything is computed in double precision.
    scikit-learn comes to the same optimum, within 1e-7 of a weight. It has no callback, and here the losses and the
    AUROC of every iteration are shown and kept, as those of epochs are.

    Parameters
    ----------
    model
        Its features' mean and scale, weights and bias are set.
    train, valid
        Genes to fit to, and genes to measure every iteration on.
    l2
        Strength of the penalty.
    show
        Called with the numbers of each iteration.

    Returns
    -------
    The numbers of each iteration.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    features = train.features.astype(np.float64)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    features = (features - mean) / scale
    other = (valid.features - mean) / scale
    label = train.label.astype(np.float64)
    genes = len(label)

    def objective(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = _logits(features, weights)
        error = (expit(logits) - label) / genes
        slope = np.append(features.T @ error + l2 / genes * weights[:-1], error.sum())
        return bce_with_logits(label, logits) + l2 / (2 * genes) * float(weights[:-1] @ weights[:-1]), slope

    history: list[dict[str, float]] = []

    def after(intermediate_result: Any) -> None:
        weights = intermediate_result.x
        here = _logits(other, weights)
        metrics = {
            "epoch": len(history),
            "train_loss": bce_with_logits(label, _logits(features, weights)),
            "valid_loss": bce_with_logits(valid.label, here),
            "valid_auroc": auroc(valid.label, here),
        }
        history.append(metrics)
        show(metrics)

    optimum = minimize(
        objective,
        np.zeros(features.shape[1] + 1),
        jac=True,
        method="L-BFGS-B",
        callback=after,
        options={"maxiter": MAX_ITERATIONS, "gtol": TOLERANCE, "ftol": 0.0},
    )
    if not history:
        # The start is the optimum already, as when every feature is constant.
        after(optimum)
    if optimum.nit >= MAX_ITERATIONS:
        logger.warning("the regression has not converged after %d iterations: raise model.l2", MAX_ITERATIONS)
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(mean))
        model.scale.copy_(torch.from_numpy(scale))
        model.linear.weight.copy_(torch.from_numpy(optimum.x[None, :-1]))
        model.linear.bias.copy_(torch.from_numpy(optimum.x[-1:]))
    return history


def _logits(features: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return features @ weights[:-1] + weights[-1]
