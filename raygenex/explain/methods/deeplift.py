"""DeepLIFT, by tangermeme, for convolutional networks that read bases."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.needs import require_deeplift
from raygenex.extras import require


class DeepLift(NamedTuple):
    """The DeepLIFT attributions of N genes.

    ``attribution`` (N, L) and ``hypothetical`` (N, L, 4) are float32; the latter, what each of the four bases would
    contribute, is the former at the gene's own base. ``difference`` (N,) is the change of the logit, and ``delta`` (N,)
    how far the sum of the attributions is above it.
    """

    attribution: NDArray[np.float32]
    hypothetical: NDArray[np.float32]
    difference: NDArray[np.float64]
    delta: NDArray[np.float64]


class _OnBases(nn.Module):
    """A logit as tangermeme calls it: bases as channels ``(N, 4, L)``, and one column of logits ``(N, 1)``."""

    def __init__(self, function: LogitFunction) -> None:
        super().__init__()
        self.model = function.model
        self.one_number = function.one_number

    def forward(self, one_hot: Tensor, halflife: Tensor) -> Tensor:
        return self.one_number(self.model(one_hot.transpose(1, 2), halflife))[:, None]


def deeplift(
    function: LogitFunction, codes: NDArray[np.uint8], halflife: NDArray[Any], references: NDArray[np.uint8]
) -> DeepLift:
    """Attribute the change of the logit from references to genes by DeepLIFT's rescale rule.

    After Shrikumar, Greenside & Kundaje, "Learning important features through propagating activation differences"
    (2017).

    Parameters
    ----------
    function
        A convolutional network that reads bases.
    codes
        Base indices, uint8 ``(N, L)``.
    halflife
        Features in their own units, shape ``(N, 8)``; they stay the gene's own.
    references
        From `raygenex.explain.methods.references`, uint8 ``(N, R, L)``; results are means over the R references of a
        gene.

    Raises
    ------
    ConfigError
        If the model is not such a network, or tangermeme is not installed.
    """
    require_deeplift(function.predictor.info)
    tangermeme = require("tangermeme.deep_lift_shap", "tangermeme", "explain", "method deeplift")

    n, _, length = references.shape
    result = DeepLift(np.empty((n, length), np.float32), np.empty((n, length, 4), np.float32), np.empty(n), np.empty(n))
    # It puts a model back into the mode that it came in.
    model = _OnBases(function).eval()
    with torch.inference_mode(False), torch.enable_grad(), function.frozen(), warnings.catch_warnings():
        # It warns of unknown bases, which are welcome here, and of sums that are off, which `delta` says.
        warnings.filterwarnings("ignore", module="tangermeme")
        for gene in range(n):
            own, others = function.one_hot(codes[gene : gene + 1]), function.one_hot(references[gene])
            features = function.features(halflife[gene : gene + 1])
            batches = iter(others.transpose(1, 2)[:, None].split(function.batch_size))
            multipliers = tangermeme.deep_lift_shap(
                model,
                own.transpose(1, 2),
                args=(features,),
                batch_size=function.batch_size,
                # Given as a tensor they would have to be bases, where ours may be all bases in equal parts.
                references=lambda _, n, batches=batches: next(batches),
                n_shuffles=len(others),
                raw_outputs=True,
                only_warn=True,
                device=str(function.device),
            )
            with torch.no_grad():
                top, *bottom = (
                    function.one_number(function.model(rows, features.expand(len(rows), -1)))
                    for rows in (own, *others.split(function.batch_size))
                )
            # (R, L, 4)
            scaled = multipliers[0].transpose(1, 2).double()
            attribution = (scaled * (own - others)).sum(dim=-1).mean(dim=0)
            hypothetical = (scaled - (scaled * others).sum(dim=-1, keepdim=True)).mean(dim=0)
            difference = top.double().item() - torch.cat(bottom).double().mean().item()
            result.attribution[gene], result.hypothetical[gene] = attribution.cpu(), hypothetical.cpu()
            result.difference[gene], result.delta[gene] = difference, attribution.sum().item() - difference
    return result
