"""Torch models, called as ``model(sequence, halflife) -> logits``."""

from typing import TYPE_CHECKING

from raygenex.config.model import (
    AutoencoderXgboost,
    HalflifeConfig,
    Logistic,
    LstmConfig,
    ModelSection,
    XgboostKmer,
)

if TYPE_CHECKING:
    from raygenex.models.base import ExpressionModel, InputShape


def build_model(
    model: ModelSection, halflife: HalflifeConfig, inputs: "InputShape", outputs: int = 1
) -> "ExpressionModel":
    """Build the model of a configuration, with every layer sized for its inputs and its ``outputs`` per gene."""
    # Here, so that counting k-mers, as a dry run does, loads no torch.
    from raygenex.models.autoencoder import AutoencoderTrees
    from raygenex.models.cnn import Cnn
    from raygenex.models.lstm import Lstm
    from raygenex.models.tabular import BoostedTrees, LogisticRegression

    if isinstance(model, LstmConfig):
        return Lstm(model, halflife, inputs, outputs)
    if isinstance(model, AutoencoderXgboost):
        return AutoencoderTrees(model, inputs, outputs)
    if isinstance(model, XgboostKmer):
        return BoostedTrees(model, inputs, outputs)
    if isinstance(model, Logistic):
        return LogisticRegression(model, inputs, outputs)
    return Cnn(model, halflife, inputs, outputs)
