"""Which gene is in which split."""
