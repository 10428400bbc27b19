"""Logits of sequences and of edited copies of them, in a CNN on bases: an edit is computed only where it is seen.

An edit replaces a stretch of a sequence by as many bases. It changes what convolutions and poolings give within its
receptive field, and nothing else. So a sequence passes through the network once. Of an edit each layer is computed at
the few positions that may change, from what the layer before gives there and the sequence's own values around them.
The first dense layer adds the few columns of its weights whose features changed. The small layers behind it are
computed whole.

Channels are the last axis here, which convolutions on CPUs do two to three times faster. Shapes in comments: G
sequences, L bases of each, S edits, B bases that an edit replaces, C channels of a layer, P positions of it, w of them
that may change.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from raygenex.models.base import ExpressionModel
from raygenex.models.cnn import Cnn
from raygenex.sequence import UNKNOWN

_ROWS = torch.tensor([*torch.eye(4).tolist(), [0.0] * 4])


class Whole(NamedTuple):
    """What the network makes of G sequences, as far as edits of them need it."""

    codes: Tensor
    """Base indices between two unknown bases, ``(G, L + 2)``."""
    lifted: Tensor | None
    """Half-life features as they lie before the bases in the trunk, ``(G, positions, C)``; None if they join later."""
    layers: list[Tensor]
    """What leaves each pooling, between two positions of zeros, each ``(G, P + 2, C)``."""
    dense: Tensor
    """What the first dense layer gives, ``(G, H)``."""
    logits: Tensor
    """Shape ``(G,)``, or ``(G, outputs)`` of several."""


class _Changed(NamedTuple):
    """What a layer gives at the positions that may change: each edit's begin at another one."""

    start: Tensor
    """Shape ``(S,)``; may be below 0."""
    values: Tensor
    """Shape ``(S, w, C)``; zeros outside the layer, as convolutions take it."""


def reads_bases(model: ExpressionModel) -> bool:
    """Whether a model can be passed through by `whole_pass`: a CNN on bases."""
    return type(model) is Cnn and model.uses_dna and model.inputs.kind == "bases"


def seen_width(model: Cnn, bases: int) -> int:
    """Return how many positions enter the first convolution of the trunk for an edit of so many bases, at most."""
    stem, blocks = _layers(model)
    conv, pool = blocks[0]
    return int(stem.kernel_size[0] + bases - 1 + 2 * conv.kernel_size[0] + 2 * pool)


def trunk_width(model: Cnn) -> int:
    """Return the channels that enter the trunk."""
    return _layers(model)[0].out_channels


def whole_pass(model: Cnn, codes: Tensor, halflife: Tensor) -> Whole:
    """Pass sequences through a network that `reads_bases`, in evaluation mode.

    The logits are those of the model itself, but for the order in which float32 is summed.

    Parameters
    ----------
    model
        The network.
    codes
        Base indices, uint8 ``(G, L)``.
    halflife
        Features in their own units, ``(G, 8)``; not looked at by a model without them.
    """
    stem, blocks = _layers(model)
    reach = stem.kernel_size[0] // 2
    padded = functional.pad(codes, (1, 1), value=UNKNOWN)
    given = _convolved(stem, _one_hot(functional.pad(codes, (reach, reach), value=UNKNOWN), stem))
    lifted, late = None, []
    if model.uses_halflife:
        code = model.halflife_code(halflife)
        if model.join == "dense":
            late.append(code.flatten(1))
        else:
            lifted = model.lift(code).transpose(1, 2)
            given = torch.cat([lifted, given], dim=1)
    layers = []
    for conv, pool in blocks:
        given = _pooled(_convolved(conv, given, conv.kernel_size[0] // 2), pool)
        layers.append(functional.pad(given, (0, 0, 1, 1)))
    # Features lie channel by channel before the dense layers.
    dense = model.dense[0](torch.cat([given.transpose(1, 2).flatten(1), *late], dim=1))
    return Whole(padded, lifted, layers, dense, model.shaped(model.dense[1:](dense)))


def edited_logits(model: Cnn, whole: Whole, of: Tensor, first: Tensor, new: Tensor) -> Tensor:
    """Return the logits of edited copies of sequences, ``(S,)``, or ``(S, outputs)`` of several.

    They are those of `whole_pass` of the copies, but for the order in which float32 is summed.

    Parameters
    ----------
    model
        The network of ``whole``.
    whole
        What it makes of the sequences.
    of
        Which of them each edit is of, int64 ``(S,)``.
    first
        The first base that is replaced, int64 ``(S,)``, from 0 to L - B.
    new
        Base indices in place of those from there, uint8 ``(S, B)``.
    """
    stem, blocks = _layers(model)
    changed = _after_first(stem, *blocks[0], whole, of, first, new)
    for (conv, pool), layer in zip(blocks[1:], whole.layers, strict=False):
        changed = _after_block(conv, pool, layer, of, changed)
    return _logits(model, whole, of, changed)


def _layers(model: Cnn) -> tuple[nn.Conv1d, list[tuple[nn.Conv1d, int]]]:
    """Return the first convolution, and the others with the number of positions that are pooled after each."""
    assert isinstance(model.stem, nn.Sequential), "a model of bases"
    stem = model.stem[0]
    assert isinstance(stem, nn.Conv1d)
    convolutions = [layer for layer in model.trunk if isinstance(layer, nn.Conv1d)]
    pools: list[Any] = [layer.kernel_size for layer in model.trunk if isinstance(layer, nn.MaxPool1d)]
    return stem, list(zip(convolutions, pools, strict=True))


def _one_hot(codes: Tensor, stem: nn.Conv1d) -> Tensor:
    return functional.embedding(codes.int(), _ROWS.to(stem.weight))


def _convolved(conv: nn.Conv1d, values: Tensor, padding: int = 0) -> Tensor:
    """Return a convolution and its ReLU, ``(N, P, C)`` in and out."""
    # As an image of one row, of which torch knows that its channels may come last.
    weight = conv.weight[:, :, None].contiguous(memory_format=torch.channels_last)
    image = functional.conv2d(values[:, None].permute(0, 3, 1, 2), weight, conv.bias, padding=(0, padding))
    return functional.relu_(image.permute(0, 2, 3, 1)[:, 0])


def _pooled(values: Tensor, pool: int) -> Tensor:
    """Return a max-pooling that keeps the last positions, ``(N, P, C)`` in and out."""
    image = functional.max_pool2d(values[:, None].permute(0, 3, 1, 2), (1, pool), ceil_mode=True)
    return image.permute(0, 2, 3, 1)[:, 0]


def _around(padded: Tensor, of: Tensor, start: Tensor, width: int) -> Tensor:
    """Return what lies at ``width`` positions from each start, ``(S, width, ...)``; beyond the ends, the padding."""
    length = padded.shape[1]
    at = (start[:, None] + torch.arange(1, width + 1, device=start.device)).clamp_(0, length - 1)
    found = padded.flatten(0, 1).index_select(0, at.add_(of[:, None] * length).flatten())
    return found.view(len(of), width, *padded.shape[2:])


def _put(values: Tensor, place: Tensor, new: Tensor) -> None:
    """Overwrite values ``(S, w, ...)`` by ``new`` ``(S, n, ...)`` from a place of each row on."""
    number, width = values.shape[:2]
    starts = place + torch.arange(0, number * width, width, device=place.device)
    at = starts[:, None] + torch.arange(new.shape[1], device=place.device)
    values.flatten(0, 1).index_copy_(0, at.flatten(), new.flatten(0, 1))


def _reached(start: Tensor, width: int, conv: nn.Conv1d, pool: int) -> tuple[Tensor, int]:
    """Return the first of the pooled positions that ``width`` ones from each start may change, and their number.

    There are as many as if the first of them began with a pooling's last position.
    """
    reach = conv.kernel_size[0] // 2
    return torch.div(start - reach, pool, rounding_mode="floor"), (width + 2 * reach + pool - 2) // pool + 1


def _after_first(
    stem: nn.Conv1d, conv: nn.Conv1d, pool: int, whole: Whole, of: Tensor, first: Tensor, new: Tensor
) -> _Changed:
    """Return what the first pooling gives. The layer before it is computed again, which costs less than to keep it."""
    offset = whole.lifted.shape[1] if whole.lifted is not None else 0
    side, reach = stem.kernel_size[0] // 2, conv.kernel_size[0] // 2
    start, number = _reached(first - side + offset, new.shape[1] + 2 * side, conv, pool)
    # Positions of the trunk that enter its first convolution, and the bases that these see.
    low, width = start * pool - reach, number * pool + 2 * reach
    begin = low - offset - side
    codes = _around(whole.codes, of, begin, width + 2 * side)
    _put(codes, first - begin, new)
    values = _convolved(stem, _one_hot(codes, stem))
    _clear(values, low, offset, whole.codes.shape[1] - 2 + offset)
    if whole.lifted is not None:
        position = low[:, None] + torch.arange(width, device=low.device)
        row, column = torch.nonzero((position >= 0) & (position < offset), as_tuple=True)
        values[row, column] = whole.lifted[of[row], position[row, column]]
    return _after_convolution(conv, pool, start, values, whole.codes.shape[1] - 2 + offset)


def _after_block(conv: nn.Conv1d, pool: int, own: Tensor, of: Tensor, changed: _Changed) -> _Changed:
    """Return what a convolution, its ReLU and its pooling give; ``own`` (G, P + 2, C) enters where nothing changes."""
    reach = conv.kernel_size[0] // 2
    start, number = _reached(changed.start, changed.values.shape[1], conv, pool)
    low = start * pool - reach
    seen = _around(own, of, low, number * pool + 2 * reach)
    _put(seen, changed.start - low, changed.values)
    return _after_convolution(conv, pool, start, seen, own.shape[1] - 2)


def _after_convolution(conv: nn.Conv1d, pool: int, start: Tensor, seen: Tensor, positions: int) -> _Changed:
    values = _convolved(conv, seen)
    # After a ReLU, zeros are no more than any value that is pooled with them.
    _clear(values, start * pool, 0, positions)
    return _Changed(start, values.unflatten(1, (-1, pool)).amax(2))


def _clear(values: Tensor, start: Tensor, low: int, high: int) -> None:
    """Set values ``(S, w, C)``, whose positions count from ``start``, to zero outside of ``low`` to ``high``."""
    position = start[:, None] + torch.arange(values.shape[1], device=start.device)
    inside = (position >= low) & (position < high)
    if not inside.all():
        values.mul_(inside[:, :, None])


def _logits(model: Cnn, whole: Whole, of: Tensor, changed: _Changed) -> Tensor:
    """Return what the model does: the first dense layer by what changed alone, the others whole."""
    own = whole.layers[-1]
    positions, channels = own.shape[1] - 2, own.shape[2]
    width = changed.values.shape[1]
    change = changed.values - _around(own, of, changed.start, width)
    first = model.dense[0]
    assert isinstance(first, nn.Linear)
    # (P, C, H), from the order in which features are flattened; half-life features may follow.
    weight = first.weight[:, : channels * positions].view(-1, channels, positions).permute(2, 1, 0)
    dense = whole.dense[of]
    # Edits close to the same place change the same features.
    order = torch.argsort(changed.start)
    starts, counts = torch.unique_consecutive(changed.start[order], return_counts=True)
    for start, rows in zip(starts.tolist(), order.split(counts.tolist()), strict=True):
        low, high = max(start, 0), min(start + width, positions)
        columns = weight[low:high].flatten(0, 1)
        dense.index_add_(0, rows, change[rows, low - start : high - start].flatten(1) @ columns)
    return model.shaped(model.dense[1:](dense))
