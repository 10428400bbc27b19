"""DeepLIFT, by captum, for convolutional networks that read bases."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.needs import require_deeplift


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
    """A logit as captum calls it: one tensor that is explained, one that is passed along."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, one_hot: Tensor, halflife: Tensor) -> Tensor:
        return self.model(one_hot, halflife)


def deeplift(
    function: LogitFunction, codes: NDArray[np.uint8], halflife: NDArray[Any], references: NDArray[np.uint8]
) -> DeepLift:
    """Attribute the change of the logit from references to genes by DeepLIFT's rescale rule.

    After Shrikumar, Greenside & Kundaje, "Learning important features through propagating activation differences"
    (2017). Each gene meets each reference in a pass of its own: where an input of a max-pooling does not differ, captum
    takes the gradient of the first gene of the batch for all of them.

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
        If the model is not such a network, or captum is not installed.
    """
    require_deeplift(function.predictor.info)
    from captum.attr import DeepLift as Captum

    n, count, length = references.shape
    result = DeepLift(np.empty((n, length), np.float32), np.empty((n, length, 4), np.float32), np.empty(n), np.empty(n))
    with torch.inference_mode(False), torch.enable_grad(), function.frozen(), _prepared(function.model):
        method = Captum(_OnBases(function.model))
        for gene in range(n):
            own, hypothetical, difference = np.zeros(length), np.zeros((length, 4)), 0.0
            given = function.one_hot(codes[gene : gene + 1]).requires_grad_()
            # captum hangs hooks on gradients everywhere, in the half-life branch too.
            features = function.features(halflife[gene : gene + 1]).requires_grad_()
            for row in references[gene]:
                reference = function.one_hot(row[None])
                multipliers = method.attribute(
                    given, reference, additional_forward_args=(features,), custom_attribution_func=_multipliers
                )
                with torch.no_grad():
                    ends = [function.model(one_hot, features).double().item() for one_hot in (given, reference)]
                difference += (ends[0] - ends[1]) / count
                scaled = multipliers.detach()[0].double()
                change = (given - reference).detach()[0]
                own += (scaled * change).sum(dim=-1).cpu().numpy() / count
                hypothetical += (scaled - (scaled * reference[0]).sum(dim=-1, keepdim=True)).cpu().numpy() / count
            result.attribution[gene], result.hypothetical[gene] = own, hypothetical
            result.difference[gene], result.delta[gene] = difference, own.sum() - difference
    return result


@contextmanager
def _prepared(model: nn.Module) -> Iterator[None]:
    """Make a network fit for captum's hooks, and clean up behind them.

    captum reads the gradient of a layer's output, and replaces that of its input, by hooks on the tensors. Where one
    layer's output is the next one's input, as between ReLU and max-pooling, the gradient would be read before it is
    replaced, and sums would be off by any amount; a copy between them puts the hooks in order.
    """
    layers = [module for module in model.modules() if isinstance(module, (nn.ReLU, nn.MaxPool1d))]
    hooks = [layer.register_forward_pre_hook(lambda _, given: (given[0].clone(),)) for layer in layers]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting forward, backward hooks and attributes")
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer in layers:
            # Left by captum on layers that no gradient came back through.
            layer.__dict__.pop("input", None)
            layer.__dict__.pop("output", None)


def _multipliers(
    multipliers: tuple[Tensor, ...], inputs: tuple[Tensor, ...], references: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    return multipliers
