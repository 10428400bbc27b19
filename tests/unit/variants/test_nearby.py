"""Logits of a CNN on bases by parts, against whole passes of every window."""

import numpy as np
import pytest
from toy_models import save_toy, small_config

from raygenex.models.base import InputShape
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import InputInfo
from raygenex.variants import nearby
from raygenex.variants.nearby import nearby_logits

WINDOW = 200
MODEL = {"width": 6, "channels": [5, 4, 3], "stem_kernel": 5, "pool": 4, "dense": [6]}


def predictor(folder, model=MODEL, batch_size=8):
    save_toy(folder, small_config(model=model), InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW))
    return Predictor(folder, batch_size=batch_size)


def draw(rows=300, genes=5):
    """Return windows, and changed ones: most of them in few bases, at the ends too, some everywhere, some nowhere."""
    rng = np.random.default_rng(0)
    windows = rng.integers(0, 5, (genes, WINDOW)).astype(np.uint8)
    of = rng.integers(0, genes, rows)
    changed = windows[of]
    for row, width in enumerate(rng.choice([0, 1, 1, 1, 1, 2, 5, 30, 60, 130, WINDOW], rows).tolist()):
        first = int(rng.choice([0, WINDOW - width, rng.integers(0, WINDOW - width + 1)]))
        changed[row, first : first + width] = rng.integers(0, 5, width)
    return windows, rng.normal(size=(genes, 8)).astype(np.float32), of, changed


@pytest.mark.parametrize("join", ["positions", "dense"])
@pytest.mark.parametrize("kind", ["cnn_halflife_encoded", "cnn_halflife_raw", "cnn_dna_only"])
def test_logits_are_those_of_whole_passes(tmp_path, kind, join):
    model = predictor(tmp_path / "a", MODEL | {"kind": kind} | ({} if kind == "cnn_dna_only" else {"join": join}))
    windows, halflife, of, changed = draw()
    found = nearby_logits(model).logits(windows, halflife, of, changed)
    wanted = model.logits(changed, halflife[of])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert found.dtype == np.float64
    same = (changed == windows[of]).all(axis=1)
    assert 0 < same.sum() < len(same)
    # What is not changed has the logit of its gene, to the last digit.
    assert {(gene, logit) for gene, logit in zip(of[same], found[same], strict=True)} <= set(
        enumerate(nearby_logits(model).logits(windows, halflife, np.arange(5), windows))
    )


@pytest.mark.parametrize("few", [1, 24, 1000])
@pytest.mark.parametrize("numbers", [1, 2**20])
def test_logits_do_not_depend_on_how_they_are_cut(tmp_path, monkeypatch, few, numbers):
    model = predictor(tmp_path / "a", batch_size=2)
    given = draw(60)
    wanted = model.logits(given[3], given[1][given[2]])
    monkeypatch.setattr(nearby, "_FEW", few)
    monkeypatch.setattr(nearby, "_NUMBERS", numbers)
    np.testing.assert_allclose(nearby_logits(model).logits(*given), wanted, rtol=0, atol=1e-6)
    one_row = [given[0], given[1], given[2][:1], given[3][:1]]
    np.testing.assert_allclose(nearby_logits(model).logits(*one_row), wanted[:1], rtol=0, atol=1e-6)


def test_passes_are_as_wide_as_the_change(tmp_path, monkeypatch):
    scorer = nearby_logits(predictor(tmp_path / "a"))
    monkeypatch.setattr(nearby, "_FEW", 2)
    spans = np.array([1, 3, 0, 1, 4, 150, 9, 1])
    found = [(rows.tolist(), width) for rows, width in scorer._widths(spans)]
    # One change of nine bases alone waits for others, of which there are none before the whole window.
    assert found == [([0, 3, 7], 1), ([1, 4], 4), ([5, 6], WINDOW)]


def test_other_models_are_not_cut(tmp_path):
    model = predictor(tmp_path / "a")
    model.model.inputs = InputShape("embedding", WINDOW, 4)
    assert nearby_logits(model) is None
