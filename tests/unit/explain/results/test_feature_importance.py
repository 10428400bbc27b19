import numpy as np
import pytest

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.explain.results.feature_importance import (
    measurable,
    permutation_importance,
    quantity_importance,
    write_importance,
)
from raygenex.stats.compare import delong
from raygenex.stats.metrics import auroc

LABEL = np.array([1, 1, 0, 0], dtype=np.int8)
LOGIT = np.array([4.0, 3.0, 2.0, 1.0])


def permuted(*columns):
    """Return logits of one shuffle in which the first features have these logits, and the others change nothing."""
    found = np.tile(LOGIT[:, None, None], (1, 1, 8))
    for number, column in enumerate(columns):
        found[:, 0, number] = column
    return found


def test_drops_are_losses_of_auroc():
    # Reversed: no pair is right any more. One high gene below one low one: three of four pairs are right.
    found = permutation_importance(LABEL, LOGIT, permuted([1, 2, 3, 4], [4, 1.5, 2, 1]), HALFLIFE_FEATURES, 0.95)
    assert found.drop.tolist() == [1.0, 0.25, 0, 0, 0, 0, 0, 0]
    assert found.features == HALFLIFE_FEATURES
    assert found.largest == "UTR5LEN"
    # Reversed, every gene says the same: no spread. A feature that changes nothing loses nothing for sure.
    assert (found.low[0], found.high[0], found.low[2], found.high[2]) == (1.0, 1.0, 0.0, 0.0)


def test_with_one_shuffle_the_interval_is_delongs():
    rng = np.random.default_rng(0)
    label = (rng.random(60) < 0.4).astype(np.int8)
    logit, other = label + rng.normal(size=60), rng.normal(size=60)
    found = permutation_importance(label, logit, np.tile(other[:, None, None], (1, 1, 8)), HALFLIFE_FEATURES, 0.9)
    expected = delong(label, logit, other, 0.9)
    assert (found.drop[3], found.low[3], found.high[3]) == pytest.approx(expected[:3])


def test_shuffles_are_averaged():
    rng = np.random.default_rng(1)
    label = np.array([0, 1] * 20, dtype=np.int8)
    logit = label + rng.normal(size=40)
    logits = rng.normal(size=(40, 5, 8))
    found = permutation_importance(label, logit, logits, HALFLIFE_FEATURES, 0.95)
    mean = np.mean([auroc(label, logits[:, number, 2]) for number in range(5)])
    assert found.drop[2] == pytest.approx(auroc(label, logit) - mean)
    single = permutation_importance(label, logit, logits[:, :1], HALFLIFE_FEATURES, 0.95)
    assert (found.high - found.low).mean() < (single.high - single.low).mean()


@pytest.mark.parametrize(
    ("label", "known"), [([1, 1, 0, 0], True), ([1, 0, 0], False), ([-1, -1], False), ([1, 1, 0, 0, -1], False)]
)
def test_what_can_be_measured(label, known):
    assert measurable(np.array(label, dtype=np.int8)) is known


def test_the_table_has_the_largest_drop_first(tmp_path):
    found = permutation_importance(LABEL, LOGIT, permuted(LOGIT, [1, 2, 3, 4]), HALFLIFE_FEATURES, 0.95)
    write_importance(tmp_path / "halflife_importance.csv", found)
    lines = (tmp_path / "halflife_importance.csv").read_text().splitlines()
    assert lines[:3] == [
        "feature,drop,low,high",
        "CDSLEN,1.000000,1.000000,1.000000",
        "UTR5LEN,0.000000,0.000000,0.000000",
    ]
    assert len(lines) == 9


def test_drops_of_quantities_are_losses_of_r():
    measured = np.array([1.0, 2.0, np.nan, 3.0, 4.0])
    predicted = np.array([10.0, 20.0, 99.0, 30.0, 40.0])
    others = np.tile(predicted[:, None, None], (1, 2, 8))
    # Reversed once: r is -1 and 1. Constant twice: r is 0.
    others[:, 0, 0], others[:, :, 1] = [4, 3, 99, 2, 1], 5
    found = quantity_importance(measured, predicted, others, HALFLIFE_FEATURES, 0.95)
    assert found.drop == pytest.approx([1, 1, 0, 0, 0, 0, 0, 0])
    # Every gene lies on the line, so that none moves r = 1.
    assert found.low == pytest.approx(found.drop)
    for few in (np.full(5, np.nan), np.array([1.0, 2.0, *[np.nan] * 3]), np.full(5, 7.0)):
        assert quantity_importance(few, predicted, others, HALFLIFE_FEATURES, 0.95) is None
    assert quantity_importance(measured, np.ones(5), others, HALFLIFE_FEATURES, 0.95) is None


def test_intervals_of_quantities_are_those_of_resampled_genes():
    rng = np.random.default_rng(0)
    measured = rng.normal(size=400)
    predicted = measured + rng.normal(size=400)
    permuted = 0.5 * measured + rng.normal(size=400)
    others = np.tile(predicted[:, None, None], (1, 1, 8))
    others[:, 0, 0] = permuted
    found = quantity_importance(measured, predicted, others, HALFLIFE_FEATURES, 0.95)
    drops = []
    for _ in range(2000):
        rows = rng.integers(0, 400, 400)
        drops.append(
            np.corrcoef(measured[rows], predicted[rows])[0, 1] - np.corrcoef(measured[rows], permuted[rows])[0, 1]
        )
    assert [found.low[0], found.high[0]] == pytest.approx(np.percentile(drops, [2.5, 97.5]).tolist(), abs=0.01)
