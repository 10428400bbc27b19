"""The convolutional predictor and its four input variants."""

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from raygenex.config import CnnConfig, HalflifeConfig, ModelSection
from raygenex.models.halflife import FEATURES, FeatureScaler, HalflifeEncoder


@dataclass(frozen=True)
class InputShape:
    """What the DNA branch receives.

    ``kind`` is ``bases`` (uint8 base indices, shape ``(N, length)``, ``channels`` 4) or ``embedding`` (binned
    embeddings, shape ``(N, length, channels)``).
    """

    kind: Literal["bases", "embedding"]
    length: int
    channels: int


class Cnn(nn.Module):
    """Four Conv1d + ReLU + max-pool blocks over DNA and half-life positions, then dense layers to one logit.

    Every layer size follows from the arguments, so all parameters exist before an optimizer is built.

    Parameters
    ----------
    config
        Sizes, dropout and the way the half-life code joins; its kind says which inputs are used.
    halflife
        Sizes of the half-life encoder, used by the encoded kinds.
    inputs
        Shape of the DNA input; ignored by ``cnn_halflife_only``.
    """

    def __init__(self, config: ModelSection, halflife: HalflifeConfig, inputs: InputShape) -> None:
        super().__init__()
        kind = config.kind
        self.uses_dna = kind != "cnn_halflife_only"
        self.uses_halflife = kind != "cnn_dna_only"
        self.inputs = inputs
        self.join = config.join
        positions = 0
        if self.uses_dna:
            self.stem = self._build_stem(config, inputs)
            positions += inputs.length
        beside = 0
        if self.uses_halflife:
            self.scaler = FeatureScaler()
            self.encoder = HalflifeEncoder(halflife.channels) if kind != "cnn_halflife_raw" else None
            code_width = self.encoder.width if self.encoder else 1
            if self.uses_dna and config.join == "dense":
                beside = code_width * FEATURES
            else:
                self.lift = nn.Conv1d(code_width, config.width, 1) if code_width != config.width else nn.Identity()
                positions += FEATURES
        self.trunk, flat = self._build_trunk(config, positions)
        self.dense = self._build_dense(config, flat + beside)

    @staticmethod
    def _build_stem(config: CnnConfig, inputs: InputShape) -> nn.Module:
        if inputs.kind == "bases":
            stem = nn.Conv1d(4, config.width, config.stem_kernel, padding=config.stem_kernel // 2)
            return nn.Sequential(stem, nn.ReLU())
        if inputs.channels == config.width:
            return nn.Identity()
        return nn.Conv1d(inputs.channels, config.width, 1)

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
        return nn.Sequential(*layers), positions * config.channels[-1]

    @staticmethod
    def _build_dense(config: CnnConfig, flat: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        widths = (flat, *config.dense)
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(config.dropout)]
        return nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, sequence: Tensor | None, halflife: Tensor | None) -> Tensor:
        """Return logits, shape ``(N,)``.

        Parameters
        ----------
        sequence
            Base indices ``(N, length)`` or binned embeddings ``(N, length, channels)``; may be None where unused.
        halflife
            Features in their own units, shape ``(N, 8)``; may be None where unused.
        """
        parts: list[Tensor] = []
        code: Tensor | None = None
        if self.uses_halflife:
            assert halflife is not None, "this model needs half-life features"
            scaled = self.scaler(halflife)
            code = self.encoder(scaled) if self.encoder else scaled[:, None, :]
            if not (self.uses_dna and self.join == "dense"):
                parts.append(self.lift(code))
        if self.uses_dna:
            assert sequence is not None, "this model needs a sequence"
            parts.append(self.stem(self._channels_first(sequence)))
        features = self.trunk(torch.cat(parts, dim=2)).flatten(1)
        if self.uses_dna and self.join == "dense" and code is not None:
            features = torch.cat([features, code.flatten(1)], dim=1)
        return self.dense(features).squeeze(1)

    def _channels_first(self, sequence: Tensor) -> Tensor:
        dtype = next(self.parameters()).dtype
        if self.inputs.kind == "bases":
            bases = torch.arange(4, device=sequence.device, dtype=sequence.dtype)
            return (sequence[:, None, :] == bases[:, None]).to(dtype)
        return sequence.to(dtype).transpose(1, 2)
