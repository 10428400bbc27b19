"""Integrated gradients: attributions that sum to the change of the logit from a reference to the gene."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.methods.logit import LogitFunction, soft_one_hot
from raygenex.explain.methods.needs import require_gradient

Floats = NDArray[np.float64]

FLOOR = 1e-5
"""Gap between sum and change that always counts as closed, in logits or in standard deviations of a target: what
float32 loses along the way."""


class Integrated(NamedTuple):
    """The integrated gradients of N genes.

    ``attribution`` (N, L) and ``hypothetical`` (N, L, 4) are float32; the latter, what each of the four bases would
    contribute, is the former at the gene's own base. ``difference`` (N,) is the change of the logit, ``delta`` (N,) how
    far the sum of the attributions is above it, ``steps`` (N,) the points of the gene's longest path, and ``converged``
    (N,) whether delta is within the tolerance.
    """

    attribution: NDArray[np.float32]
    hypothetical: NDArray[np.float32]
    difference: Floats
    delta: Floats
    steps: NDArray[np.int64]
    converged: NDArray[np.bool_]


def integrated_gradients(
    function: LogitFunction,
    codes: NDArray[np.uint8],
    halflife: NDArray[Any],
    references: NDArray[np.uint8],
    steps: int = 64,
    max_steps: int = 1024,
    tolerance: float = 0.01,
) -> Integrated:
    """Integrate the gradient of the logit along the straight path from every reference to the gene.

    After Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks" (2017). ReLU and max-pooling make the
    gradient jump along the path, where no rule of fixed points converges faster than one over their number. The
    trapezoids are therefore halved where they miss the change of the logit between their own ends, which is known,
    until the sum over the path is within ``tolerance`` times the change of the gene's logit, or within `FLOOR`.

    Parameters
    ----------
    function, codes, halflife
        As of `raygenex.explain.methods.gradients.gradient`; half-life features stay the gene's own along the path.
    references
        From `raygenex.explain.methods.references`, uint8 ``(N, R, L)``; results are means over the R references of a
        gene.
    steps
        Points on a path that are tried first, evenly spread, at least 2.
    max_steps
        No path gets more than so many; their gradients are kept in memory, 16 bytes per base and point.
    tolerance
        Relative, above 0.

    Raises
    ------
    ConfigError
        If the model is not a differentiable function of its bases.
    """
    require_gradient(function.predictor.info, "integrated_gradients")
    n, count, length = references.shape
    result = Integrated(
        np.empty((n, length), dtype=np.float32),
        np.empty((n, length, 4), dtype=np.float32),
        np.empty(n),
        np.empty(n),
        np.zeros(n, dtype=np.int64),
        np.empty(n, dtype=bool),
    )
    for gene in range(n):
        paths = [_Path(function, codes[gene], reference, halflife[gene]) for reference in references[gene]]
        for path in paths:
            path.add(np.array([0.0, 1.0]))
        difference = float(np.mean([path.logits[-1] - path.logits[0] for path in paths]))
        target = max(tolerance * abs(difference), FLOOR * function.spread)
        hypothetical = np.zeros((length, 4))
        attribution = np.zeros(length)
        for path in paths:
            path.refine(steps, max_steps, target)
            own, other = path.contributions()
            attribution += own / count
            hypothetical += other / count
            result.steps[gene] = max(result.steps[gene], len(path.points))
            path.forget()
        result.attribution[gene] = attribution
        result.hypothetical[gene] = hypothetical
        result.difference[gene] = difference
        result.delta[gene] = attribution.sum() - difference
        result.converged[gene] = abs(result.delta[gene]) <= target
    return result


class _Path:
    """The points between a reference (0) and a gene (1) where the logit and its gradient are known, in order."""

    def __init__(
        self,
        function: LogitFunction,
        codes: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        halflife: NDArray[Any],
    ) -> None:
        self.function = function
        self.halflife = halflife
        self.reference = soft_one_hot(reference)
        self.change = soft_one_hot(codes) - self.reference
        self.points = np.empty(0)
        self.logits = np.empty(0)
        self.slopes = np.empty(0)
        self.gradients: list[NDArray[np.float32]] = []

    def add(self, points: Floats) -> None:
        """Evaluate more points, none of which is known."""
        reference, change = (part.to(self.function.device) for part in (self.reference, self.change))
        logits, slopes, gradients = [self.logits], [self.slopes], list(self.gradients)
        for start in range(0, len(points), self.function.batch_size):
            some = points[start : start + self.function.batch_size]
            soft = reference + reference.new_tensor(some)[:, None, None] * change
            found, gradient = self.function.gradient(soft, np.repeat(self.halflife[None], len(some), axis=0))
            logits.append(found.double().cpu().numpy())
            slopes.append((gradient * change).double().sum(dim=(1, 2)).cpu().numpy())
            gradients += list(gradient.cpu().numpy())
        points = np.concatenate([self.points, points])
        order = np.argsort(points)
        self.points = points[order]
        self.logits = np.concatenate(logits)[order]
        self.slopes = np.concatenate(slopes)[order]
        self.gradients = [gradients[at] for at in order]

    def refine(self, steps: int, max_steps: int, target: float) -> None:
        """Add ``steps`` even points, then more where the gap is, until its sum is at most ``target``."""
        self.add(np.linspace(0, 1, steps)[1:-1])
        while len(self.points) < max_steps:
            widths = np.diff(self.points)
            gaps = widths * (self.slopes[1:] + self.slopes[:-1]) / 2 - np.diff(self.logits)
            if abs(gaps.sum()) <= target:
                return
            # The fewest trapezoids without which the others, were their gaps all of one sign, would be near the target.
            order = np.argsort(-np.abs(gaps), kind="stable")
            left = np.abs(gaps).sum() - np.cumsum(np.abs(gaps)[order])
            worst = order[: min(1 + int((left > target / 2).sum()), max_steps - len(self.points))]
            self.add(self.points[worst] + widths[worst] / 2)

    def contributions(self) -> tuple[Floats, Floats]:
        """Return the attribution of each position, ``(L,)``, and what each base would get, ``(L, 4)``."""
        widths = np.diff(self.points)
        weights = (np.append(widths, 0) + np.append(0, widths)) / 2
        multipliers = np.zeros(self.change.shape)
        for weight, gradient in zip(weights, self.gradients, strict=True):
            multipliers += weight * gradient
        own = (multipliers * self.change.numpy()).sum(axis=1)
        return own, multipliers - (multipliers * self.reference.numpy()).sum(axis=1, keepdims=True)

    def forget(self) -> None:
        """Drop the gradients, which are large."""
        self.gradients = []
