"""Boosted trees on k-mers, bases around the TSS and half-life features."""

from torch import Tensor

from raygenex.config.model import XgboostKmer
from raygenex.models.base import InputShape
from raygenex.models.booster import Booster
from raygenex.models.tabular import TabularModel


class BoostedTrees(TabularModel):
    """XGBoost's trees on the table of features; they have no gradients, and always score on the CPU.

    Parameters
    ----------
    config
        Which features there are; the rest of it says how the trees are grown.
    inputs
        Shape of the DNA input, which must be bases.
    """

    def __init__(self, config: XgboostKmer, inputs: InputShape) -> None:
        super().__init__(config, inputs)
        self.booster = Booster()

    def logits(self, features: Tensor) -> Tensor:
        """Return the summed leaves of all trees, float32, shape ``(N,)``."""
        return self.booster.margin(features)
