"""The step size of an optimizer over a training."""

import math
from collections.abc import Callable

from raygenex.config.run import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the step size of one step, a function of its number alone, so that a resumed training goes on as it was.

    Over the first ``warmup`` of all steps it rises linearly to ``learning_rate``, which the step after them has. From
    there it stays (``constant``), or falls along half a cosine to 0, which the step after the last would have
    (``cosine``; Loshchilov & Hutter 2017, without restarts).

    Parameters
    ----------
    config
        ``learning_rate``, ``schedule`` and ``warmup``.
    step
        Number of the step over all epochs, from 0.
    steps
        Steps of all epochs together.
    """
    rising = round(config.warmup * steps)
    if step < rising:
        return config.learning_rate * (step + 1) / (rising + 1)
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


def epoch_rate(config: TrainConfig, epoch: int, steps: int) -> Callable[[int], float]:
    """Return the step size as a function of a step of one epoch, ``epoch`` from 0, of ``steps`` steps."""
    return lambda step: learning_rate(config, epoch * steps + step, config.epochs * steps)
