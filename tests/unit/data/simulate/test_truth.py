"""The rule behind simulated genes."""

import numpy as np
import pytest

from raygenex.config.data import SimulateConfig
from raygenex.data.simulate.motifs import MOTIFS
from raygenex.data.simulate.truth import (
    COLUMNS,
    HALFLIFE_EFFECTS,
    SCORE_SD,
    SimulatedTruth,
    auroc,
    draw_truth,
    place_motifs,
)


def drawn(n=3000, seed=0, **settings):
    return draw_truth(SimulateConfig(**settings), n, np.random.default_rng(seed))


@pytest.mark.parametrize("window", [100, 512, 2000, 20_000])
def test_sites_lie_in_their_window_and_never_over_each_other(window):
    rng = np.random.default_rng(0)
    for _ in range(50):
        taken = np.zeros(window, dtype=int)
        for site in place_motifs(window, rng):
            start = window // 2 + site.position
            assert start >= 0
            assert start + site.motif.length <= window
            taken[start : start + site.motif.length] += 1
            assert any(low <= site.position <= high for low, high in site.motif.ranges)
            assert site.strand == "+" or site.motif.both_strands
        assert taken.max(initial=0) <= 1


def test_a_long_window_has_distal_sites():
    rng = np.random.default_rng(0)
    names = {site.motif.name for _ in range(100) for site in place_motifs(20_000, rng)}
    assert names == {motif.name for motif in MOTIFS}
    positions = [abs(site.position) for _ in range(100) for site in place_motifs(20_000, rng)]
    assert max(positions) > 1000


def test_scores_are_standardised():
    truth = drawn()
    for score in (truth.dna_score, truth.halflife_score):
        assert score.mean() == pytest.approx(0, abs=1e-9)
        assert score.std() == pytest.approx(SCORE_SD)


def test_labels_follow_their_probability():
    truth = drawn(20_000)
    for low in np.arange(0, 1, 0.2):
        here = (truth.probability >= low) & (truth.probability < low + 0.2)
        error = np.sqrt(0.25 / here.sum())
        assert truth.label[here].mean() == pytest.approx(truth.probability[here].mean(), abs=4 * error)


def test_interactions_are_beyond_a_linear_model():
    linear, crossed = drawn(interaction=0.0), drawn(interaction=2.0)

    def explained(truth: SimulatedTruth) -> float:
        inputs = np.column_stack([truth.halflife, np.ones(len(truth.label))])
        fitted = inputs @ np.linalg.lstsq(inputs, truth.halflife_score, rcond=None)[0]
        return 1 - np.var(truth.halflife_score - fitted) / np.var(truth.halflife_score)

    assert explained(linear) > 0.999
    assert explained(crossed) < 0.8
    assert len(HALFLIFE_EFFECTS) == 8


def test_a_line_has_every_column():
    truth = drawn(3)
    assert len(truth.line(0, "G", "train").rstrip("\n").split("\t")) == len(COLUMNS)


def test_auroc_by_hand():
    label = np.array([0, 1, 0, 1], dtype=np.uint8)
    # Pairs (0.1, 0.4), (0.1, 0.8), (0.4, 0.4), (0.4, 0.8): won, won, tied, won.
    assert auroc(label, np.array([0.1, 0.4, 0.4, 0.8])) == 3.5 / 4
    assert auroc(np.ones(3, dtype=np.uint8), np.arange(3.0)) is None
