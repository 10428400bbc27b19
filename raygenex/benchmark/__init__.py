"""Comparison of models: their trainings, the tables and the figures."""
