import math
from functools import partial

import pytest
import torch
from toy_networks import LONG, ONE_BIN, fill, inputs, set_values
from toy_networks import build as build_network

from raygenex.config.load import parse_config
from raygenex.models import build_model
from raygenex.models.base import InputShape
from raygenex.models.lstm import Lstm
from raygenex.train.checkpoint import CheckpointInfo, InputInfo, load_checkpoint, save_checkpoint, scaler_values
from raygenex.train.network.epochs import build_optimizer

build = partial(build_network, "lstm")


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


# Shapes


def test_it_uses_both_inputs_and_pretrains_nothing():
    model = build()
    assert isinstance(model, Lstm)
    assert model.uses_dna
    assert model.uses_halflife
    assert model.encoder is None


def test_the_optimizer_holds_every_parameter_and_each_gets_a_gradient():
    model = build(dropout=0.0)
    optimizer = build_optimizer(model, parse_config({"model": {"kind": "lstm"}}, "test"))
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    model(*inputs(n=16)).square().sum().backward()
    assert held == {id(parameter) for parameter in model.parameters()}
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_number_of_parameters_by_hand():
    # A stem of 4 * 2 * 3 + 2; in each direction four gates of 3 states from 2 inputs and 3 states, with two biases;
    # dense layers from 14 to 4 to 1.
    expected = 26 + 2 * (4 * 3 * (2 + 3) + 2 * 4 * 3) + (14 * 4 + 4) + (4 + 1)
    assert expected == 259
    assert parameters(build(width=2, stem_kernel=3, hidden=3, dense=(4,))) == expected
    # Neither the window nor the pooling changes it, and an embedding needs a stem of kernel 1 alone.
    assert parameters(build(LONG, width=2, stem_kernel=3, hidden=3, dense=(4,), pool=2)) == expected
    assert parameters(build(ONE_BIN, width=2, hidden=3, dense=(4,))) == expected - 26 + 16 * 2 + 2


# Numbers by hand


def toy(length, pool=2):
    """Return a model of one channel and one state in one direction, whose logit is the mean state.

    A base is worth 1 (A) to 4 (T). Its gates are open, input and output 1, and it forgets everything: the state after a
    step is tanh(tanh(value)).
    """
    shape = InputShape("bases", length, 4)
    model = build(shape, width=1, stem_kernel=1, hidden=1, pool=pool, bidirectional=False, dense=())
    fill(model.stem[0], [1, 2, 3, 4], [0])
    # The gates' order is input, forget, cell, output.
    set_values(model.lstm.weight_ih_l0, [0, 0, 1, 0])
    set_values(model.lstm.weight_hh_l0, [0, 0, 0, 0])
    set_values(model.lstm.bias_ih_l0, [50, -50, 0, 50])
    set_values(model.lstm.bias_hh_l0, [0, 0, 0, 0])
    fill(model.dense[0], [1] + [0] * 8, [0])
    return model.eval()


def state(value):
    return math.tanh(math.tanh(value))


def test_the_logit_by_hand():
    sequence = torch.tensor([[0, 3, 4, 2]], dtype=torch.uint8)
    # A T N G are worth 1 4 0 3, in pairs 2.5 and 1.5.
    assert toy(4)(sequence, torch.zeros(1, 8)).item() == pytest.approx((state(2.5) + state(1.5)) / 2, abs=1e-6)


def test_a_cut_last_step_is_the_mean_of_the_positions_that_it_has():
    sequence = torch.tensor([[0, 3, 2]], dtype=torch.uint8)
    assert toy(3)(sequence, torch.zeros(1, 8)).item() == pytest.approx((state(2.5) + state(3)) / 2, abs=1e-6)
    # A window of one letter throughout is the same at every length.
    values = [toy(n, pool=4)(torch.full((1, n), 1, dtype=torch.uint8), torch.zeros(1, 8)).item() for n in range(1, 10)]
    assert values == pytest.approx([state(2)] * 9, abs=1e-6)


def test_both_directions_are_read():
    shape = InputShape("bases", 16, 4)
    two, one = build(shape).eval(), build(shape, bidirectional=False).eval()
    assert two.dense[0].in_features == 2 * 5 + 8
    assert one.dense[0].in_features == 5 + 8


# Invariances


def test_the_middle_of_a_long_promoter_matters():
    model = build(LONG, width=16, hidden=16).eval()
    sequence, halflife = inputs(LONG, n=1)
    other = sequence.clone()
    other[:, 990:1010] = (other[:, 990:1010] + 1) % 4
    assert (model(sequence, halflife) - model(other, halflife)).abs().item() > 1e-6


def test_a_checkpoint_gives_the_model_back(tmp_path):
    config = parse_config({"model": {"kind": "lstm", "width": 6, "hidden": 5}}, "test")
    described = InputInfo(kind="bases", length=60, channels=4, window=60)
    model = build_model(config.model, config.halflife, described.shape).eval()
    model.scaler.fit(2 * inputs(n=50)[1] + 1)
    info = CheckpointInfo(config=config.dump(), config_hash=config.hash(), inputs=described)
    info.feature_scaler = scaler_values(model)
    save_checkpoint(tmp_path, model, info)
    loaded, found = load_checkpoint(tmp_path)
    assert isinstance(loaded, Lstm)
    assert torch.equal(loaded(*inputs()), model(*inputs()))
    assert found.feature_scaler == {"mean": model.scaler.mean.tolist(), "scale": model.scaler.scale.tolist()}
