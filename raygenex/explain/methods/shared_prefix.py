"""Logits of single substitutions behind a HyenaDNA, in which nothing before a substitution changes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raygenex.embed.hyenadna.prefix import Encoded
from raygenex.embed.inference import lowered
from raygenex.explain.methods.logit import LogitFunction


def prefix_logits(
    function: LogitFunction,
    codes: NDArray[np.uint8],
    halflife: NDArray[Any],
    places: NDArray[np.intp],
    bases: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the logits of one gene with each of several substitutions.

    They are those of `LogitFunction.logits_of_codes`, but for the order in which float32 is summed before embeddings
    are rounded to the number format of the store.

    Parameters
    ----------
    function
        A model that embeds.
    codes, halflife, places, bases
        As of `raygenex.explain.methods.receptive_field.substitution_logits`.

    Returns
    -------
    Shape ``(S,)``.
    """
    backbone, settings = function.predictor.backbone, function.predictor.settings
    stored = getattr(torch, settings["dtype"])
    found = np.empty(len(places))
    with torch.inference_mode(), function.frozen():
        with lowered(settings, function.predictor.device):
            own = Encoded(backbone, _moved(function, codes), settings["bin_size"], settings["pooling"])
        # Neighbours share a beginning. From the last to the first the rest of the sequence grows.
        for last in range(len(places), 0, -function.batch_size):
            some = slice(max(0, last - function.batch_size), last)
            start = int(places[some.start])
            first = start - start % settings["bin_size"]
            changed = np.tile(codes[first:], (last - some.start, 1))
            changed[np.arange(len(changed)), places[some] - first] = bases[some]
            with lowered(settings, function.predictor.device):
                embedded = own.likes(_moved(function, changed), start).to(stored).cpu().numpy()
            found[some] = function.logits_of_inputs(embedded, np.tile(halflife, (len(changed), 1)))
    return found


def _moved(function: LogitFunction, codes: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.array(codes)).to(function.device)
