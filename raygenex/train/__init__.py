"""Half-life pretraining, DDP training and checkpoints."""
