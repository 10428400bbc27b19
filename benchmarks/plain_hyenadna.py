"""HyenaDNA as one writes it down from the paper: what benchmarks/hyenadna_speed.py compares raygenex with.

Channels first between projections and convolutions, with a transpose in front and one behind; transforms of size
2 L; the long filter evaluated at every call; the short filter a grouped convolution; the MLP on all positions at once.
Module names are those of the published checkpoints, so a state dict of HyenaDnaModel loads.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from raygenex.embed.hyenadna.model import FIRST_BASE_ID, HyenaDnaConfig, HyenaDnaModel


class Sine(nn.Module):
    """A sine with a frequency a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.ones(1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return torch.sin(self.freq * x)


class Position(nn.Module):
    """What the filter's network reads of a position, ``z``, and the position itself in [0, 1], ``t``."""

    def __init__(self, length: int, emb_dim: int) -> None:
        super().__init__()
        self.register_buffer("z", torch.zeros(1, length, emb_dim))
        self.register_buffer("t", torch.zeros(1, length, 1))


class Modulation(nn.Module):
    """An exponential window a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("deltas", torch.zeros(1, 1, width))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Apply it to ``(1, L, D)``."""
        return x * (torch.exp(-t * self.deltas.abs()) + 0.05)


class Filter(nn.Module):
    """The long convolution and the network that makes its filter."""

    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__()
        width = config.filter_order
        self.bias = nn.Parameter(torch.zeros(config.d_model))
        self.pos_emb = Position(config.max_seq_len, config.emb_dim)
        sine = Sine(width)
        layers: list[nn.Module] = [nn.Linear(config.emb_dim, width), sine]
        for _ in range(config.num_inner_mlps):
            layers += [nn.Linear(width, width), sine]
        self.implicit_filter = nn.Sequential(*layers, nn.Linear(width, config.d_model, bias=False))
        self.modulation = Modulation(config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, D, L)``."""
        length = x.shape[-1]
        filters = self.implicit_filter(self.pos_emb.z[:, :length])
        filters = self.modulation(self.pos_emb.t[:, :length], filters)[0].transpose(0, 1)
        size = 2 * length
        spectrum = torch.fft.rfft(filters, n=size) / size
        transformed = torch.fft.rfft(x.float(), n=size)
        convolved = torch.fft.irfft(transformed * spectrum, n=size, norm="forward")[..., :length]
        return convolved + x * self.bias[:, None]


class Mixer(nn.Module):
    """The Hyena operator of order 2."""

    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__()
        width, order = config.d_model, config.short_filter_order
        self.in_proj = nn.Linear(width, 3 * width)
        self.short_filter = nn.Conv1d(3 * width, 3 * width, order, padding=order - 1, groups=3 * width)
        self.filter_fn = Filter(config)
        self.out_proj = nn.Linear(width, width)

    def forward(self, u: Tensor) -> Tensor:
        """Mix ``(N, L, D)`` over positions."""
        length = u.shape[1]
        projected = self.short_filter(self.in_proj(u).transpose(1, 2))[..., :length]
        gate, key, value = projected.chunk(3, dim=1)
        return self.out_proj((self.filter_fn(value * key) * gate).transpose(1, 2))


def layer(config: HyenaDnaConfig) -> nn.ModuleDict:
    """Return the parts of one layer; the MLP is two linear layers, four times as wide between them."""

    def norm() -> nn.LayerNorm:
        return nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    wide, narrow = nn.Linear(config.d_model, config.d_inner), nn.Linear(config.d_inner, config.d_model)
    mlp = nn.Sequential(OrderedDict(fc1=wide, gelu=nn.GELU(approximate="tanh"), fc2=narrow))
    return nn.ModuleDict({"norm1": norm(), "mixer": Mixer(config), "norm2": norm(), "mlp": mlp})


class PlainHyenaDna(nn.Module):
    """The network without its head."""

    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__()
        table = nn.Embedding(config.embedding_rows, config.d_model)
        self.embeddings = nn.ModuleDict({"word_embeddings": table})
        self.layers = nn.ModuleList(layer(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    def forward(self, codes: Tensor) -> Tensor:
        """Embed base indices, uint8 ``(N, L)``, as ``(N, L, d_model)``."""
        hidden = self.embeddings["word_embeddings"](codes.int() + FIRST_BASE_ID)
        for parts in self.layers:
            hidden = hidden + parts["mixer"](parts["norm1"](hidden))
            hidden = hidden + parts["mlp"](parts["norm2"](hidden))
        return self.ln_f(hidden)


def plain_copy(model: HyenaDnaModel) -> PlainHyenaDna:
    """Return the plain network with the weights of a model."""
    plain = PlainHyenaDna(model.config)
    tensors = {name.removeprefix("backbone."): tensor for name, tensor in model.state_dict().items()}
    # A frequency is one tensor in ours and listed once for every sine here.
    names = plain.state_dict().keys() - tensors.keys()
    tensors |= {name: tensors[f"{name.split('implicit_filter.')[0]}implicit_filter.1.freq"] for name in names}
    plain.load_state_dict(tensors)
    return plain.to(model.device).eval()
