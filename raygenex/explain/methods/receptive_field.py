"""Logits of single substitutions in a CNN on bases, computed only where a substitution is seen.

A substitution changes what convolutions and poolings give within its receptive field, and nothing else. So a gene
passes through the network once. Of a substitution each layer is computed at the few positions that may change, from
what the layer before gives there and the gene's own values around them. The first dense layer adds the few columns of
its weights whose features changed. The small layers behind it are computed whole.

Shapes in comments: S substitutions, C channels of a layer, w positions of it that may change, P positions in all.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from raygenex.explain.methods.logit import LogitFunction
from raygenex.models.base import channels_first
from raygenex.models.cnn import Cnn
from raygenex.models.halflife import FEATURES

# Numbers of the largest array of one pass, 16 MB in float32: the windows that enter the first convolution of the trunk.
_NUMBERS = 2**22
# A network whose first convolution sees more than this share of its positions gains little.
_LARGEST_SHARE = 0.25


class _Changed(NamedTuple):
    """What a layer gives at the positions that may change: each substitution's begin at another one."""

    start: Tensor
    """Shape ``(S,)``; may be below 0."""
    values: Tensor
    """Shape ``(S, C, w)``; zeros outside the layer, as convolutions take it."""


class _Gene(NamedTuple):
    """What the network makes of the gene itself."""

    one_hot: Tensor
    """Shape ``(4, L)``."""
    layers: list[Tensor]
    """What enters each convolution of the trunk, and what leaves the last pooling, each ``(C, P)``."""
    dense: Tensor
    """What the first dense layer gives, ``(H,)``."""


def sees_little(function: LogitFunction) -> bool:
    """Whether `substitution_logits` can score a model: a CNN on bases that is long beside its receptive field."""
    model = function.model
    if not (type(model) is Cnn and model.uses_dna and model.inputs.kind == "bases"):
        return False
    return _first_width(model) <= _LARGEST_SHARE * model.inputs.length


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
        Positions of the window, 0 to L - 1, in ascending order, and the base index, 0 to 3, that each gets; ``(S,)``.

    Returns
    -------
    Shape ``(S,)``.
    """
    model = function.model
    assert isinstance(model, Cnn), "checked by `sees_little`"
    stem, blocks = _layers(model)
    step = max(1, _NUMBERS // (_first_width(model) * stem.out_channels))
    found = np.empty(len(places))
    with torch.inference_mode(), function.frozen():
        gene = _own(function, codes, halflife)
        for first in range(0, len(places), step):
            some = slice(first, first + step)
            at, new = (torch.from_numpy(array[some].astype(np.int64)).to(function.device) for array in (places, bases))
            changed = _after_stem(stem, gene, at, new)
            for number, (conv, pool) in enumerate(blocks):
                changed = _after_block(conv, pool, gene.layers[number], changed)
            found[some] = _logits(model, gene, changed).double().cpu().numpy()
    return found


def _layers(model: Cnn) -> tuple[nn.Conv1d, list[tuple[nn.Conv1d, Any]]]:
    """Return the first convolution, and the others with the number of positions that are pooled after each."""
    assert isinstance(model.stem, nn.Sequential), "a model of bases"
    stem = model.stem[0]
    assert isinstance(stem, nn.Conv1d)
    convolutions = [layer for layer in model.trunk if isinstance(layer, nn.Conv1d)]
    pools = [layer.kernel_size for layer in model.trunk if isinstance(layer, nn.MaxPool1d)]
    assert all(isinstance(pool, int) for pool in pools)
    return stem, list(zip(convolutions, pools, strict=True))


def _first_width(model: Cnn) -> int:
    """Return how many positions enter the first convolution of the trunk for a substitution, at most."""
    stem, blocks = _layers(model)
    conv, pool = blocks[0]
    return int(stem.kernel_size[0] + 2 * conv.kernel_size[0] + 2 * pool)


def _own(function: LogitFunction, codes: NDArray[np.uint8], halflife: NDArray[Any]) -> _Gene:
    model = function.model
    assert isinstance(model, Cnn)
    dtype = next(model.parameters()).dtype
    sequence = torch.from_numpy(np.array(codes[None])).to(function.device)
    one_hot = channels_first(sequence, model.inputs, dtype)
    parts, late = [model.stem(one_hot)], []
    if model.uses_halflife:
        code = model.halflife_code(function.features(halflife[None]))
        if model.join == "dense":
            late.append(code.flatten(1))
        else:
            parts.insert(0, model.lift(code))
    layers = [torch.cat(parts, dim=2)]
    given = layers[0]
    for layer in model.trunk:
        given = layer(given)
        if isinstance(layer, nn.MaxPool1d):
            layers.append(given)
    dense = model.dense[0](torch.cat([layers[-1].flatten(1), *late], dim=1))
    return _Gene(one_hot[0], [layer[0] for layer in layers], dense[0])


def _around(own: Tensor, start: Tensor, width: int) -> Tensor:
    """Return a layer ``(C, P)`` at ``width`` positions from each start, ``(S, C, width)``; zeros outside of it."""
    at = start[:, None] + torch.arange(width, device=own.device)
    inside = (at >= 0) & (at < own.shape[1])
    found = own[:, at.clamp(0, own.shape[1] - 1)].transpose(0, 1)
    return torch.where(inside[:, None], found, 0)


def _after_stem(stem: nn.Conv1d, gene: _Gene, at: Tensor, new: Tensor) -> _Changed:
    reach = stem.kernel_size[0] // 2
    # (S, 4, 4 reach + 1): all bases that the positions which see the substitution see.
    seen = _around(gene.one_hot, at - 2 * reach, 4 * reach + 1)
    seen[:, :, 2 * reach] = functional.one_hot(new, 4).to(seen.dtype)
    values = functional.relu(functional.conv1d(seen, stem.weight, stem.bias))
    # Positions of half-life features come before those of bases.
    trunk = gene.layers[0]
    offset = trunk.shape[1] - gene.one_hot.shape[1]
    assert offset in (0, FEATURES), offset
    start = at - reach + offset
    position = start[:, None] + torch.arange(2 * reach + 1, device=at.device)
    of_bases = (position >= offset) & (position < trunk.shape[1])
    return _Changed(start, torch.where(of_bases[:, None], values, _around(trunk, start, 2 * reach + 1)))


def _after_block(conv: nn.Conv1d, pool: int, own: Tensor, changed: _Changed) -> _Changed:
    """Return what a convolution, its ReLU and its pooling give; ``own`` (C, P) enters it where nothing changes."""
    reach = conv.kernel_size[0] // 2
    width = changed.values.shape[2]
    # Pooled positions that may change: as many as there are if the first begins with a pooling's last position.
    start = torch.div(changed.start - reach, pool, rounding_mode="floor")
    pooled = (width + 2 * reach + pool - 2) // pool + 1
    first = start * pool - reach
    seen = _around(own, first, pooled * pool + 2 * reach)
    place = (changed.start - first)[:, None] + torch.arange(width, device=own.device)
    seen.scatter_(2, place[:, None].expand(-1, own.shape[0], -1), changed.values)
    values = functional.relu(functional.conv1d(seen, conv.weight, conv.bias))
    position = start[:, None] * pool + torch.arange(pooled * pool, device=own.device)
    inside = (position >= 0) & (position < own.shape[1])
    values = functional.max_pool1d(torch.where(inside[:, None], values, -torch.inf), pool)
    # Poolings that lie outside have seen nothing.
    return _Changed(start, values.masked_fill(values == -torch.inf, 0))


def _logits(model: Cnn, gene: _Gene, changed: _Changed) -> Tensor:
    """Return logits ``(S,)``: the first dense layer by what changed alone, the others whole."""
    own = gene.layers[-1]
    channels, positions = own.shape
    width = changed.values.shape[2]
    change = changed.values - _around(own, changed.start, width)
    first = model.dense[0]
    assert isinstance(first, nn.Linear)
    # (H, C, P), in the order in which features are flattened; half-life features may follow.
    weight = first.weight[:, : channels * positions].view(-1, channels, positions)
    dense = gene.dense.expand(len(change), -1).clone()
    # Substitutions close to one another change the same features.
    starts, counts = torch.unique_consecutive(changed.start, return_counts=True)
    row = 0
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        low, high = max(start, 0), min(start + width, positions)
        columns = weight[:, :, low:high].flatten(1)
        dense[row : row + count] += change[row : row + count, :, low - start : high - start].flatten(1) @ columns.T
        row += count
    return model.dense[1:](dense).squeeze(1)
