"""Logits of single substitutions in a CNN on bases, computed only where a substitution is seen."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raygenex.explain.methods.logit import LogitFunction
from raygenex.models.cnn import Cnn
from raygenex.models.receptive_field import edited_logits, reads_bases, seen_width, trunk_width, whole_pass

# Numbers of the largest array of one pass, 16 MB in float32: the windows that enter the first convolution of the trunk.
_NUMBERS = 2**22
# A network whose first convolution sees more than this share of its positions gains little.
_LARGEST_SHARE = 0.25


def sees_little(function: LogitFunction) -> bool:
    """Whether `substitution_logits` can score a model: a CNN on bases that is long beside its receptive field."""
    model = function.model
    if not reads_bases(model):
        return False
    assert isinstance(model, Cnn)
    return seen_width(model, 1) <= _LARGEST_SHARE * model.inputs.length


def substitution_logits(
    function: LogitFunction,
    codes: NDArray[np.uint8],
    halflife: NDArray[Any],
    places: NDArray[np.intp],
    bases: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the logits of one gene with each of several substitutions.

    They are those of `LogitFunction.logits_of_codes`, but for the order in which float32 is summed.

    Parameters
    ----------
    function
        A model that `sees_little`.
    codes
        The gene's base indices, uint8 ``(L,)``.
    halflife
        Its features in their own units, shape ``(8,)``.
    places, bases
        Positions of the window, 0 to L - 1, and the base index, 0 to 3, that each gets; ``(S,)``.

    Returns
    -------
    Shape ``(S,)``.
    """
    model = function.model
    assert isinstance(model, Cnn), "checked by `sees_little`"
    step = max(1, _NUMBERS // (seen_width(model, 1) * trunk_width(model)))
    found = np.empty(len(places))
    with torch.inference_mode(), function.frozen():
        sequence = torch.from_numpy(np.array(codes[None])).to(function.device)
        gene = whole_pass(model, sequence, function.features(halflife[None]))
        for start in range(0, len(places), step):
            some = slice(start, start + step)
            first = torch.from_numpy(places[some].astype(np.int64)).to(function.device)
            new = torch.from_numpy(bases[some, None].astype(np.uint8)).to(function.device)
            logits = edited_logits(model, gene, torch.zeros_like(first), first, new)
            found[some] = function.one_number(logits).double().cpu().numpy()
    return found
