"""Strongest regions and logos, by the letters that are drawn."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from raygenex.explain.results import logos
from raygenex.explain.results.logos import Stretch, strongest_stretches


def axes():
    return Figure(figsize=(4, 1.7)).subplots()


def letters(drawn):
    """Return position, letter colour and lower and upper end of every letter of a logo."""
    names = {tuple(np.round(colour, 3)): base for base, colour in zip("ACGT", map(rgb, "ACGT"), strict=True)}
    found = []
    for patch in drawn.patches:
        box = patch.get_path().get_extents(patch.get_patch_transform())
        colour = tuple(np.round(patch.get_facecolor()[:3], 3))
        if box.height:
            found.append((round((box.x0 + box.x1) / 2), names[colour], round(box.y0, 4), round(box.y1, 4)))
    return sorted(found)


def rgb(base):
    from matplotlib.colors import to_rgb

    return to_rgb(logos.BASE_COLOURS[base])


def test_regions_are_the_largest_that_do_not_overlap():
    values = np.array([[0, 5, -5, 0, 4, 0, 0, 0], [0, 0, 0, 0, 0, 0, 3, -3.5]])
    assert strongest_stretches(values, width=2, count=9) == [
        Stretch(0, 1, 3, 10.0),
        Stretch(1, 6, 8, 6.5),
        Stretch(0, 3, 5, 4.0),
    ]


def test_regions_of_each_gene_can_be_limited():
    values = np.array([[9, 0, 8, 0], [0, 0, 0, 7.0]])
    assert [r.row for r in strongest_stretches(values, 1, 3)] == [0, 0, 1]
    assert [r.row for r in strongest_stretches(values, 1, 3, per_gene=1)] == [0, 1]


def test_regions_pass_over_nan_and_fit_the_window():
    values = np.array([[np.nan, 1, 2]])
    assert strongest_stretches(values, width=40) == [Stretch(0, 0, 3, 3.0)]
    assert strongest_stretches(np.zeros((2, 5)), width=2) == []


def test_contribution_logo_has_the_gene_s_own_letters():
    bases = np.array([0, 3, 4, 2, 1], dtype=np.uint8)
    attribution = np.array([0.5, -0.25, 9, np.nan, 1.0])
    drawn = axes()
    assert logos.contribution_logo(drawn, bases, attribution, -2) is drawn
    assert letters(drawn) == [(-2, "A", 0, 0.5), (-1, "T", -0.25, 0), (2, "C", 0, 1.0)]
    assert (drawn.get_xlabel(), drawn.get_ylabel()) == ("Bases from the TSS", "Attribution (logit)")
    assert drawn.get_xlim() == (-2.5, 2.5)


def test_frequency_logo_is_as_high_as_its_information():
    frequency = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    np.testing.assert_allclose(logos.information(frequency), [2, 1, 0])
    drawn = axes()
    assert logos.frequency_logo(drawn, frequency) is drawn
    found = letters(drawn)
    assert found[0] == (1, "A", 0, 2)
    assert sorted(base for position, base, *_ in found if position == 2) == ["A", "C"]
    assert max(top for position, *_, top in found if position == 2) == pytest.approx(1)
    assert drawn.get_ylim() == (0, 2)


def test_consensus():
    assert logos.consensus(np.array([[0.9, 0.1, 0, 0], [0.4, 0.3, 0.3, 0], [0, 0, 0.5, 0.5]])) == "ANG"
