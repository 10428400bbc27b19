import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from toy_models import sentence

from raygenex.config.load import parse_config
from raygenex.config.model import HalflifeConfig, LstmConfig
from raygenex.errors import ConfigError
from raygenex.models import build_model
from raygenex.models.base import InputShape
from raygenex.models.lstm import Lstm
from raygenex.train.checkpoint import CheckpointInfo, InputInfo, load_checkpoint, save_checkpoint, scaler_values
from raygenex.train.network.epochs import build_optimizer

SHAPES = (
    InputShape("bases", 1, 4),
    InputShape("bases", 7, 4),
    InputShape("bases", 60, 4),
    InputShape("bases", 512, 4),
    InputShape("bases", 2000, 4),
    InputShape("embedding", 157, 128),
    InputShape("embedding", 1, 16),
)
SIZES = ({}, {"bidirectional": False}, {"layers": 2}, {"pool": 1}, {"pool": 7}, {"dense": ()}, {"stem_kernel": 1})
BASES = SHAPES[2]


def shape_name(shape):
    return f"{shape.kind}-{shape.length}x{shape.channels}"


def size_name(sizes):
    return "-".join(f"{name}={value}" for name, value in sizes.items()).replace(" ", "") or "default"


def build(shape=BASES, seed=0, **sizes):
    section = LstmConfig(**({"width": 6, "stem_kernel": 5, "hidden": 5, "dense": (8,)} | sizes))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(section, HalflifeConfig(), shape)


def inputs(shape=BASES, n=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    halflife = torch.randn(n, 8, generator=generator)
    if shape.kind == "bases":
        return torch.randint(0, 5, (n, shape.length), generator=generator, dtype=torch.uint8), halflife
    return torch.randn(n, shape.length, shape.channels, generator=generator), halflife


def fill(tensor, values):
    with torch.no_grad():
        tensor.copy_(torch.tensor(values, dtype=torch.float32).reshape(tensor.shape))


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


# Shapes


@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@pytest.mark.parametrize("sizes", SIZES, ids=size_name)
def test_every_model_is_whole_before_its_first_forward_pass(shape, sizes):
    model = build(shape, **sizes)
    before = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert all(type(parameter) is torch.nn.Parameter for parameter in model.parameters())
    logits = model(*inputs(shape, n=2))
    assert logits.shape == (2,)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == before


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
    assert parameters(build(SHAPES[4], width=2, stem_kernel=3, hidden=3, dense=(4,), pool=2)) == expected
    assert parameters(build(SHAPES[6], width=2, hidden=3, dense=(4,))) == expected - 26 + 16 * 2 + 2


def test_a_kernel_must_be_odd():
    with pytest.raises(ConfigError) as info:
        parse_config({"model": {"kind": "lstm", "stem_kernel": 4}}, "test")
    sentence(info, "model: stem_kernel (4) must be odd")


# Inputs


@pytest.mark.parametrize("missing", [0, 1])
def test_an_input_may_not_be_none(missing):
    given = list(inputs())
    given[missing] = None
    with pytest.raises(AssertionError, match="this model needs"):
        build()(*given)


def test_features_enter_in_their_own_units():
    model = build().eval()
    sequence, halflife = inputs()
    scaled = model(sequence, halflife)
    model.scaler.mean.fill_(100.0)
    model.scaler.scale.fill_(20.0)
    torch.testing.assert_close(model(sequence, halflife * 20 + 100), scaled, atol=1e-4, rtol=1e-4)


def test_an_unknown_base_is_all_zero_and_not_an_a():
    model = build().eval()
    _, halflife = inputs(n=1)
    unknown, a = torch.full((1, 60), 4, dtype=torch.uint8), torch.zeros(1, 60, dtype=torch.uint8)
    before = model(unknown, halflife)
    assert not torch.equal(before, model(a, halflife))
    with torch.no_grad():
        model.stem[0].weight.mul_(-5)
    assert torch.equal(model(unknown, halflife), before)


def test_embeddings_in_half_precision_are_widened():
    model = build(SHAPES[5]).eval()
    sequence, halflife = inputs(SHAPES[5])
    logits = model(sequence.half(), halflife)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, model(sequence.half().float(), halflife))


# Numbers by hand


def toy(length, pool=2):
    """Return a model of one channel and one state in one direction, whose logit is the mean state.

    A base is worth 1 (A) to 4 (T). Its gates are open, input and output 1, and it forgets everything: the state after a
    step is tanh(tanh(value)).
    """
    shape = InputShape("bases", length, 4)
    model = build(shape, width=1, stem_kernel=1, hidden=1, pool=pool, bidirectional=False, dense=())
    fill(model.stem[0].weight, [1, 2, 3, 4])
    fill(model.stem[0].bias, [0])
    # The gates' order is input, forget, cell, output.
    fill(model.lstm.weight_ih_l0, [0, 0, 1, 0])
    fill(model.lstm.weight_hh_l0, [0, 0, 0, 0])
    fill(model.lstm.bias_ih_l0, [50, -50, 0, 50])
    fill(model.lstm.bias_hh_l0, [0, 0, 0, 0])
    fill(model.dense[0].weight, [1] + [0] * 8)
    fill(model.dense[0].bias, [0])
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


def test_a_gene_does_not_depend_on_its_batch():
    model = build().eval()
    sequence, halflife = inputs(n=7)
    whole = model(sequence, halflife)
    alone = torch.cat([model(sequence[i : i + 1], halflife[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(alone, whole, atol=1e-6, rtol=1e-5)
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    torch.testing.assert_close(model(sequence[order], halflife[order]), whole[order], atol=1e-6, rtol=1e-5)


def test_the_same_seed_builds_the_same_model():
    first, second, third = build().eval(), build().eval(), build(seed=1).eval()
    assert torch.equal(first(*inputs()), second(*inputs()))
    assert not torch.equal(first(*inputs()), third(*inputs()))


def test_both_inputs_matter():
    model = build().eval()
    sequence, halflife = inputs()
    logits = model(sequence, halflife)
    assert not torch.equal(model(inputs(seed=1)[0], halflife), logits)
    assert not torch.equal(model(sequence, inputs(seed=1)[1]), logits)


def test_the_middle_of_a_long_promoter_matters():
    model = build(SHAPES[4], width=16, hidden=16).eval()
    sequence, halflife = inputs(SHAPES[4], n=1)
    other = sequence.clone()
    other[:, 990:1010] = (other[:, 990:1010] + 1) % 4
    assert (model(sequence, halflife) - model(other, halflife)).abs().item() > 1e-6


def test_a_small_model_learns_32_genes_by_heart():
    model = build(width=16, hidden=16, pool=4, dense=(32,), dropout=0.0)
    sequence, halflife = inputs(n=32)
    label = torch.randint(0, 2, (32,), generator=torch.Generator().manual_seed(1)).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        loss = binary_cross_entropy_with_logits(model(sequence, halflife), label)
        if loss < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


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
