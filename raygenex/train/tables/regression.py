"""Fitting regressions by L-BFGS: logistic, ridge or Poisson, by the loss of what is learned."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from raygenex.config.targets import LossName
from raygenex.models.tabular import LogisticRegression
from raygenex.stats.metrics import bce_with_logits
from raygenex.train.tables.goals import Goal, goals_of, joined
from raygenex.train.tables.table import FeatureTable
from raygenex.train.targets import LOG_COUNT, TargetInfo

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

MAX_ITERATIONS = 500
# Largest entry of the gradient of the mean loss at which the optimum is reached.
TOLERANCE = 1e-6


class _Family(NamedTuple):
    """A generalised linear model with its canonical link: its mean of outputs ``(n,)``, and its mean loss."""

    mean: Callable[[Floats], Floats]
    loss: Callable[[Floats, Floats], float]


class _Fit(NamedTuple):
    """The optimum of one goal: a weight per feature and the bias ``(features + 1,)``, and the way there."""

    weights: Floats
    history: list[dict[str, float]]


def _families() -> dict[LossName, _Family]:
    from scipy.special import expit

    def exponential(outputs: Floats) -> Floats:
        return np.exp(np.minimum(outputs, LOG_COUNT))

    return {
        "bce": _Family(expit, bce_with_logits),
        "mse": _Family(lambda outputs: outputs, lambda values, outputs: float(((outputs - values) ** 2).mean()) / 2),
        "poisson": _Family(
            exponential, lambda values, outputs: float((exponential(outputs) - values * outputs).mean())
        ),
    }


def fit_regression(
    model: LogisticRegression,
    train: FeatureTable,
    valid: FeatureTable,
    l2: float,
    targets: Sequence[TargetInfo] = (),
    show: Callable[[dict[str, float]], None] = lambda metrics: None,
) -> list[dict[str, float]]:
    """Fit a model to the optimum of its penalised loss, which does not depend on valid, target by target.

    The loss is the mean over the genes that have a value, n of them, of the cross-entropy, of half the squared error,
    or of Poisson's, plus ``l2 / (2 n)`` times the sum of the squared weights, the bias free: scikit-learn's
    ``LogisticRegression(C=1 / l2)``, ``Ridge(alpha=l2)`` and ``PoissonRegressor(alpha=l2 / n)``. Everything is computed
    in double precision. scikit-learn comes to the same optimum, within 1e-7 of a weight. It has no callback, and here
    the losses and the score of every iteration are shown and kept, as those of epochs are.

    Parameters
    ----------
    model
        Its features' mean and scale over all genes of train, weights and biases are set.
    train, valid
        Genes to fit to, and genes to measure every iteration on.
    l2
        Strength of the penalty.
    targets
        What is learned, an output each; without any, the label.
    show
        Called with the numbers of each iteration, one target's after the other's.

    Returns
    -------
    The numbers of each iteration; of targets the joined ones, in which one that has ended repeats its last.
    """
    features = train.features.astype(np.float64)
    mean = np.nanmean(features, axis=0)
    # As the model reads what is missing.
    np.copyto(features, mean, where=np.isnan(features))
    spread = features.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    features = (features - mean) / scale
    other = (valid.features - mean) / scale
    np.copyto(other, 0.0, where=np.isnan(other))
    goals = goals_of(targets)
    fits = [
        _fit_goal(goal, _genes_of(goal, place, features, train), _genes_of(goal, place, other, valid), l2, show)
        for place, goal in enumerate(goals)
    ]
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(mean))
        model.scale.copy_(torch.from_numpy(scale))
        model.linear.weight.copy_(torch.from_numpy(np.stack([fit.weights[:-1] for fit in fits])))
        model.linear.bias.copy_(torch.from_numpy(np.stack([fit.weights[-1] for fit in fits])))
    if not targets:
        return fits[0].history
    return [
        joined(goals, [fit.history[min(number, len(fit.history) - 1)] for fit in fits], number)
        for number in range(max(len(fit.history) for fit in fits))
    ]


def _genes_of(goal: Goal, place: int, features: Floats, table: FeatureTable) -> tuple[Floats, Floats]:
    """Return the features ``(n, width)`` and the values ``(n,)`` of the genes that have one."""
    if goal.target is None:
        return features, table.label.astype(np.float64)
    values = table.label[:, place]
    known = ~np.isnan(values)
    return features[known], values[known].astype(np.float64)


def _fit_goal(
    goal: Goal,
    train: tuple[Floats, Floats],
    valid: tuple[Floats, Floats],
    l2: float,
    show: Callable[[dict[str, float]], None],
) -> _Fit:
    """Fit one goal to standardised features and values, as `fit_regression` says."""
    from scipy.optimize import minimize

    features, values = train
    other, others = valid
    family, genes = _families()[goal.loss], len(values)

    def objective(weights: Floats) -> tuple[float, Floats]:
        outputs = _outputs(features, weights)
        error = (family.mean(outputs) - values) / genes
        slope = np.append(features.T @ error + l2 / genes * weights[:-1], error.sum())
        return family.loss(values, outputs) + l2 / (2 * genes) * float(weights[:-1] @ weights[:-1]), slope

    history: list[dict[str, float]] = []

    def after(intermediate_result: Any) -> None:
        weights = intermediate_result.x
        here = _outputs(other, weights)
        metrics = {
            "epoch": len(history),
            "train_loss": goal.mean_loss(values, _outputs(features, weights)),
            "valid_loss": goal.mean_loss(others, here),
            goal.score: goal.measure(others, here),
        }
        history.append(metrics)
        show(metrics)

    start = np.zeros(features.shape[1] + 1)
    if goal.loss == "poisson":
        # From 0, a first step towards large counts overshoots the exponential.
        start[-1] = np.log(values.mean())
    optimum = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=after,
        options={"maxiter": MAX_ITERATIONS, "gtol": TOLERANCE, "ftol": 0.0},
    )
    if not history:
        # The start is the optimum already, as when every feature is constant.
        after(optimum)
    if optimum.nit >= MAX_ITERATIONS:
        what = "the regression" if goal.target is None else f"the regression of {goal.target.name}"
        logger.warning("%s has not converged after %d iterations: raise model.l2", what, MAX_ITERATIONS)
    return _Fit(optimum.x, history)


def _outputs(features: Floats, weights: Floats) -> Floats:
    return features @ weights[:-1] + weights[-1]
