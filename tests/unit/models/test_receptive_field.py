"""Edited copies of sequences have the logits of whole passes, wherever and however wide they are edited."""

import numpy as np
import pytest
import torch

from raygenex.config.load import parse_config
from raygenex.models import build_model
from raygenex.models.base import InputShape
from raygenex.models.receptive_field import edited_logits, reads_bases, seen_width, whole_pass

WINDOW = 83
SIZES = {"width": 6, "stem_kernel": 5, "channels": [5, 4, 3], "dense": [7, 5]}
MODELS = {
    "features among the positions": SIZES,
    "features in the dense layer": SIZES | {"join": "dense", "pool": 4},
    "bases alone": SIZES | {"kind": "cnn_dna_only", "pool": 3, "kernel_size": 5},
    "one channel": SIZES | {"width": 1, "channels": [1, 1], "kernel_size": 1, "stem_kernel": 1},
    "no dense layer": SIZES | {"dense": [], "channels": [4]},
}


def build(values, window=WINDOW):
    """Return a network of large random weights, more of them above 0, so that no layer is silent."""
    config = parse_config({"model": values, "halflife": {"channels": [3, 4]}}, "test")
    torch.manual_seed(1)
    model = build_model(config.model, config.halflife, InputShape("bases", window, 4)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2).add_(weight.abs().max() / 2)
            if values.get("width") == 1:
                weight.abs_()
    return model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("bases", [1, 2, 7, WINDOW])
def test_edits_are_whole_passes_of_the_copies(name, bases):
    model = build(MODELS[name])
    rng = np.random.default_rng(bases)
    codes, halflife = rng.integers(0, 5, (3, WINDOW)).astype(np.uint8), rng.normal(size=(3, 8)).astype(np.float32)
    # Every place of every sequence, in no order.
    of, first = (array.ravel() for array in np.meshgrid(np.arange(3), np.arange(WINDOW - bases + 1)))
    order = rng.permutation(len(of))
    of, first = of[order], first[order]
    new = rng.integers(0, 5, (len(of), bases)).astype(np.uint8)
    copies = codes[of]
    np.put_along_axis(copies, first[:, None] + np.arange(bases), new, axis=1)
    with torch.inference_mode():
        features = torch.from_numpy(halflife)
        wanted = model(torch.from_numpy(copies), features[torch.from_numpy(of)])
        whole = whole_pass(model, torch.from_numpy(codes), features)
        own = model(torch.from_numpy(codes), features)
        found = edited_logits(model, whole, *(torch.from_numpy(values) for values in (of, first, new)))
    np.testing.assert_allclose(whole.logits, own, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    assert np.ptp(wanted.numpy()) > 1e-3


def test_a_wider_edit_is_seen_in_as_many_more_positions():
    model = build(SIZES)
    assert [seen_width(model, bases) - seen_width(model, 1) for bases in (1, 2, 9)] == [0, 1, 8]


def test_other_models_have_no_parts():
    config = parse_config({}, "test")
    embedding = InputShape("embedding", 10, 8)
    assert reads_bases(build(SIZES))
    assert not reads_bases(build_model(config.model, config.halflife, embedding))
    assert not reads_bases(build({"kind": "lstm"}, 96))
    assert not reads_bases(build({"kind": "cnn_halflife_only"}))
