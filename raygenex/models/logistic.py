"""Logistic regression on k-mers, bases around the TSS and half-life features."""

import torch
from torch import Tensor, nn

from raygenex.config.model import Logistic
from raygenex.models.base import InputShape
from raygenex.models.tabular import TabularModel


class LogisticRegression(TabularModel):
    """A weight for each standardised feature, and a bias.

    Parameters
    ----------
    config
        Which features there are.
    inputs
        Shape of the DNA input, which must be bases.

    Attributes
    ----------
    mean, scale
        Of each feature over the training genes, shape ``(width,)``; a constant feature has scale 1.
    linear
        The weights and the bias.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: Logistic, inputs: InputShape) -> None:
        super().__init__(config, inputs)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))
        self.linear = nn.Linear(self.width, 1)

    def logits(self, features: Tensor) -> Tensor:
        """Return the weighted sum of the standardised features, shape ``(N,)``."""
        return self.linear((features - self.mean) / self.scale).squeeze(1)
