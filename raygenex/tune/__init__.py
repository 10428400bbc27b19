"""The search for better settings: Ray Tune with Optuna, its memory, and what comes of it."""
