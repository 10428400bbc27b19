"""Metrics of predictions, and comparisons of two models."""
