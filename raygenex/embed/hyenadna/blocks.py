"""HyenaDNA without gradients: the residual stream is overwritten, a block at a time.

Beside the stream, ``(N, L, D)``, one more array of its size exists, the input of the long convolution. Everything
else, gates, widened MLP layers and transforms, is made for a block of positions or a group of channels and forgotten.
On a CPU a block fits its caches, on a GPU it fills the device. The arithmetic is that of the modules in
:mod:`raygenex.embed.hyenadna.model`, which gradients go through.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raygenex.config.embed import Pooling
from raygenex.embed.hyenadna.pooling import bin_count, pool_bins


@dataclass(frozen=True)
class Sizes:
    """How much is worked on at once.

    Parameters
    ----------
    stream
        Positions that pass through the network together, in whole sequences; one sequence may be longer.
    block
        Numbers in the widest intermediate of a block of positions.
    transform
        Numbers in the Fourier transforms of a group of channels.
    """

    stream: int
    block: int
    transform: int


# Measured on two cores at d_model 128 and 256, 20,000 positions: 4 MB of MLP, and the transforms of 32 channels.
CPU_SIZES = Sizes(stream=2**15, block=2**20, transform=5 * 2**18)
# Not measured: large enough for a GPU to be busy, small enough for the temporaries to stay below about a gigabyte.
GPU_SIZES = Sizes(stream=2**20, block=2**27, transform=2**27)


# Hendrycks & Gimpel (2016): 0.5 * (1 + tanh(a)) is sigmoid(2 * a), with a = sqrt(2 / pi) * (x + 0.044715 * x ** 3).
_GELU_LINEAR = 2 * math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715 * _GELU_LINEAR


def can_overwrite(backbone: nn.Module) -> bool:
    """Tell whether nothing remembers what came before: no gradients and no dropout."""
    return not torch.is_grad_enabled() and not backbone.training


def encode(backbone: Any, source: Tensor, bin_size: int, pooling: Pooling) -> Tensor:
    """Pass sequences through the layers and the final norm, and join the bases of each bin.

    Parameters
    ----------
    backbone
        The layers of a HyenaDNA, for which :func:`can_overwrite` holds.
    source
        Token ids, integer ``(N, L)``, or rows of the embedding table, ``(N, L, d_model)``; it is not written to.
    bin_size, pooling
        As in :func:`raygenex.embed.hyenadna.pooling.pool_bins`; 1 keeps every base.

    Returns
    -------
    Shape ``(N, ceil(L / bin_size), d_model)``.
    """
    count, length = source.shape[:2]
    table = backbone.embeddings["word_embeddings"]
    sizes = GPU_SIZES if source.is_cuda else CPU_SIZES
    bins, out = bin_count(length, bin_size), None
    together = max(1, sizes.stream // length)
    for first in range(0, count, together):
        part = source[first : first + together]
        embedded = part if part.is_floating_point() else table(part)
        # The residual stream is float32 even in a bfloat16 model, as it was in pretraining.
        stream = torch.promote_types(embedded.dtype, torch.float32)
        hidden = embedded.to(stream, memory_format=torch.contiguous_format, copy=embedded is part)
        for layer in backbone.layers:
            apply_layer(layer, hidden, sizes)
        for rows, some_bins, pooled in pool(backbone, hidden, sizes, bin_size, pooling):
            if out is None:
                out = pooled.new_empty(count, bins, pooled.shape[-1])
            out[first + rows.start : first + rows.stop, some_bins] = pooled
    assert out is not None, "no sequences"
    return out


def pool(
    backbone: Any, hidden: Tensor, sizes: Sizes, bin_size: int, pooling: Pooling
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Norm the stream ``(N, L, D)`` and join the bases of each bin; yields rows, bins and their values, by blocks."""
    count, length, width = hidden.shape
    block = max(1, sizes.block // width // bin_size) * bin_size
    for rows, low, high in _blocks(count, length, block):
        pooled = pool_bins(_normed(backbone.ln_f, hidden[rows, low:high]), bin_size, pooling)
        yield rows, slice(low // bin_size, bin_count(high, bin_size)), pooled


def apply_layer(
    layer: Any, hidden: Tensor, sizes: Sizes, convolve: Callable[[Any, Tensor], None] | None = None
) -> None:
    """Apply one layer to the contiguous stream ``(N, L, D)``, in place.

    ``convolve``, called with the layer's `LongFilter` and its input ``(D, N, L)``, convolves that in place; None does
    so by itself.
    """
    count, length, width = hidden.shape
    mixer, mlp = layer.mixer, layer.mlp
    blocks = list(_blocks(count, length, max(1, sizes.block // mlp.fc1.out_features)))
    gated = hidden.new_empty(width, count, length)
    for rows, low, high in blocks:
        key, value = _project(layer, hidden, rows, low, high, slice(width, 3 * width)).split(width)
        torch.mul(value, key, out=gated[:, rows, low:high])
    if convolve is None:
        mixer.filter_fn.convolve_(gated, sizes.transform)
    else:
        convolve(mixer.filter_fn, gated)
    # From the last block to the first: a gate looks back at positions that must not be overwritten yet.
    for rows, low, high in reversed(blocks):
        gate = _project(layer, hidden, rows, low, high, slice(0, width)).mul_(gated[:, rows, low:high])
        part = hidden[rows, low:high].view(-1, width)
        part.add_(mixer.out_proj(gate.flatten(1).T))
        part.add_(mlp.fc2(_gelu(mlp.fc1(_normed(layer.norm2, part)))))


def _project(layer: Any, hidden: Tensor, rows: slice, low: int, high: int, channels: slice) -> Tensor:
    """Return some channels of the normed, projected and shortly convolved stream, ``(channels, N, high - low)``."""
    mixer = layer.mixer
    before = min(low, mixer.short_filter.weight.shape[-1] - 1)
    x = _normed(layer.norm1, hidden[rows, low - before : high])
    weight, bias = mixer.in_proj.weight[channels], mixer.in_proj.bias[channels]
    # Channels come first out of the product itself, so that nothing is transposed.
    projected = torch.addmm(bias[:, None], weight, x.flatten(0, 1).T)
    return mixer.short_filter.slide(projected.unflatten(1, x.shape[:2]), channels, before)


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return functional.layer_norm(x.to(norm.weight.dtype), norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _gelu(x: Tensor) -> Tensor:
    """Return GELU in the approximation by a tanh, which is ``x * sigmoid(1.596 * (x + 0.0447 * x ** 3))``."""
    if x.is_cuda or x.dtype != torch.float32:
        return functional.gelu(x, approximate="tanh")
    # On a CPU in half the time of torch's kernel: its sigmoid is six times as fast as its tanh.
    inner = torch.addcmul(x.new_tensor(_GELU_LINEAR), x, x, value=_GELU_CUBIC)
    return inner.mul_(x).sigmoid_().mul_(x)


def _blocks(count: int, length: int, size: int) -> Iterator[tuple[slice, int, int]]:
    """Cut sequences into blocks of about ``size`` positions: several whole sequences, or a part of one."""
    if length <= size:
        step = size // length
        for first in range(0, count, step):
            yield slice(first, min(first + step, count)), 0, length
        return
    for row in range(count):
        for low in range(0, length, size):
            yield slice(row, row + 1), low, min(low + size, length)
