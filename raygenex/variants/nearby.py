"""Logits of windows and of changed ones by a CNN on bases, which computes what a variant does where it is seen."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raygenex.cluster.torch_process import threads
from raygenex.models.cnn import Cnn
from raygenex.models.receptive_field import Whole, edited_logits, reads_bases, seen_width, trunk_width, whole_pass
from raygenex.predict.predictor import Predictor

# Numbers of the largest array of one pass, 4 MB in float32, which is about what a core has at hand.
_NUMBERS = 2**20
# Numbers of the first layer of the genes that are kept for their variants; a pooled part of it is.
_KEPT = 2**23
# Bases of the changed windows that are held.
_HELD = 2**21
# A change that is seen in more than this share of a window costs about as much as a pass of the whole.
_LARGEST_SHARE = 0.75
# A pass of fewer changes costs what it costs to begin one.
_FEW = 24


class NearbyLogits:
    """The logits of a CNN on bases: each window passes through it once, what differs in changed ones through parts.

    They are those of `Predictor.logits`, but for the order in which float32 is summed.
    """

    def __init__(self, predictor: Predictor) -> None:
        model = predictor.model
        assert isinstance(model, Cnn), "checked by `nearby_logits`"
        self._model = model
        self._device = predictor.device
        self._step = predictor.batch_size
        self._window = model.inputs.length
        self._channels = trunk_width(model)

    @property
    def genes(self) -> int:
        """Genes that are worth while to be passed together."""
        return max(self._step, _KEPT // (self._channels * self._window))

    @property
    def rows(self) -> int:
        """Changed windows that may be held at a time."""
        return max(self._step, _HELD // self._window)

    def logits(
        self,
        windows: NDArray[np.uint8],
        halflife: NDArray[np.float32],
        of: NDArray[np.intp],
        changed: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        """Return the logits of changed windows.

        Parameters
        ----------
        windows
            Base indices of some genes, ``(G, L)``.
        halflife
            Their features in their own units, ``(G, 8)``.
        of
            The gene of each changed window, ``(n,)``.
        changed
            Base indices, ``(n, L)``; a window may be that of its gene.

        Returns
        -------
        Shape ``(n,)``, float64; of a model with several outputs ``(n, outputs)``.
        """
        with torch.inference_mode():
            whole = self._whole(windows, halflife)
            found = whole.logits[self._tensor(of)]
            differs = changed != windows[of]
            first = differs.argmax(axis=1)
            span = self._window - differs[:, ::-1].argmax(axis=1) - first
            span[~differs[np.arange(len(of)), first]] = 0
            for rows, width in self._widths(span):
                if width == self._window:
                    logits = self._whole(changed[rows], halflife[of[rows]]).logits
                else:
                    logits = self._edited(whole, of[rows], first[rows], width, changed[rows])
                found[self._tensor(rows)] = logits
            return found.double().cpu().numpy()

    def _widths(self, span: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], int]]:
        """Yield rows that differ, and the bases of them that are computed: powers of two, or all of the window."""
        waiting = np.flatnonzero(span)
        width = 1
        while len(waiting):
            if seen_width(self._model, width) > _LARGEST_SHARE * self._window:
                yield waiting, self._window
                return
            fits = span[waiting] <= width
            if fits.all() or np.count_nonzero(fits) >= _FEW:
                yield waiting[fits], width
                waiting = waiting[~fits]
            width *= 2

    def _whole(self, windows: NDArray[np.uint8], halflife: NDArray[np.float32]) -> Whole:
        parts = [
            whole_pass(self._model, self._tensor(windows[some]), self._tensor(halflife[some]))
            for some in (slice(at, at + self._step) for at in range(0, len(windows), self._step))
        ]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _edited(
        self, whole: Whole, of: NDArray[np.intp], first: NDArray[np.intp], width: int, changed: NDArray[np.uint8]
    ) -> Tensor:
        first = np.minimum(first, self._window - width)
        new = np.take_along_axis(changed, first[:, None] + np.arange(width), axis=1)
        step = max(1, _NUMBERS // (seen_width(self._model, width) * self._channels))
        # Their layers are small: threads would wait for one another.
        with threads(1):
            return torch.cat(
                [
                    edited_logits(
                        self._model, whole, *(self._tensor(values[at : at + step]) for values in (of, first, new))
                    )
                    for at in range(0, len(of), step)
                ]
            )

    def _tensor(self, array: NDArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def nearby_logits(predictor: Predictor) -> NearbyLogits | None:
    """Return what scores the windows of a predictor whose model is a CNN on bases; None for another model."""
    return NearbyLogits(predictor) if reads_bases(predictor.model) else None


def _joined(parts: list[Whole]) -> Whole:
    return Whole(
        codes=torch.cat([part.codes for part in parts]),
        lifted=None
        if parts[0].lifted is None
        else torch.cat([part.lifted for part in parts if part.lifted is not None]),
        layers=[torch.cat(layers) for layers in zip(*(part.layers for part in parts), strict=True)],
        dense=torch.cat([part.dense for part in parts]),
        logits=torch.cat([part.logits for part in parts]),
    )
