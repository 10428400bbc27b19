"""The convolutional predictor and its four input variants."""

import itertools

import torch
from torch import Tensor, nn

from raygenex.config.model import (
    CnnConfig,
    CnnDnaOnly,
    CnnHalflifeEncoded,
    CnnHalflifeOnly,
    CnnHalflifeRaw,
    HalflifeConfig,
)
from raygenex.models.base import ExpressionModel, InputShape, build_dense, build_stem, channels_first
from raygenex.models.halflife import FeatureScaler, HalflifeEncoder

CnnSection = CnnHalflifeEncoded | CnnHalflifeRaw | CnnDnaOnly | CnnHalflifeOnly


class Cnn(ExpressionModel):
    """Four Conv1d + ReLU + max-pool blocks over DNA and half-life positions, then dense layers to the logits.

    Every layer size follows from the arguments, so all parameters exist before an optimizer is built.

    Parameters
    ----------
    config
        Sizes, dropout and the way the half-life code joins; its kind says which inputs are used.
    halflife
        Sizes of the half-life encoder, used by the encoded kinds.
    inputs
        Shape of the DNA input; ignored by ``cnn_halflife_only``.
    outputs
        Numbers per gene.
    """

    def __init__(self, config: CnnSection, halflife: HalflifeConfig, inputs: InputShape, outputs: int = 1) -> None:
        kind = config.kind
        super().__init__(inputs, kind != "cnn_halflife_only", kind != "cnn_dna_only", outputs)
        self.join = config.join
        self.mask = config.mask
        self.beside = halflife.beside
        positions = 0
        if self.uses_dna:
            self.stem = build_stem(inputs, config.width, config.stem_kernel)
            positions += inputs.length
        late = 0
        if self.uses_halflife:
            self.scaler = FeatureScaler(halflife.bins, inputs.features, inputs.lacking)
            self.encoder = (
                HalflifeEncoder(halflife.channels, self.scaler.channels) if kind != "cnn_halflife_raw" else None
            )
            code_width = self.encoder.width if self.encoder else 0
            if self.encoder is None or self.beside:
                code_width += self.scaler.channels
            if config.join == "dense":
                late = code_width * self.scaler.positions
            else:
                self.lift = nn.Conv1d(code_width, config.width, 1) if code_width != config.width else nn.Identity()
                positions += self.scaler.positions
        flat = 0
        if positions:
            self.trunk, flat = self._build_trunk(config, positions)
        self.dense = build_dense(flat + late, config.dense, config.dropout, outputs)

    @staticmethod
    def _build_trunk(config: CnnConfig, positions: int) -> tuple[nn.Sequential, int]:
        layers: list[nn.Module] = []
        widths = (config.width, *config.channels)
        for before, after in itertools.pairwise(widths):
            # ceil_mode keeps the last positions, and keeps a branch of eight positions alive through four poolings.
            layers += [
                nn.Conv1d(before, after, config.kernel_size, padding=config.kernel_size // 2),
                nn.ReLU(),
                nn.MaxPool1d(config.pool, ceil_mode=True),
            ]
            positions = -(-positions // config.pool)
        if config.trunk_dropout:
            layers.append(nn.Dropout(config.trunk_dropout))
        return nn.Sequential(*layers), positions * config.channels[-1]

    def forward(self, sequence: Tensor | None, halflife: Tensor | None) -> Tensor:
        """Return logits, shape ``(N,)``, or ``(N, outputs)`` of several.

        Parameters
        ----------
        sequence
            Base indices ``(N, length)`` or binned embeddings ``(N, length, channels)``; may be None where unused.
        halflife
            Features in their own units, shape ``(N, features)``; may be None where unused.
        """
        parts: list[Tensor] = []
        late: list[Tensor] = []
        if self.scaler is not None:
            assert halflife is not None, "this model needs half-life features"
            code = self.halflife_code(halflife)
            if self.join == "dense":
                late.append(code.flatten(1))
            else:
                parts.append(self.lift(code))
        if self.uses_dna:
            assert sequence is not None, "this model needs a sequence"
            dtype = next(self.parameters()).dtype
            parts.append(self.stem(self._hide(channels_first(sequence, self.inputs, dtype))))
        features = [self.trunk(torch.cat(parts, dim=2)).flatten(1)] if parts else []
        return self.shaped(self.dense(torch.cat([*features, *late], dim=1)))

    def halflife_code(self, halflife: Tensor) -> Tensor:
        """Return what joins the DNA of features ``(N, features)`` in their own units, ``(N, channels, positions)``."""
        assert self.scaler is not None, "this model reads no half-life features"
        scaled = self.scaler(halflife)
        code = self.encoder(scaled) if self.encoder else scaled
        return torch.cat([code, scaled], dim=1) if self.encoder and self.beside else code

    def _hide(self, sequence: Tensor) -> Tensor:
        """Set positions drawn at random to zero, as an unknown base is, in training alone; others keep their size."""
        if not (self.training and self.mask):
            return sequence
        seen = torch.rand(len(sequence), 1, sequence.shape[2], device=sequence.device) >= self.mask
        return sequence * seen
