"""Probabilities of genes, by a trained model."""
