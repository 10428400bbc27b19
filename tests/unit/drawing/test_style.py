"""Labels of axes."""

import pytest
from matplotlib.figure import Figure

from raygenex.drawing.style import wrapped


@pytest.fixture
def axes():
    return Figure(figsize=(4, 2)).subplots()


def test_labels_that_fit_stay(axes):
    label = "Mean importance (logit)\naverage of 5 bases"
    assert wrapped(axes, label) == wrapped(axes, label, upright=True) == label


def test_long_labels_break_at_blanks(axes):
    label = "Predicted tissue, standard deviations of the true level"
    level, upright = wrapped(axes, label), wrapped(axes, label, upright=True)
    assert level.replace("\n", " ") == upright.replace("\n", " ") == label
    # The figure is twice as wide as it is high.
    assert max(map(len, upright.split("\n"))) <= 24 < max(map(len, level.split("\n"))) <= 40
    assert wrapped(axes, label, points=17).count("\n") > level.count("\n")
    assert wrapped(axes, "x" * 99) == "x" * 99
