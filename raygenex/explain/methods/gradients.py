"""Gradients of the logit by the bases of a gene, and the two attributions that are read off them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.needs import require_gradient
from raygenex.sequence import UNKNOWN


def gradient(function: LogitFunction, codes: NDArray[np.uint8], halflife: NDArray[Any]) -> NDArray[np.float32]:
    """Return the gradients of the logit by the one-hot bases, less their mean over the four bases.

    A gene moves on the simplex of its four bases; the part of a gradient that leads off it says how the network
    happens to go on there, and is removed (Majdandzic et al., Genome Biology 24:109, 2023).

    Parameters
    ----------
    function
        What is differentiated.
    codes
        Base indices, uint8 ``(N, L)``.
    halflife
        Features in their own units, shape ``(N, 8)``.

    Returns
    -------
    Shape ``(N, L, 4)``; each position sums to 0.

    Raises
    ------
    ConfigError
        If the model is not a differentiable function of its bases.
    """
    require_gradient(function.predictor.info, "a gradient")
    gradients = np.empty((*codes.shape, 4), dtype=np.float32)
    for start in range(0, len(codes), function.batch_size):
        batch = slice(start, start + function.batch_size)
        _, slopes = function.gradient(function.one_hot(codes[batch]), halflife[batch])
        gradients[batch] = (slopes - slopes.mean(dim=-1, keepdim=True)).cpu().numpy()
    return gradients


def saliency(gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over the four bases of the absolute gradient, shape ``(N, L)``, of `gradient`'s result."""
    return np.abs(gradient).mean(axis=-1)


def input_x_gradient(gradient: NDArray[np.float32], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the gradient at the gene's own base, 0 where it is unknown.

    Parameters
    ----------
    gradient
        The result of `gradient`, or hypothetical contributions of another method, shape ``(N, L, 4)``.
    codes
        Base indices, uint8 ``(N, L)``.

    Returns
    -------
    Shape ``(N, L)``.
    """
    known = codes < UNKNOWN
    own = np.take_along_axis(gradient, np.where(known, codes, 0)[..., None].astype(np.intp), axis=-1)[..., 0]
    return np.where(known, own, np.float32(0))
