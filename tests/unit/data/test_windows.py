import pytest

from raygenex.data.windows import window_bounds


@pytest.mark.parametrize(
    ("tss", "strand", "first", "stop", "bounds"),
    [
        (1, "+", 0, 1, (0, 1)),
        (11, "+", -3, 2, (7, 12)),
        (11, "-", -3, 2, (9, 14)),
        (11, "-", 0, 1, (10, 11)),
        (2, "+", -5, 5, (-4, 6)),
        (2, "-", 3, 5, (-3, -1)),
    ],
)
def test_window_bounds(tss, strand, first, stop, bounds):
    assert window_bounds(tss, strand, first, stop) == bounds
