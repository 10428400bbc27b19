"""Torch models, called as ``model(sequence, halflife) -> logits``."""

from raygenex.config import HalflifeConfig, ModelSection
from raygenex.models.cnn import Cnn, InputShape

__all__ = ["Cnn", "InputShape", "build_model"]


def build_model(model: ModelSection, halflife: HalflifeConfig, inputs: InputShape) -> Cnn:
    """Build the model of a configuration, with every layer sized for its inputs."""
    return Cnn(model, halflife, inputs)
