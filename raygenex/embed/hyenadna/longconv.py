"""The convolutions of a Hyena operator: one over a few positions, and one as long as the sequence.

As modules they take and return channels-last ``(N, L, D)``. Without gradients :mod:`raygenex.embed.hyenadna.blocks`
keeps channels first, where a channel's positions lie side by side: Fourier transforms are then twice as fast on a CPU.
Parameter names are those of the published HyenaDNA checkpoints.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init

_KEPT_LENGTHS = 2
_FFT_FACTORS = (1, 3, 5, 9, 15)
_SLOW_DECAY, _FAST_DECAY, _DECAY_TARGET, _DECAY_FLOOR = 1.5, 0.3, 1e-2, 0.05


def fft_size(length: int) -> int:
    """Return a transform size that is fast and at least ``2 * length - 1``, so that a convolution does not wrap.

    Few odd factors and many twos: 40,960 is a quarter faster than the nearer 40,000 at 20,000 positions.
    """
    assert length >= 1, length
    least = 2 * length - 1
    return min(factor << ((least - 1) // factor).bit_length() for factor in _FFT_FACTORS)


class ShortFilter(nn.Module):
    """A causal depthwise convolution over the last ``order`` positions.

    Shifted multiply-adds: on channels-last data several times faster on a CPU than a grouped ``conv1d``.
    """

    def __init__(self, channels: int, order: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 1, order))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, L, channels)``."""
        taps = self.weight[:, 0].flip(1).T
        out = torch.addcmul(self.bias, x, taps[0])
        for shift, tap in enumerate(taps[1 : x.shape[1]], start=1):
            out[:, shift:].addcmul_(x[:, :-shift], tap)
        return out

    def slide(self, x: Tensor, rows: slice, before: int) -> Tensor:
        """Convolve some channels, channels first.

        Parameters
        ----------
        x
            The channels ``rows``, shape ``(rows, N, before + L)``.
        rows
            Which of the channels.
        before
            Leading positions of ``x`` that are there to be looked back at.

        Returns
        -------
        Shape ``(rows, N, L)``.
        """
        taps = self.weight[rows, 0].flip(1).T[..., None, None]
        out = torch.addcmul(self.bias[rows, None, None], x[..., before:], taps[0])
        for shift, tap in enumerate(taps[1 : x.shape[-1]], start=1):
            missing = max(0, shift - before)
            out[..., missing:].addcmul_(x[..., before + missing - shift : x.shape[-1] - shift], tap)
        return out

    def reset(self) -> None:
        """Draw the weights uniformly, as PyTorch does for a convolution."""
        bound = self.weight.shape[-1] ** -0.5
        init.uniform_(self.weight, -bound, bound)
        init.uniform_(self.bias, -bound, bound)


class LongFilter(nn.Module):
    """A causal convolution whose filter, as long as the sequence, is a small network of the position.

    The filter depends on the weights and the length only, so its spectrum is kept for the latest lengths while no
    gradient can reach the weights, and forgotten once one can. It is recomputed once a weight counts a new version;
    a write through ``.data`` does not count, nor does a step of an optimizer with ``fused=True`` whose forward pass
    came before the spectrum was kept.
    The weights stay float32 whatever number format the model is moved to: 8 bits cannot tell positions apart.

    Parameters
    ----------
    channels
        Width of the convolved sequence.
    max_length
        Positions, at least 1, for which the filter is defined.
    emb_dim
        Numbers that encode a position: itself, then pairs of a cosine and a sine (odd, at least 3).
    width, inner
        Width of the network of the position and its hidden layers after the first.
    frequency, train_frequency
        Factor inside the sine activations, and whether it is a parameter.
    use_bias
        Whether the input is added again, weighted by a number per channel.
    dropout
        Dropout of the filter in training.
    """

    def __init__(
        self,
        channels: int,
        max_length: int,
        emb_dim: int,
        width: int,
        inner: int,
        frequency: float,
        train_frequency: bool,
        use_bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.use_bias = use_bias
        self.bias = nn.Parameter(torch.zeros(channels))
        self.pos_emb = _PositionalEmbedding(max_length, (emb_dim - 1) // 2)
        sine = _Sine(width, frequency, train_frequency)
        # Indices as in the published nn.Sequential, whose sines (1, 3, 5) are one module: stored and saved once, as 1.
        self.implicit_filter = nn.ModuleDict({"0": nn.Linear(emb_dim, width), "1": sine})
        self.inner_names = [str(2 + 2 * i) for i in range(inner)]
        for name in self.inner_names:
            self.implicit_filter[name] = nn.Linear(width, width)
        self.last_name = str(2 + 2 * inner)
        self.implicit_filter[self.last_name] = nn.Linear(width, channels, bias=False)
        self.modulation = _Modulation(channels)
        self.dropout = nn.Dropout(dropout)
        self._kept: dict[int, tuple[object, Tensor]] = {}

    def forward(self, u: Tensor) -> Tensor:
        """Convolve ``(N, L, channels)``; the result is float32, or float64 as ``u``."""
        length = u.shape[1]
        size = fft_size(length)
        with torch.autocast(u.device.type, enabled=False):
            wide = u.to(torch.promote_types(u.dtype, torch.float32))
            product = torch.fft.rfft(wide.mT, n=size).mul_(self.spectrum(length))
            return torch.fft.irfft(product, n=size)[..., :length].mT

    def convolve_(self, u: Tensor, values: int, share_spectra: bool = False) -> None:
        """Convolve ``(channels, N, L)``, float32 or float64, in place and without gradients.

        So many channels at a time that their transforms hold about ``values`` numbers. With ``share_spectra`` all
        lengths of one `fft_size` use one spectrum, of as many positions as fit; results differ in rounding alone.
        """
        count, length = u.shape[1:]
        size = fft_size(length)
        step = max(1, values // (count * size))
        taps = min((size + 1) // 2, self.pos_emb.t.shape[1]) if share_spectra else length
        with torch.autocast(u.device.type, enabled=False):
            spectrum = self.spectrum(taps)[:, None]
            for part, factors in zip(u.split(step), spectrum.split(step), strict=True):
                product = torch.fft.rfft(part, n=size).mul_(factors)
                part.copy_(torch.fft.irfft(product, n=size)[..., :length])

    def spectrum(self, length: int) -> Tensor:
        """Return the filter's Fourier transform, complex64 ``(channels, fft_size(length) // 2 + 1)``.

        What adds the input itself again (``use_bias``) is part of it, as the transform of one tap at position 0.
        """
        weights = [*self.parameters(), *self.buffers()]
        learning = torch.is_grad_enabled() and any(weight.requires_grad for weight in weights)
        if learning:
            self._kept = {}
        # Tensors made in inference mode count no versions: a change of theirs could not be noticed.
        if self.training or learning or any(weight.is_inference() for weight in weights):
            return self.compute_spectrum(length)
        state = [(weight.data_ptr(), weight._version) for weight in weights]
        if (kept := self._kept.get(length)) is not None and kept[0] == state:
            return kept[1]
        # A tensor made in inference mode could not serve a later backward pass through the frozen network.
        with torch.inference_mode(False), torch.no_grad():
            spectrum = self.compute_spectrum(length)
        others = [(key, value) for key, value in self._kept.items() if key != length and value[0] == state]
        self._kept = dict([*others, (length, (state, spectrum))][-_KEPT_LENGTHS:])
        return spectrum

    def compute_spectrum(self, length: int) -> Tensor:
        """Evaluate the filter at the first ``length`` positions and transform it."""
        sine = self.implicit_filter["1"]
        hidden = sine(self.implicit_filter["0"](self.pos_emb.z[0, :length]))
        for name in self.inner_names:
            hidden = sine(self.implicit_filter[name](hidden))
        filters = self.modulation(self.pos_emb.t[0, :length], self.implicit_filter[self.last_name](hidden))
        spectrum = torch.fft.rfft(self.dropout(filters).T, n=fft_size(length)).contiguous()
        return spectrum + self.bias[:, None] if self.use_bias else spectrum

    def train(self, mode: bool = True) -> "LongFilter":
        """Switch between training and inference; training forgets the kept spectra."""
        if mode:
            self._kept = {}
        return super().train(mode)

    def reset(self) -> None:
        """Draw the bias and compute the positions and the decay; the linear layers are the model's to draw."""
        init.normal_(self.bias)
        for buffer, value in (*self.pos_emb.formula(), *self.modulation.formula()):
            init.copy_(buffer, value)
        if isinstance(freq := self.implicit_filter["1"].freq, nn.Parameter):
            init.constant_(freq, self.implicit_filter["1"].initial)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LongFilter":
        self._kept = {}

        def keep_format(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_format, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}


class _Sine(nn.Module):
    def __init__(self, width: int, frequency: float, trained: bool) -> None:
        super().__init__()
        self.initial = float(frequency)
        self.freq = nn.Parameter(torch.full((1, width), self.initial)) if trained else self.initial

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.freq * x)


class _PositionalEmbedding(nn.Module):
    """Position in [0, 1], then the real and the imaginary parts of complex exponentials of it."""

    z: Tensor
    t: Tensor

    def __init__(self, length: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.register_buffer("z", torch.zeros(1, length, 1 + 2 * bands))
        self.register_buffer("t", torch.zeros(1, length, 1))

    def formula(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Pair each buffer with its value."""
        length = self.t.shape[1]
        t = torch.linspace(0, 1, length)[None, :, None]
        angle = 2 * math.pi * torch.linspace(0, length - 1, length)[None, :, None] / length
        waves = torch.exp(-1j * torch.linspace(1e-4, self.bands - 1, self.bands)[None, None] * angle)
        return (self.z, torch.cat([t, waves.real, waves.imag], dim=-1)), (self.t, t)


class _Modulation(nn.Module):
    """An exponential window per channel, so that channels see from a fraction to all of the sequence.

    A channel falls to 1 % after 0.3 (fast) to 1.5 (slow) times the longest sequence; none falls below 5 %.
    """

    deltas: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("deltas", torch.zeros(1, 1, channels))

    def formula(self) -> tuple[tuple[Tensor, Tensor]]:
        """Pair the buffer with its value."""
        slow, fast = math.log(_DECAY_TARGET) / _SLOW_DECAY, math.log(_DECAY_TARGET) / _FAST_DECAY
        return ((self.deltas, torch.linspace(slow, fast, self.deltas.shape[-1])[None, None]),)

    def forward(self, t: Tensor, filters: Tensor) -> Tensor:
        return filters * (torch.exp(-t * self.deltas[0].abs()) + _DECAY_FLOOR)
