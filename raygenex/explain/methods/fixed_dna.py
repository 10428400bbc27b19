"""The logit as a function of the half-life features alone: what the DNA gives is computed once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from raygenex.models.base import ExpressionModel, channels_first
from raygenex.models.cnn import Cnn
from raygenex.models.lstm import Lstm


def fix_dna(model: ExpressionModel, sequence: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the logits of one gene's DNA with any half-life features.

    Parameters
    ----------
    model
        In evaluation mode.
    sequence
        What the model reads of one gene, base indices ``(1, L)`` or embeddings ``(1, bins, channels)``.

    Returns
    -------
    Takes features in their own units, ``(K, features)``, and returns logits, ``(K,)``, or ``(K, outputs)`` of several.
    """
    if isinstance(model, Lstm):
        state = model.state(sequence)
        return lambda halflife: model.join(state.expand(len(halflife), -1), halflife)
    if isinstance(model, Cnn) and model.uses_dna and model.uses_halflife:
        stem = model.stem(channels_first(sequence, model.inputs, next(model.parameters()).dtype))
        return _joined_late(model, stem) if model.join == "dense" else _joined_by_positions(model, stem)
    return lambda halflife: model(sequence.expand(len(halflife), *sequence.shape[1:]), halflife)


def _joined_late(model: Cnn, stem: Tensor) -> Callable[[Tensor], Tensor]:
    features = model.trunk(stem).flatten(1)

    def logits(halflife: Tensor) -> Tensor:
        code = model.halflife_code(halflife).flatten(1)
        return model.shaped(model.dense(torch.cat([features.expand(len(code), -1), code], dim=1)))

    return logits


def _joined_by_positions(model: Cnn, stem: Tensor) -> Callable[[Tensor], Tensor]:
    """Redo the convolutions only as far as they mix the half-life positions, the first ones, with those of the DNA."""
    sides: list[Any] = [layer.padding[0] for layer in model.trunk if isinstance(layer, nn.Conv1d)]
    pools: list[Any] = [layer.kernel_size for layer in model.trunk if isinstance(layer, nn.MaxPool1d)]
    assert model.scaler is not None, "features join the DNA"
    first = reached = model.scaler.positions
    for side, pool in zip(sides, pools, strict=True):
        reached = -(-(reached + side) // pool)
    needed = reached
    for side, pool in zip(reversed(sides), reversed(pools), strict=True):
        needed = needed * pool + side
    far = model.trunk(torch.cat([stem.new_zeros(1, stem.shape[1], first), stem], dim=2))[:, :, reached:]
    near = stem[:, :, : needed - first]

    def logits(halflife: Tensor) -> Tensor:
        code = model.lift(model.halflife_code(halflife))
        beside = near.expand(len(code), -1, -1)
        mixed = model.trunk(torch.cat([code, beside], dim=2))[:, :, :reached]
        features = torch.cat([mixed, far.expand(len(code), -1, -1)], dim=2).flatten(1)
        return model.shaped(model.dense(features))

    return logits
