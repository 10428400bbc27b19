import pytest
import torch
from toy_networks import BASES, CNNS, EMBEDDING, build, fill, inputs, shapes_of

from raygenex.config.load import parse_config
from raygenex.config.model import HalflifeConfig
from raygenex.models import build_model
from raygenex.models.base import InputShape

ENCODED = ("cnn_halflife_encoded", "cnn_halflife_only")


# Shapes


def test_the_default_has_the_layers_of_the_paper():
    section = parse_config({}, "test").model
    model = build_model(section, HalflifeConfig(), InputShape("embedding", 157, 256))
    shapes = shapes_of(model)
    weights = [shape for name, shape in shapes.items() if name.startswith("trunk") and name.endswith("weight")]
    assert weights == [(128, 256, 3), (64, 128, 3), (16, 64, 3), (4, 16, 3)]
    # 157 bins and 8 half-life positions halve to 83, 42, 21 and 11 positions of 4 channels.
    dense = [shape for name, shape in shapes.items() if name.startswith("dense") and name.endswith("weight")]
    assert dense == [(256, 44), (64, 256), (1, 64)]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_one_logit_a_gene(n):
    assert build()(*inputs(n=n)).shape == (n,)


# Inputs


def test_unused_inputs_may_be_none():
    sequence, halflife = inputs()
    dna, code = build("cnn_dna_only").eval(), build("cnn_halflife_only").eval()
    assert torch.equal(dna(sequence, None), dna(sequence, halflife))
    assert torch.equal(code(None, halflife), code(sequence, halflife))


def test_halflife_only_does_not_depend_on_the_input_shape():
    first, second = (build("cnn_halflife_only", shape).eval() for shape in (BASES, EMBEDDING))
    assert shapes_of(first) == shapes_of(second)
    assert torch.equal(first(None, inputs()[1]), second(None, inputs()[1]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.int32])
def test_bases_of_any_integer_type_are_the_same(dtype):
    model = build("cnn_dna_only").eval()
    sequence, _ = inputs()
    assert torch.equal(model(sequence.to(dtype), None), model(sequence, None))


def test_an_embedding_as_wide_as_the_network_enters_as_it_is():
    assert "stem" not in "".join(shapes_of(build("cnn_dna_only", InputShape("embedding", 5, 16), width=16)))


def test_the_encoder_is_part_of_the_encoded_kinds_alone():
    has = {kind: any(name.startswith("encoder") for name in shapes_of(build(kind))) for kind in CNNS}
    assert has == {kind: kind in ENCODED for kind in CNNS}
    assert "scaler.mean" not in shapes_of(build("cnn_dna_only"))


@pytest.mark.parametrize("join", ["positions", "dense"])
@pytest.mark.parametrize("bins", [None, 5])
@pytest.mark.parametrize("beside", [False, True])
def test_features_may_be_binned_and_stand_beside_their_code(join, bins, beside):
    halflife = HalflifeConfig(channels=(3, 4), bins=bins, beside=beside)
    channels = bins or 1
    model = build(halflife=halflife, join=join)
    assert shapes_of(model)["encoder.layers.0.weight"] == (3, channels, 3)
    code = 4 + (channels if beside else 0)
    if join == "positions":
        assert shapes_of(model)["lift.weight"] == (6, code, 1)
    else:
        dna = shapes_of(build("cnn_dna_only"))["dense.0.weight"][1]
        assert shapes_of(model)["dense.0.weight"][1] == dna + 8 * code
    assert torch.isfinite(model(*inputs())).all()
    raw = build("cnn_halflife_raw", halflife=halflife, join=join)
    if join == "dense":
        assert shapes_of(raw)["dense.0.weight"][1] == dna + 8 * channels
    assert torch.isfinite(raw(*inputs())).all()


def test_half_life_alone_may_go_past_the_convolutions():
    model = build("cnn_halflife_only", join="dense")
    assert not any(name.startswith(("trunk", "lift", "stem")) for name in shapes_of(model))
    assert shapes_of(model)["dense.0.weight"] == (8, 8 * 4)
    assert model(None, inputs()[1]).shape == (3,)


def test_hidden_positions_are_unknown_bases_and_only_in_training():
    model = build("cnn_dna_only", mask=0.3)
    plain = build("cnn_dna_only")
    sequence = inputs(n=200)[0]
    assert torch.equal(model.eval()(sequence, None), plain.eval()(sequence, None))
    entered = []
    for each in (model, plain):
        each.stem.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0]))
        each.train()(sequence, None)
    hidden, ones = entered
    # Whole positions, each seen or not, and the seen ones as they are.
    seen = ones.any(dim=1)
    kept = hidden.any(dim=1)
    assert torch.equal(hidden, ones * kept[:, None])
    assert kept[seen].float().mean().item() == pytest.approx(0.7, abs=0.02)
    assert ones.sum(dim=1).max() == 1


def test_dropout_of_the_convolutions_leaves_scores_alone():
    model, plain = build(trunk_dropout=0.5), build()
    assert shapes_of(model) == shapes_of(plain)
    assert torch.equal(model.eval()(*inputs()), plain.eval()(*inputs()))
    assert not torch.equal(model.train()(*inputs()), model.train()(*inputs()))


# Numbers by hand


def toy(kind, join="positions"):
    """Return a model of one channel over four bases whose logit is arithmetic.

    A base is worth 1 (A) to 4 (T), the convolution makes 2 v - 1 of it, and pairs of positions keep the larger.
    """
    model = build(
        kind, InputShape("bases", 4, 4), width=1, stem_kernel=1, channels=(1,), kernel_size=1, dense=(), join=join
    )
    if model.uses_dna:
        fill(model.stem[0], [1, 2, 3, 4], [0])
    fill(model.trunk[0], [2], [-1])
    return model.eval()


def test_dna_by_hand():
    model = toy("cnn_dna_only")
    fill(model.dense[0], [10, 1], [0.5])
    sequence = torch.tensor([[0, 3, 4, 2], [4, 4, 4, 4], [1, 0, 0, 0]], dtype=torch.uint8)
    # A T N G are worth 1 4 0 3, then 1 7 0 5, and of each pair 7 and 5. N N N N is worth nothing at all.
    assert model(sequence, None).tolist() == [70 + 5 + 0.5, 0.5, 30 + 1 + 0.5]


def test_halflife_joins_along_positions_in_front_of_the_dna():
    model = toy("cnn_halflife_raw")
    fill(model.dense[0], [1e0, 1e1, 1e2, 1e3, 1e4, 1e5], [0])
    model.scaler.mean.fill_(1.0)
    model.scaler.scale.fill_(2.0)
    halflife = torch.tensor([[3.0, 1.0, 5.0, 1.0, 1.0, 7.0, 1.0, 1.0]])
    # Scaled: 1 0 2 0 0 3 0 0, then 1 0 3 0 0 5 0 0, and of each pair 1 3 5 0; C A A A: 3 and 1.
    assert model(torch.tensor([[1, 0, 0, 0]], dtype=torch.uint8), halflife).tolist() == [130531.0]


def test_halflife_joins_at_the_first_dense_layer_behind_the_dna():
    model = toy("cnn_halflife_raw", join="dense")
    fill(model.dense[0], [1000, 10000, *range(1, 9)], [0])
    halflife = torch.tensor([[3.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]])
    # No convolution and no ReLU touches the features: 3 * 1 - 1 * 2 + 2 * 8 = 17.
    assert model(torch.tensor([[1, 0, 0, 0]], dtype=torch.uint8), halflife).tolist() == [3000 + 10000 + 17]


def test_an_odd_last_position_is_kept():
    model = build(
        "cnn_dna_only", InputShape("bases", 3, 4), width=1, stem_kernel=1, channels=(1,), kernel_size=1, dense=()
    )
    fill(model.stem[0], [1, 2, 3, 4], [0])
    fill(model.trunk[0], [1], [0])
    fill(model.dense[0], [1, 10], [0])
    assert model(torch.tensor([[0, 1, 3]], dtype=torch.uint8), None).tolist() == [2 + 40]
