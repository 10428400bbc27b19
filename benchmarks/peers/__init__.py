"""The comparisons of `benchmarks/peers.py`, a module for each kind of work."""
