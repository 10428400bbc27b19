"""What every model of expression is: its inputs, its half-life branch, and the layers that several models share."""

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from raygenex.models.halflife import FEATURES, FeatureScaler, HalflifeEncoder


@dataclass(frozen=True)
class InputShape:
    """What the DNA branch receives.

    ``kind`` is ``bases`` (uint8 base indices, shape ``(N, length)``, ``channels`` 4) or ``embedding`` (binned
    embeddings, shape ``(N, length, channels)``). Beside the DNA there are ``features`` numbers per gene; those of them
    at the places ``lacking`` may be NaN.
    """

    kind: Literal["bases", "embedding"]
    length: int
    channels: int
    features: int = FEATURES
    lacking: tuple[int, ...] = ()


class ExpressionModel(nn.Module):
    """A model that is called as ``model(sequence, halflife) -> logits``, shape ``(N,)``; ``(N, outputs)`` of several.

    ``sequence`` is base indices ``(N, length)`` or binned embeddings ``(N, length, channels)``, and ``halflife`` the
    features in their own units, ``(N, features)``; an input that the model does not use may be None. All parameters
    exist once the model is built.
    """

    scaler: FeatureScaler | None
    """Standardises the half-life features; None in a model that takes them as they are, or not at all."""
    encoder: HalflifeEncoder | None
    """The half-life encoder that is pretrained before the model; None in a model without one."""

    log_variance: nn.Parameter | None
    """What weighs several targets where that is learned, ``(targets,)``; None elsewhere. No output depends on it."""

    def __init__(self, inputs: InputShape, uses_dna: bool = True, uses_halflife: bool = True, outputs: int = 1) -> None:
        super().__init__()
        self.inputs = inputs
        self.outputs = outputs
        self.log_variance = None
        self.uses_dna = uses_dna
        self.uses_halflife = uses_halflife
        self.scaler = None
        self.encoder = None

    def learn_weights(self, targets: int) -> None:
        """Let the training weigh its targets."""
        self.log_variance = nn.Parameter(torch.zeros(targets))

    def shaped(self, outputs: Tensor) -> Tensor:
        """Return what the last layer gives, ``(N, outputs)``, as the model does."""
        return outputs.squeeze(1) if self.outputs == 1 else outputs


def channels_first(sequence: Tensor, inputs: InputShape, dtype: torch.dtype) -> Tensor:
    """Return a DNA input as convolutions take it, shape ``(N, channels, length)``; an unknown base is all zeros.

    Parameters
    ----------
    sequence
        Base indices, integer ``(N, length)``; their one-hot, floating point ``(N, length, 4)``, whose rows may hold any
        numbers, to differentiate by; or binned embeddings ``(N, length, channels)``.
    inputs
        What the model reads.
    dtype
        Number format of the result.
    """
    if inputs.kind == "bases" and not sequence.is_floating_point():
        bases = torch.arange(4, device=sequence.device, dtype=sequence.dtype)
        return (sequence[:, None, :] == bases[:, None]).to(dtype)
    return sequence.to(dtype).transpose(1, 2)


def build_stem(inputs: InputShape, width: int, kernel: int) -> nn.Module:
    """Return the layer that makes ``width`` channels of a DNA input: a convolution over bases, or one of kernel 1."""
    if inputs.kind == "bases":
        return nn.Sequential(nn.Conv1d(4, width, kernel, padding=kernel // 2), nn.ReLU())
    if inputs.channels == width:
        return nn.Identity()
    return nn.Conv1d(inputs.channels, width, 1)


def build_dense(features: int, sizes: tuple[int, ...], dropout: float, outputs: int = 1) -> nn.Sequential:
    """Return dense layers with ReLU and dropout, and the last one to logits, shape ``(N, outputs)``."""
    layers: list[nn.Module] = []
    widths = (features, *sizes)
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
