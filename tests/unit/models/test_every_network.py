"""What holds for every network, whatever it is made of."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from toy_models import sentence
from toy_networks import CNNS, EMBEDDING, ONE_BIN, SHAPES, build, inputs, learn, shape_name, shapes_of, size_name

from raygenex.config.load import parse_config
from raygenex.errors import ConfigError

CNN_SIZES = (
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
LSTM_SIZES = ({}, {"bidirectional": False}, {"layers": 2}, {"pool": 1}, {"pool": 7}, {"dense": ()}, {"stem_kernel": 1})
CNNS_OF_BOTH = ("cnn_halflife_encoded", "cnn_halflife_raw")
DENSE = {"join": "dense"}
NETWORKS = [(kind, {}) for kind in (*CNNS, "lstm")]
JOINED = [*NETWORKS, *((kind, DENSE) for kind in CNNS)]
OF_BOTH = [("lstm", {}), *((kind, join) for kind in CNNS_OF_BOTH for join in ({}, DENSE))]
EVERY_SIZE = [
    *((kind, sizes) for kind in CNNS for sizes in CNN_SIZES),
    *((kind, DENSE | {"dense": dense}) for kind in CNNS_OF_BOTH for dense in [(), (8, 4)]),
    *(("lstm", sizes) for sizes in LSTM_SIZES),
]


def cases(networks):
    return pytest.mark.parametrize(
        ("kind", "sizes"), networks, ids=[f"{kind}-{size_name(sizes)}" for kind, sizes in networks]
    )


@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@cases(EVERY_SIZE)
def test_every_network_is_whole_before_its_first_forward_pass(kind, shape, sizes):
    model = build(kind, shape, **sizes)
    before = shapes_of(model)
    assert all(type(parameter) is torch.nn.Parameter for parameter in model.parameters())
    logits = model(*inputs(shape, n=2))
    assert logits.shape == (2,)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    assert shapes_of(model) == before


@cases(NETWORKS)
def test_every_learned_weight_gets_a_gradient(kind, sizes):
    model = build(kind, dropout=0.0, **sizes)
    model(*inputs(n=16)).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


# Inputs


@pytest.mark.parametrize(
    ("kind", "missing"), [("cnn_halflife_encoded", 0), ("cnn_halflife_raw", 1), ("lstm", 0), ("lstm", 1)]
)
def test_a_needed_input_may_not_be_none(kind, missing):
    given = list(inputs())
    given[missing] = None
    with pytest.raises(AssertionError, match="this model needs"):
        build(kind)(*given)


@pytest.mark.parametrize(("kind", "shape"), [("cnn_dna_only", ONE_BIN), ("lstm", EMBEDDING)])
def test_embeddings_in_half_precision_are_widened(kind, shape):
    model = build(kind, shape).eval()
    sequence, halflife = inputs(shape)
    logits = model(sequence.half(), halflife)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, model(sequence.half().float(), halflife))


@pytest.mark.parametrize("kind", ["cnn_halflife_raw", "lstm"])
def test_features_enter_in_their_own_units(kind):
    model = build(kind).eval()
    sequence, halflife = inputs()
    scaled = model(sequence, halflife)
    model.scaler.mean.fill_(100.0)
    model.scaler.scale.fill_(20.0)
    torch.testing.assert_close(model(sequence, halflife * 20 + 100), scaled, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["cnn_dna_only", "lstm"])
def test_an_unknown_base_is_all_zero_and_not_an_a(kind):
    model = build(kind).eval()
    _, halflife = inputs(n=1)
    unknown, a = torch.full((1, 60), 4, dtype=torch.uint8), torch.zeros(1, 60, dtype=torch.uint8)
    before = model(unknown, halflife)
    assert not torch.equal(before, model(a, halflife))
    with torch.no_grad():
        model.stem[0].weight.mul_(-5)
    assert torch.equal(model(unknown, halflife), before)


@pytest.mark.parametrize(("kind", "kernel"), [("lstm", "stem_kernel"), ("autoencoder_xgboost", "kernel_size")])
def test_a_kernel_must_be_odd(kind, kernel):
    with pytest.raises(ConfigError) as info:
        parse_config({"model": {"kind": kind, kernel: 4}}, "test")
    sentence(info, f"model: {kernel} (4) must be odd")


# Invariances


@cases(JOINED)
def test_a_gene_does_not_depend_on_its_batch(kind, sizes):
    model = build(kind, **sizes).eval()
    sequence, halflife = inputs(n=7)
    whole = model(sequence, halflife)
    alone = torch.cat([model(sequence[i : i + 1], halflife[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(alone, whole, atol=1e-6, rtol=1e-5)
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    torch.testing.assert_close(model(sequence[order], halflife[order]), whole[order], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", CNNS)
def test_evaluation_is_deterministic_and_training_is_not(kind):
    model = build(kind, dense=(32,))
    assert torch.equal(model.eval()(*inputs()), model(*inputs()))
    model.train()
    assert not torch.equal(model(*inputs()), model(*inputs()))


@cases(NETWORKS)
def test_the_same_seed_builds_the_same_model(kind, sizes):
    first, second, third = (build(kind, seed=seed, **sizes).eval() for seed in (0, 0, 1))
    assert torch.equal(first(*inputs()), second(*inputs()))
    assert not torch.equal(first(*inputs()), third(*inputs()))


@cases(OF_BOTH)
def test_both_inputs_matter(kind, sizes):
    model = build(kind, **sizes).eval()
    sequence, halflife = inputs()
    logits = model(sequence, halflife)
    assert not torch.equal(model(inputs(seed=1)[0], halflife), logits)
    assert not torch.equal(model(sequence, inputs(seed=1)[1]), logits)


@cases([*((kind, {"channels": (16, 16)}) for kind in CNNS), ("lstm", {"hidden": 16, "pool": 4})])
def test_a_small_model_learns_32_genes_by_heart(kind, sizes):
    model = build(kind, width=16, dense=(32,), dropout=0.0, **sizes)
    sequence, halflife = inputs(n=32)
    label = torch.randint(0, 2, (32,), generator=torch.Generator().manual_seed(1)).float()
    assert learn(model, lambda: binary_cross_entropy_with_logits(model(sequence, halflife), label), 0.05, 300) < 0.05
