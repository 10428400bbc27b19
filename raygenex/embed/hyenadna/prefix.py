"""Sequences that begin as another one does: only what lies behind the common beginning passes through the network.

HyenaDNA is causal: position i sees positions 0 to i. So what each layer gives before the first difference is known. Of
its long convolution, which is linear, the change of the output is the convolution of the change of the input.
"""

from typing import Any

import torch
from torch import Tensor

from raygenex.config.embed import Pooling
from raygenex.embed.hyenadna import blocks
from raygenex.embed.hyenadna.model import FIRST_BASE_ID, HyenaDnaModel
from raygenex.embed.hyenadna.pooling import bin_count


class Encoded:
    """One sequence, with what each layer takes and makes of it: three arrays ``(L, d_model)`` of float32 a layer.

    Parameters
    ----------
    model
        A HyenaDNA in evaluation mode, with gradients off.
    codes
        Base indices, uint8 ``(L,)`` with values 0 to 4, on the model's device.
    bin_size, pooling
        As of `raygenex.embed.hyenadna.pooling.pool_bins`.
    """

    def __init__(self, model: HyenaDnaModel, codes: Tensor, bin_size: int, pooling: Pooling) -> None:
        assert blocks.can_overwrite(model.backbone), "the stream is overwritten"
        self._backbone: Any = model.backbone
        self._bin_size, self._pooling = bin_size, pooling
        self._sizes = blocks.GPU_SIZES if codes.is_cuda else blocks.CPU_SIZES
        self._before = model.config.short_filter_order - 1
        # (D, 1, L) of each layer: what enters its long convolution, and what comes out.
        self._entering: list[Tensor] = []
        self._leaving: list[Tensor] = []
        # (1, L, D): the stream in front of each layer.
        self._streams: list[Tensor] = []
        hidden = self._embed(codes[None])
        for layer in self._backbone.layers:
            self._streams.append(hidden.clone())
            blocks.apply_layer(layer, hidden, self._sizes, self._convolve_and_keep)
        self.bins = self._pool(hidden)
        """Its own embedding, ``(1, bins, d_model)``."""

    def likes(self, codes: Tensor, start: int) -> Tensor:
        """Embed sequences that have the same bases before ``start``.

        Parameters
        ----------
        codes
            Their base indices from the first base of the bin that holds ``start`` on, uint8 ``(N, L - first)``.
        start
            Where they may begin to differ, 0 to L - 1.

        Returns
        -------
        Shape ``(N, bins, d_model)``: those of the whole sequences, but for the order in which float32 is summed.
        """
        first = start // self._bin_size * self._bin_size
        assert codes.shape[1] == self._streams[0].shape[1] - first, "the rest of the sequence"
        together = max(1, self._sizes.stream // codes.shape[1])
        parts = [self._rest(part, first) for part in codes.split(together)]
        common = self.bins[:, : first // self._bin_size]
        return torch.cat([common.expand(len(codes), -1, -1), torch.cat(parts)], dim=1)

    def _rest(self, codes: Tensor, first: int) -> Tensor:
        # The short convolution looks back at positions of the common beginning; they are put back after each layer.
        before = min(first, self._before)
        rest = self._embed(codes)
        hidden = rest.new_empty(len(codes), before + rest.shape[1], rest.shape[2])
        hidden[:, before:] = rest
        for number, layer in enumerate(self._backbone.layers):
            hidden[:, :before] = self._streams[number][:, first - before : first]
            entering, leaving = (kept[number][..., first:] for kept in (self._entering, self._leaving))

            def convolve_change(
                long_filter: Any, gated: Tensor, entering: Tensor = entering, leaving: Tensor = leaving
            ) -> None:
                change = (gated[..., before:] - entering).contiguous()
                long_filter.convolve_(change, self._sizes.transform, share_spectra=True)
                torch.add(change, leaving, out=gated[..., before:])

            blocks.apply_layer(layer, hidden, self._sizes, convolve_change)
        return self._pool(hidden[:, before:])

    def _embed(self, codes: Tensor) -> Tensor:
        embedded = self._backbone.embeddings["word_embeddings"](codes.int() + FIRST_BASE_ID)
        return embedded.to(torch.promote_types(embedded.dtype, torch.float32))

    def _convolve_and_keep(self, long_filter: Any, gated: Tensor) -> None:
        self._entering.append(gated.clone())
        long_filter.convolve_(gated, self._sizes.transform)
        self._leaving.append(gated.clone())

    def _pool(self, hidden: Tensor) -> Tensor:
        count, length = hidden.shape[:2]
        out: Tensor | None = None
        for rows, bins, pooled in blocks.pool(self._backbone, hidden, self._sizes, self._bin_size, self._pooling):
            if out is None:
                out = pooled.new_empty(count, bin_count(length, self._bin_size), pooled.shape[-1])
            out[rows, bins] = pooled
        assert out is not None, "no sequences"
        return out
