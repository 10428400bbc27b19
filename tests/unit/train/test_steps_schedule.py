"""The step size of every step."""

import math

import pytest

from raygenex.config.train import TrainConfig
from raygenex.train.steps import epoch_rate, learning_rate


def rates(steps: int = 10, **options: object) -> list[float]:
    config = TrainConfig(learning_rate=2.0, **options)
    return [learning_rate(config, step, steps) for step in range(steps)]


def test_constant_is_the_default():
    assert rates() == [2.0] * 10


def test_cosine_falls_from_the_full_step_to_nothing():
    found = rates(schedule="cosine")
    assert found == pytest.approx([1 + math.cos(math.pi * step / 10) for step in range(10)])
    assert found[0] == 2.0
    assert found[5] == pytest.approx(1.0)


def test_warm_up_rises_linearly_and_reaches_the_full_step_after_its_share():
    assert rates(warmup=0.3) == pytest.approx([0.5, 1.0, 1.5, *[2.0] * 7])
    found = rates(schedule="cosine", warmup=0.3)
    assert found[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert found[4:] == pytest.approx([1 + math.cos(math.pi * step / 7) for step in range(1, 7)])


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_every_step_moves(schedule: str, warmup: float, steps: int):
    assert all(0.0 < rate <= 2.0 for rate in rates(steps, schedule=schedule, warmup=warmup))


def test_epochs_continue_each_other():
    config = TrainConfig(epochs=3, learning_rate=2.0, schedule="cosine", warmup=0.2)
    joined = [epoch_rate(config, epoch, 4)(step) for epoch in range(3) for step in range(4)]
    assert joined == [learning_rate(config, step, 12) for step in range(12)]
