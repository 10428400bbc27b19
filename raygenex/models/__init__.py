"""Torch models, called as ``model(sequence, halflife) -> logits``."""
