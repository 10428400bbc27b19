import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from raygenex.config.load import parse_config
from raygenex.config.model import HalflifeConfig
from raygenex.models import build_model
from raygenex.models.base import InputShape

KINDS = ("cnn_halflife_encoded", "cnn_halflife_raw", "cnn_dna_only", "cnn_halflife_only")
ENCODED = ("cnn_halflife_encoded", "cnn_halflife_only")
BOTH = ("cnn_halflife_encoded", "cnn_halflife_raw")
SMALL_HALFLIFE = HalflifeConfig(channels=(3, 4))
SHAPES = (
    InputShape("bases", 1, 4),
    InputShape("bases", 7, 4),
    InputShape("bases", 60, 4),
    InputShape("bases", 513, 4),
    InputShape("embedding", 157, 128),
    InputShape("embedding", 1, 16),
)
SIZES = (
    {},
    {"width": 16},
    {"channels": (3,)},
    {"channels": (8, 7, 6, 5, 4, 3)},
    {"pool": 3},
    {"pool": 5, "channels": (4, 4)},
    {"kernel_size": 1, "stem_kernel": 1},
    {"kernel_size": 9, "stem_kernel": 25},
    {"dense": ()},
    {"dense": (3,)},
    {"dense": (5, 4, 3), "dropout": 0.0},
)


def shape_name(shape):
    return f"{shape.kind}-{shape.length}x{shape.channels}"


def size_name(sizes):
    return "-".join(f"{name}={value}" for name, value in sizes.items()).replace(" ", "") or "default"


def build(kind="cnn_halflife_encoded", shape=SHAPES[2], seed=0, halflife=SMALL_HALFLIFE, **sizes):
    small = {"width": 6, "stem_kernel": 5, "channels": (6, 5, 4, 3), "dense": (8, 4)}
    section = parse_config({"model": {"kind": kind} | small | sizes}, "test").model
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(section, halflife, shape)


def inputs(shape=SHAPES[2], n=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    halflife = torch.randn(n, 8, generator=generator)
    if shape.kind == "bases":
        return torch.randint(0, 5, (n, shape.length), generator=generator, dtype=torch.uint8), halflife
    return torch.randn(n, shape.length, shape.channels, generator=generator), halflife


def shapes_of(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def fill(layer, weight, bias):
    """Set the weights of a layer by hand."""
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight, dtype=torch.float32).reshape(layer.weight.shape))
        layer.bias.copy_(torch.tensor(bias, dtype=torch.float32).reshape(layer.bias.shape))


# Shapes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@pytest.mark.parametrize("sizes", SIZES, ids=size_name)
def test_every_model_is_whole_before_its_first_forward_pass(kind, shape, sizes):
    check_whole(build(kind, shape, **sizes), shape)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@pytest.mark.parametrize("dense", [(), (8, 4)])
def test_a_model_joined_at_the_dense_layer_is_whole_too(kind, shape, dense):
    check_whole(build(kind, shape, join="dense", dense=dense), shape)


def check_whole(model, shape):
    before = shapes_of(model)
    assert all(type(parameter) is torch.nn.Parameter for parameter in model.parameters())
    logits = model(*inputs(shape, n=2))
    assert logits.shape == (2,)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    assert shapes_of(model) == before


@pytest.mark.parametrize("kind", KINDS)
def test_every_learned_weight_gets_a_gradient(kind):
    model = build(kind, dropout=0.0)
    model(*inputs(n=16)).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


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
    first, second = (build("cnn_halflife_only", shape).eval() for shape in (SHAPES[0], SHAPES[4]))
    assert shapes_of(first) == shapes_of(second)
    assert torch.equal(first(None, inputs()[1]), second(None, inputs()[1]))


@pytest.mark.parametrize(("kind", "missing"), [("cnn_halflife_encoded", 0), ("cnn_halflife_raw", 1)])
def test_a_needed_input_may_not_be_none(kind, missing):
    given = list(inputs())
    given[missing] = None
    with pytest.raises(AssertionError, match="this model needs"):
        build(kind)(*given)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.int32])
def test_bases_of_any_integer_type_are_the_same(dtype):
    model = build("cnn_dna_only").eval()
    sequence, _ = inputs()
    assert torch.equal(model(sequence.to(dtype), None), model(sequence, None))


def test_embeddings_in_half_precision_are_widened():
    model = build("cnn_dna_only", SHAPES[5]).eval()
    sequence = inputs(SHAPES[5])[0].half()
    logits = model(sequence, None)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, model(sequence.float(), None))


def test_an_embedding_as_wide_as_the_network_enters_as_it_is():
    assert "stem" not in "".join(shapes_of(build("cnn_dna_only", InputShape("embedding", 5, 16), width=16)))


def test_the_encoder_is_part_of_the_encoded_kinds_alone():
    has = {kind: any(name.startswith("encoder") for name in shapes_of(build(kind))) for kind in KINDS}
    assert has == {kind: kind in ENCODED for kind in KINDS}
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


def test_features_enter_in_their_own_units():
    model = build("cnn_halflife_raw").eval()
    sequence, halflife = inputs()
    scaled = model(sequence, halflife)
    model.scaler.mean.fill_(100.0)
    model.scaler.scale.fill_(20.0)
    torch.testing.assert_close(model(sequence, halflife * 20 + 100), scaled, atol=1e-4, rtol=1e-4)


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


def test_an_unknown_base_is_all_zero_and_not_an_a():
    model = build("cnn_dna_only", InputShape("bases", 9, 4)).eval()
    unknown, a = torch.full((1, 9), 4, dtype=torch.uint8), torch.zeros(1, 9, dtype=torch.uint8)
    assert not torch.equal(model(unknown, None), model(a, None))
    with torch.no_grad():
        model.stem[0].weight.mul_(2)
        before = model(unknown, None)
        model.stem[0].weight.mul_(-5)
        assert torch.equal(model(unknown, None), before)


# Invariances


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("join", ["positions", "dense"])
def test_a_gene_does_not_depend_on_its_batch(kind, join):
    model = build(kind, join=join).eval()
    sequence, halflife = inputs(n=7)
    whole = model(sequence, halflife)
    alone = torch.cat([model(sequence[i : i + 1], halflife[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(alone, whole, atol=1e-6, rtol=1e-5)
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    torch.testing.assert_close(model(sequence[order], halflife[order]), whole[order], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_is_deterministic_and_training_is_not(kind):
    model = build(kind, dense=(32,))
    assert torch.equal(model.eval()(*inputs()), model(*inputs()))
    model.train()
    assert not torch.equal(model(*inputs()), model(*inputs()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_builds_the_same_model(kind):
    first, second, third = build(kind).eval(), build(kind).eval(), build(kind, seed=1).eval()
    assert torch.equal(first(*inputs()), second(*inputs()))
    assert not torch.equal(first(*inputs()), third(*inputs()))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("join", ["positions", "dense"])
def test_both_inputs_matter(kind, join):
    model = build(kind, join=join).eval()
    sequence, halflife = inputs()
    logits = model(sequence, halflife)
    assert not torch.equal(model(inputs(seed=1)[0], halflife), logits)
    assert not torch.equal(model(sequence, inputs(seed=1)[1]), logits)


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_model_learns_32_genes_by_heart(kind):
    model = build(kind, width=16, channels=(16, 16), dense=(32,), dropout=0.0)
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
