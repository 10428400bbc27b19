"""The recurrent predictor: an LSTM along the promoter, joined by the half-life features."""

import torch
from torch import Tensor, nn

from raygenex.config.model import HalflifeConfig, LstmConfig
from raygenex.models.base import ExpressionModel, InputShape, build_dense, build_stem, channels_first
from raygenex.models.halflife import FeatureScaler


class Lstm(ExpressionModel):
    """An LSTM over averaged positions; its mean state and the standardised half-life features go into dense layers.

    The mean over all steps, not the last state: on simulated promoters of 2,000 bases a model of the last states found
    nothing in the DNA, whose signal lies in the middle and is forgotten by the end.
    """

    scaler: FeatureScaler

    def __init__(self, config: LstmConfig, halflife: HalflifeConfig, inputs: InputShape, outputs: int = 1) -> None:
        super().__init__(inputs, outputs=outputs)
        self.scaler = FeatureScaler(halflife.bins, inputs.features, inputs.lacking)
        self.stem = build_stem(inputs, config.width, config.stem_kernel)
        # A last window that is cut short is averaged over the positions that it has.
        self.pool = nn.AvgPool1d(config.pool, ceil_mode=True)
        self.lstm = nn.LSTM(
            config.width, config.hidden, config.layers, batch_first=True, bidirectional=config.bidirectional
        )
        directions = 2 if config.bidirectional else 1
        beside = self.scaler.channels * self.scaler.positions
        self.dense = build_dense(config.hidden * directions + beside, config.dense, config.dropout, outputs)

    def forward(self, sequence: Tensor | None, halflife: Tensor | None) -> Tensor:
        """Return logits of base indices or embeddings and half-life features: see the base class."""
        assert sequence is not None, "this model needs a sequence"
        assert halflife is not None, "this model needs half-life features"
        return self.join(self.state(sequence), halflife)

    def state(self, sequence: Tensor) -> Tensor:
        """Return the mean state along the DNA, shape ``(N, hidden)``, twice as wide if it is read from both ends."""
        dtype = next(self.parameters()).dtype
        steps = self.pool(self.stem(channels_first(sequence, self.inputs, dtype))).transpose(1, 2)
        states, _ = self.lstm(steps)
        return states.mean(dim=1)

    def join(self, state: Tensor, halflife: Tensor) -> Tensor:
        """Return the logits of mean states and half-life features in their own units."""
        return self.shaped(self.dense(torch.cat([state, self.scaler(halflife).flatten(1)], dim=1)))
