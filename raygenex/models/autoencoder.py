"""The paper's AE+XGBoost: a convolutional autoencoder of the DNA, whose code and half-life features feed trees."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from raygenex.config.model import AutoencoderXgboost
from raygenex.models.base import ExpressionModel, InputShape, channels_first
from raygenex.models.booster import new_trees


class DnaEncoder(nn.Module):
    """Conv1d layers with ReLU and max-pooling between them: DNA in, a short code out.

    The last layer has neither, so that a code takes any value and a single channel cannot die.

    Attributes
    ----------
    lengths
        Positions that each layer works on, the input's length first.
    size
        Numbers in a code.
    """

    def __init__(self, config: AutoencoderXgboost, inputs: InputShape) -> None:
        super().__init__()
        self.inputs = inputs
        layers: list[nn.Module] = []
        self.lengths = [inputs.length]
        for before, after in itertools.pairwise((inputs.channels, *config.channels)):
            if layers:
                # ceil_mode keeps the last positions of an odd length.
                layers += [nn.ReLU(), nn.MaxPool1d(config.pool, ceil_mode=True)]
                self.lengths.append(-(-self.lengths[-1] // config.pool))
            layers.append(nn.Conv1d(before, after, config.kernel_size, padding=config.kernel_size // 2))
        self.layers = nn.Sequential(*layers)
        self.size = self.lengths[-1] * config.channels[-1]

    def forward(self, sequence: Tensor) -> Tensor:
        """Return codes, shape ``(N, channels[-1], lengths[-1])``, of base indices or embeddings."""
        dtype = next(self.parameters()).dtype
        return self.layers(channels_first(sequence, self.inputs, dtype))


class DnaDecoder(nn.Module):
    """The mirror of a `DnaEncoder`: what was pooled is repeated, and the convolutions run in reverse order."""

    def __init__(self, config: AutoencoderXgboost, encoder: DnaEncoder) -> None:
        super().__init__()
        widths = (*reversed(config.channels), encoder.inputs.channels)
        self.pool = config.pool
        self.lengths = encoder.lengths[::-1]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, config.kernel_size, padding=config.kernel_size // 2)
            for before, after in itertools.pairwise(widths)
        )

    def forward(self, code: Tensor) -> Tensor:
        """Return what the DNA input was, shape ``(N, channels, length)``: values, or logits of the four bases."""
        decoded = code
        for i, (layer, length) in enumerate(zip(self.layers, self.lengths, strict=True)):
            if i:
                decoded = relu(decoded).repeat_interleave(self.pool, dim=2)[:, :, :length]
            decoded = layer(decoded)
        return decoded


class Autoencoder(nn.Module):
    """An encoder and a decoder of DNA, called for how badly the one restores what the other saw."""

    def __init__(self, config: AutoencoderXgboost, inputs: InputShape) -> None:
        super().__init__()
        self.encoder = DnaEncoder(config, inputs)
        self.decoder = DnaDecoder(config, self.encoder)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return the reconstruction loss of every gene, shape ``(N,)``, float32.

        Of bases, it is the mean cross-entropy (nats) over the gene's known positions, 0 for a gene without any; of
        embeddings, the mean squared error over positions and channels.
        """
        restored = self.decoder(self.encoder(sequence)).float()
        if self.encoder.inputs.kind == "embedding":
            return (restored - sequence.float().transpose(1, 2)).square().mean(dim=(1, 2))
        known = sequence < 4
        losses = cross_entropy(restored, sequence.long().masked_fill(~known, 0), reduction="none")
        return (losses * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


class AutoencoderTrees(ExpressionModel):
    """Boosted trees on the code of the DNA and the half-life features; the trees have no gradients."""

    def __init__(self, config: AutoencoderXgboost, inputs: InputShape, outputs: int = 1) -> None:
        super().__init__(inputs, outputs=outputs)
        self.dna_encoder = DnaEncoder(config, inputs)
        self.booster = new_trees(outputs)

    @property
    def width(self) -> int:
        """Number of features that the trees read."""
        return self.dna_encoder.size + self.inputs.features

    def features(self, sequence: Tensor, halflife: Tensor) -> Tensor:
        """Return what the trees read, shape ``(N, width)``, float32: the code, then the half-life features.

        A tree's threshold is a value of some gene, and the last digits of a code depend on batch and machine. Codes are
        therefore rounded to float16, whose steps are a thousand times coarser, so that a gene stays on its side.
        """
        largest = torch.finfo(torch.float16).max
        code = self.dna_encoder(sequence).flatten(1).float().clamp(-largest, largest)
        return torch.cat([code.half().float(), halflife.float()], dim=1)

    def logits(self, features: Tensor) -> Tensor:
        """Return the summed leaves of all trees, float32, shape ``(N,)``, or ``(N, outputs)`` of several."""
        return self.booster.margin(features)

    def forward(self, sequence: Tensor | None, halflife: Tensor | None) -> Tensor:
        """Return `logits` of base indices or embeddings and half-life features: see the base class."""
        assert sequence is not None, "this model needs a sequence"
        assert halflife is not None, "this model needs half-life features"
        return self.logits(self.features(sequence, halflife))
