"""The half-life branch: feature scaling and the paper's convolutional encoder."""

import itertools

import torch
from torch import Tensor, nn

FEATURES = 8


class FeatureScaler(nn.Module):
    """Standardise half-life features with the mean and spread of the training genes.

    The statistics are buffers, so they travel with the weights and a model always takes features in their own units.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    @torch.no_grad()
    def fit(self, halflife: Tensor) -> None:
        """Take mean and standard deviation over genes, shape ``(N, 8)``; a constant feature keeps scale 1."""
        wide = halflife.double()
        spread = wide.std(dim=0, correction=0)
        self.mean.copy_(wide.mean(dim=0))
        self.scale.copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, halflife: Tensor) -> Tensor:
        """Return standardised features, shape ``(N, 8)``."""
        return (halflife - self.mean) / self.scale


class HalflifeEncoder(nn.Module):
    """Conv1d + ReLU layers of kernel 3 over the eight features (1 -> 128 -> 256 -> 256 in the paper).

    Parameters
    ----------
    channels
        Output channels of each convolution.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        widths = (1, *channels)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv1d(before, after, kernel_size=3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.width = widths[-1]

    def forward(self, scaled: Tensor) -> Tensor:
        """Turn standardised features, shape ``(N, 8)``, into a code, shape ``(N, channels[-1], 8)``, values >= 0."""
        return self.layers(scaled[:, None, :])


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the mean triplet loss and the fraction of triplets that are already apart by the margin.

    ``max(0, |a - p| - |a - n| + margin)`` with the L2 distance between whole codes, shape ``(N, channels, 8)`` each.
    """
    near = torch.linalg.vector_norm((anchor - positive).flatten(1), dim=1)
    far = torch.linalg.vector_norm((anchor - negative).flatten(1), dim=1)
    violation = near - far + margin
    return violation.clamp(min=0).mean(), (violation <= 0).float().mean()
