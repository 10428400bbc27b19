"""What the models on a table of k-mer features share: the way from bases to the table, and on to logits."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from raygenex.config.model import KmerConfig, Logistic, XgboostKmer
from raygenex.models.base import ExpressionModel, InputShape
from raygenex.models.booster import new_trees
from raygenex.models.kmers import feature_count, kmer_features


class TabularModel(ExpressionModel):
    """A model of the k-mer features of a promoter and the half-life features next to them.

    It reads bases, never embeddings, and is fitted to the whole table of the training genes at once. Inputs of length
    0, of genes without promoters, leave the half-life features alone.
    """

    def __init__(self, config: KmerConfig, inputs: InputShape, outputs: int = 1) -> None:
        assert inputs.kind == "bases", "k-mers are counted in bases"
        super().__init__(inputs, uses_dna=inputs.length > 0, uses_halflife=config.halflife, outputs=outputs)
        self.config = config

    @property
    def width(self) -> int:
        """Number of features."""
        return feature_count(self.config, self.inputs.length, self.inputs.features)

    def features(self, sequence: NDArray[np.uint8], halflife: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the table of some genes, shape ``(N, width)``, float32.

        Parameters
        ----------
        sequence
            Base indices, shape ``(N, length)``.
        halflife
            Features in their own units, shape ``(N, features)``; may be None where unused.
        """
        return kmer_features(sequence, halflife, self.config)

    def logits(self, features: Tensor) -> Tensor:
        """Return the outputs of a table of features, float32, shape ``(N,)``, or ``(N, outputs)`` of several."""
        raise NotImplementedError

    def forward(self, sequence: Tensor, halflife: Tensor | None) -> Tensor:
        """Return the outputs of what `features` takes, as tensors: see `logits`."""
        bases = sequence.to(torch.uint8).cpu().numpy()
        beside = halflife.float().cpu().numpy() if halflife is not None else None
        return self.logits(torch.from_numpy(self.features(bases, beside)).to(sequence.device))


class BoostedTrees(TabularModel):
    """XGBoost's trees on the table of features; they have no gradients, and always score on the CPU.

    Parameters are those of `TabularModel`; the rest of the configuration says how the trees are grown.
    """

    def __init__(self, config: XgboostKmer, inputs: InputShape, outputs: int = 1) -> None:
        super().__init__(config, inputs, outputs)
        self.booster = new_trees(outputs)

    def logits(self, features: Tensor) -> Tensor:
        """Return the summed leaves of all trees, float32, shape ``(N,)``, or ``(N, outputs)`` of several."""
        return self.booster.margin(features)


class LogisticRegression(TabularModel):
    """A weight for each standardised feature, and a bias, per output; parameters are those of `TabularModel`.

    A missing value is read as the mean. A feature beside the DNA that genes of train lack has one more column, the last
    ones of the table, that is 1 where it is missing and 0 elsewhere.

    Attributes
    ----------
    mean, scale
        Of each column over the training genes, shape ``(width,)``; a constant one has scale 1.
    linear
        The weights and the bias.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: Logistic, inputs: InputShape, outputs: int = 1) -> None:
        super().__init__(config, inputs, outputs)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))
        self.linear = nn.Linear(self.width, outputs)

    @property
    def _lacking(self) -> tuple[int, ...]:
        return self.inputs.lacking if self.uses_halflife else ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return super().width + len(self._lacking)

    def features(self, sequence: NDArray[np.uint8], halflife: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the table of some genes, shape ``(N, width)``: see the base class."""
        table = super().features(sequence, halflife)
        if not self._lacking:
            return table
        assert halflife is not None, "this model needs features"
        return np.hstack([table, np.isnan(halflife[:, self._lacking]).astype(np.float32)])

    def logits(self, features: Tensor) -> Tensor:
        """Return the weighted sums of the standardised features, shape ``(N,)``, or ``(N, outputs)`` of several."""
        standardised = (features - self.mean) / self.scale
        return self.shaped(self.linear(torch.where(standardised.isnan(), 0.0, standardised)))
