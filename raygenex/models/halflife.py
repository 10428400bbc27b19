"""The half-life branch: how features become numbers, and the paper's convolutional encoder."""

import itertools

import numpy as np
import torch
from torch import Tensor, nn

FEATURES = 8
# Width below which a bin is a step, in standard deviations: above the rounding of float32.
_NARROW = 1e-5


class FeatureScaler(nn.Module):
    """Turn half-life features into what a network reads, by the statistics of the training genes.

    Features are standardised. With ``bins``, each is then read by its quantiles: bin t is 0 below its lower edge, 1
    above its upper edge and rises linearly between them (the piecewise-linear encoding of Gorishniy et al. 2022), so
    that a network sees fine differences where genes are many. The statistics are buffers, so they travel with the
    weights and a model always takes features in their own units.

    Parameters
    ----------
    bins
        Quantile bins of each feature; None leaves it one number.
    """

    mean: Tensor
    scale: Tensor
    edges: Tensor
    """Edges of the bins in standard deviations, shape ``(bins + 1, 8)``, ascending; absent without bins."""

    def __init__(self, bins: int | None = None) -> None:
        super().__init__()
        self.channels = bins or 1
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        self.binned = bins is not None
        if bins is not None:
            self.register_buffer("edges", torch.linspace(-3.0, 3.0, bins + 1)[:, None].repeat(1, FEATURES))

    @torch.no_grad()
    def fit(self, halflife: Tensor) -> None:
        """Take the statistics of genes, shape ``(N, 8)``; a constant feature keeps scale 1."""
        wide = halflife.double()
        spread = wide.std(dim=0, correction=0)
        self.mean.copy_(wide.mean(dim=0))
        self.scale.copy_(torch.where(spread > 0, spread, 1.0))
        if self.binned:
            levels = np.linspace(0.0, 1.0, self.channels + 1)
            standardised = self.standardise(halflife.float()).double().numpy()
            self.edges.copy_(torch.from_numpy(np.quantile(standardised, levels, axis=0)))

    def standardise(self, halflife: Tensor) -> Tensor:
        """Return features in standard deviations from their mean, shape ``(N, 8)``."""
        return (halflife - self.mean) / self.scale

    def read(self, standardised: Tensor) -> Tensor:
        """Turn standardised features, shape ``(N, 8)``, into what a network reads, shape ``(N, channels, 8)``."""
        values = standardised[:, None, :]
        if not self.binned:
            return values
        lower, upper = self.edges[:-1], self.edges[1:]
        # Equal quantiles, of a value that many genes share, leave a bin without width: a step.
        return ((values - lower) / (upper - lower).clamp(min=_NARROW)).clamp(0.0, 1.0)

    def forward(self, halflife: Tensor) -> Tensor:
        """Return what a network reads of features in their own units, shape ``(N, channels, 8)``."""
        return self.read(self.standardise(halflife))


class HalflifeEncoder(nn.Module):
    """Conv1d + ReLU layers of kernel 3 over the eight features (1 -> 128 -> 256 -> 256 in the paper).

    ``inputs`` are the channels that `FeatureScaler` gives, ``channels`` those that each convolution gives.
    """

    def __init__(self, channels: tuple[int, ...], inputs: int = 1) -> None:
        super().__init__()
        widths = (inputs, *channels)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv1d(before, after, kernel_size=3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.width = widths[-1]

    def forward(self, scaled: Tensor) -> Tensor:
        """Turn scaled features, shape ``(N, inputs, 8)``, into a code, shape ``(N, channels[-1], 8)``, values >= 0."""
        return self.layers(scaled)


def triplet_violation(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return ``|a - p| - |a - n| + margin`` of each triplet, shape ``(N,)``, for codes ``(N, channels, 8)`` each.

    The distance is L2, between whole codes. A triplet that is apart by the margin has a value of 0 or less.
    """
    near = torch.linalg.vector_norm((anchor - positive).flatten(1), dim=1)
    far = torch.linalg.vector_norm((anchor - negative).flatten(1), dim=1)
    return near - far + margin


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the mean triplet loss, the positive part of `triplet_violation`, and the fraction that is satisfied."""
    violation = triplet_violation(anchor, positive, negative, margin)
    return violation.clamp(min=0).mean(), (violation <= 0).float().mean()
