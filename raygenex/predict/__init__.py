"""Probabilities of genes, by a trained model."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return `Predictor` where registered versions of 0.1.0 look for it: each loads by code of its own time."""
    if name != "Predictor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from raygenex.predict.predictor import Predictor

    return Predictor
