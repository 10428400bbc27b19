"""Exact Shapley values of the features beside the DNA for the logit of a gene."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.methods.logit import LogitFunction

Floats = NDArray[np.float64]


def shapley_values(values: Floats) -> Floats:
    """Share out what a coalition is worth among its members (Shapley 1953).

    Parameters
    ----------
    values
        Worth of every coalition, shape ``(..., 2**n)``: member i takes part where bit i of the last index is set.

    Returns
    -------
    Shape ``(..., n)``; its sum is the worth of all members less that of none.
    """
    count = values.shape[-1]
    members = count.bit_length() - 1
    assert count == 1 << members, count
    coalitions = np.arange(count)
    sizes = np.bitwise_count(coalitions)
    # How many orders of the members put just these before, and the others after, the one that joins.
    share = np.array([1 / (members * math.comb(members - 1, size)) for size in range(members)])
    found = np.empty((*values.shape[:-1], members))
    for member in range(members):
        without = coalitions[coalitions >> member & 1 == 0]
        found[..., member] = (values[..., without | 1 << member] - values[..., without]) @ share[sizes[without]]
    return found


def halflife_shapley(
    function: LogitFunction, codes: NDArray[np.uint8], halflife: NDArray[Any], reference: NDArray[Any]
) -> tuple[NDArray[np.float32], Floats]:
    """Share out the change of the logit from a reference's features to the gene's among them.

    All ``2**F`` mixtures of the two are scored, so that nothing is estimated. The gene's DNA stays what it is, and is
    worked through once.

    Parameters
    ----------
    function
        Any model, also one that has no gradients.
    codes
        Base indices, uint8 ``(N, L)``; passed over by a model that reads no DNA.
    halflife
        Features in their own units, shape ``(N, F)``; NaN where a gene has no value.
    reference
        Features of the reference, such as the median of the genes, shape ``(F,)``.

    Returns
    -------
    Attribution, shape ``(N, F)``, and the logit at the reference's features, ``(N,)``; both sum to the gene's logit.
    """
    count = halflife.shape[1]
    mixtures = (np.arange(1 << count)[:, None] >> np.arange(count) & 1).astype(bool)
    values = function.logits_of_halflives(codes, np.where(mixtures, halflife[:, None], reference))
    return shapley_values(values).astype(np.float32), values[:, 0]
