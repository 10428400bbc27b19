"""The half-life branch: how features become numbers, and the paper's convolutional encoder."""

import itertools

import numpy as np
import torch
from torch import Tensor, nn

FEATURES = 8
"""Half-life features, where no others are chosen."""

# Width below which a bin is a step, in standard deviations: above the rounding of float32.
_NARROW = 1e-5


class FeatureScaler(nn.Module):
    """Turn half-life features into what a network reads, by the statistics of the training genes.

    Features are standardised. With ``bins``, each is then read by its quantiles: bin t is 0 below its lower edge, 1
    above its upper edge and rises linearly between them (the piecewise-linear encoding of Gorishniy et al. 2022), so
    that a network sees fine differences where genes are many. The statistics are buffers, so they travel with the
    weights and a model always takes features in their own units.

    A missing value, NaN, is read as the mean. A feature that genes of train lack has one more position, behind all
    features, that is 1 where it is missing and 0 elsewhere.

    Parameters
    ----------
    bins
        Quantile bins of each feature; None leaves it one number.
    features
        Numbers per gene.
    lacking
        Places of those that genes of train lack.
    """

    mean: Tensor
    scale: Tensor
    edges: Tensor
    """Edges of the bins in standard deviations, shape ``(bins + 1, features)``, ascending; absent without bins."""

    def __init__(self, bins: int | None = None, features: int = FEATURES, lacking: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.channels = bins or 1
        self.features = features
        self.lacking = list(lacking)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.binned = bins is not None
        if bins is not None:
            self.register_buffer("edges", torch.linspace(-3.0, 3.0, bins + 1)[:, None].repeat(1, features))

    @torch.no_grad()
    def fit(self, halflife: Tensor) -> None:
        """Take the statistics of genes, shape ``(N, features)``, without what is missing; a constant has scale 1."""
        wide = halflife.double()
        mean, spread = wide.mean(dim=0), wide.std(dim=0, correction=0)
        for place in torch.nonzero(wide.isnan().any(dim=0))[:, 0].tolist():
            known = wide[~wide[:, place].isnan(), place]
            mean[place], spread[place] = known.mean(), known.std(correction=0)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(spread > 0, spread, 1.0))
        if self.binned:
            levels = np.linspace(0.0, 1.0, self.channels + 1)
            standardised = ((halflife.float() - self.mean) / self.scale).double().numpy()
            self.edges.copy_(torch.from_numpy(np.nanquantile(standardised, levels, axis=0)))

    @property
    def positions(self) -> int:
        """Features, and what says that some are missing."""
        return self.features + len(self.lacking)

    def standardise(self, halflife: Tensor) -> Tensor:
        """Return features in standard deviations from their mean, and what is missing, shape ``(N, positions)``."""
        standardised = (halflife - self.mean) / self.scale
        standardised = torch.where(standardised.isnan(), 0.0, standardised)
        if not self.lacking:
            return standardised
        return torch.cat([standardised, halflife[:, self.lacking].isnan().to(standardised.dtype)], dim=1)

    def read(self, standardised: Tensor) -> Tensor:
        """Turn what `standardise` gives into what a network reads, shape ``(N, channels, positions)``."""
        values = standardised[:, None, : self.features]
        if self.binned:
            lower, upper = self.edges[:-1], self.edges[1:]
            # Equal quantiles, of a value that many genes share, leave a bin without width: a step.
            values = ((values - lower) / (upper - lower).clamp(min=_NARROW)).clamp(0.0, 1.0)
        missing = standardised[:, None, self.features :].expand(-1, self.channels, -1)
        return torch.cat([values, missing], dim=2) if self.lacking else values

    def forward(self, halflife: Tensor) -> Tensor:
        """Return what a network reads of features in their own units, shape ``(N, channels, positions)``."""
        return self.read(self.standardise(halflife))


def fitted_scaler(halflife: Tensor, bins: int | None) -> FeatureScaler:
    """Return the scaler of the genes of train, shape ``(N, features)``, NaN where a value is missing."""
    lacking = torch.nonzero(halflife.isnan().any(dim=0))[:, 0].tolist()
    scaler = FeatureScaler(bins, halflife.shape[1], tuple(lacking))
    scaler.fit(halflife)
    return scaler


class HalflifeEncoder(nn.Module):
    """Conv1d + ReLU layers of kernel 3 over the features (1 -> 128 -> 256 -> 256 in the paper).

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
        """Turn scaled features ``(N, inputs, positions)`` into a code ``(N, channels[-1], positions)``, values >= 0."""
        return self.layers(scaled)


def triplet_violation(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return ``|a - p| - |a - n| + margin`` of each triplet, shape ``(N,)``, for codes ``(N, channels, positions)``.

    The distance is L2, between whole codes. A triplet that is apart by the margin has a value of 0 or less.
    """
    near = torch.linalg.vector_norm((anchor - positive).flatten(1), dim=1)
    far = torch.linalg.vector_norm((anchor - negative).flatten(1), dim=1)
    return near - far + margin


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the mean triplet loss, the positive part of `triplet_violation`, and the fraction that is satisfied."""
    violation = triplet_violation(anchor, positive, negative, margin)
    return violation.clamp(min=0).mean(), (violation <= 0).float().mean()
