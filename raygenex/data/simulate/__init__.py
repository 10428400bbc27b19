"""Simulated promoters, whose truth is known."""
