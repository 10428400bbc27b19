import math

import numpy as np
import pytest
import torch
from toy_networks import BASES, SHAPES, fill, inputs, learn, shape_name, shapes_of, size_name

from raygenex.config.load import parse_config
from raygenex.config.model import AutoencoderXgboost, HalflifeConfig
from raygenex.models import build_model
from raygenex.models.autoencoder import Autoencoder, AutoencoderTrees, DnaEncoder
from raygenex.models.base import InputShape
from raygenex.models.booster import Booster
from raygenex.train.checkpoint import CheckpointInfo, InputInfo, load_checkpoint, save_checkpoint, scaler_values

xgboost = pytest.importorskip("xgboost")

SIZES = ({}, {"channels": (5, 2)}, {"kernel_size": 1}, {"kernel_size": 5, "pool": 3})


def section(**sizes):
    return AutoencoderXgboost(**({"channels": (6, 5, 4, 3, 1)} | sizes))


def autoencoder(shape=BASES, seed=0, **sizes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Autoencoder(section(**sizes), shape)


def grow(features, seed=0, rounds=5):
    """Return trees that separate random labels of some genes."""
    label = np.random.default_rng(seed).integers(0, 2, len(features))
    matrix = xgboost.DMatrix(features.numpy(), label=label)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, matrix, rounds)


def whole(shape=BASES, seed=0, **sizes):
    """Return a model with trees."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(section(**sizes), HalflifeConfig(), shape).eval()
    with torch.no_grad():
        model.booster.keep(grow(model.features(*inputs(shape, n=60, seed=5))))
    return model


# Shapes


@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@pytest.mark.parametrize("sizes", SIZES, ids=size_name)
def test_an_autoencoder_restores_the_shape_of_its_input(shape, sizes):
    model = autoencoder(shape, **sizes)
    before = shapes_of(model)
    sequence, _ = inputs(shape, n=2)
    code = model.encoder(sequence)
    assert code.flatten(1).shape == (2, model.encoder.size)
    assert model.decoder(code).shape == (2, shape.channels, shape.length)
    losses = model(sequence)
    assert losses.shape == (2,)
    assert torch.isfinite(losses).all()
    assert shapes_of(model) == before


def test_the_code_is_halved_between_the_layers():
    config = AutoencoderXgboost()
    encoder = DnaEncoder(config, InputShape("embedding", 157, 256))
    weights = [tuple(tensor.shape) for name, tensor in encoder.state_dict().items() if name.endswith("weight")]
    assert weights == [(128, 256, 3), (64, 128, 3), (32, 64, 3), (1, 32, 3)]
    assert encoder.lengths == [157, 79, 40, 20]
    assert encoder.size == 20
    assert DnaEncoder(config, InputShape("bases", 20000, 4)).size == 2500


def test_the_number_of_parameters_by_hand():
    model = autoencoder(channels=(3, 1))
    # 4 to 3 to 1 channels and back, kernel 3, with biases.
    encoder, decoder = (4 * 3 * 3 + 3) + (3 * 1 * 3 + 1), (1 * 3 * 3 + 3) + (3 * 4 * 3 + 4)
    assert (encoder, decoder) == (49, 52)
    assert sum(parameter.numel() for parameter in model.encoder.parameters()) == encoder
    assert sum(parameter.numel() for parameter in model.decoder.parameters()) == decoder


def test_every_parameter_learns():
    model = autoencoder()
    model(inputs(n=16)[0]).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


# Numbers by hand


def toy():
    """Return an autoencoder of one channel: a base is worth 1 (A) to 4 (T), and the larger v of a pair is 2 v - 9."""
    model = autoencoder(InputShape("bases", 4, 4), channels=(1, 1), kernel_size=1)
    fill(model.encoder.layers[0], [1, 2, 3, 4], [0])
    fill(model.encoder.layers[3], [2], [-9])
    fill(model.decoder.layers[0], [1], [2])
    return model


def test_codes_and_logits_by_hand():
    model = toy()
    fill(model.decoder.layers[1], [1, 0, -1, 0], [0, 5, 0, 0])
    code = model.encoder(torch.tensor([[0, 3, 4, 2], [4, 4, 1, 0]], dtype=torch.uint8))
    # A T N G are worth 1 4 0 3, of each pair 4 and 3; N N C A 0 and 2. A code may be below 0.
    assert code.tolist() == [[[-1.0, -3.0]], [[-9.0, -5.0]]]
    # Back: 1 and -1, after ReLU 1 and 0, each for two positions.
    assert model.decoder(code)[0].tolist() == [[1, 1, 0, 0], [5, 5, 5, 5], [-1, -1, 0, 0], [0, 0, 0, 0]]


def test_the_loss_of_bases_is_the_mean_cross_entropy_of_the_known_ones():
    model = toy()
    fill(model.decoder.layers[1], [0, 0, 0, 0], [math.log(share) for share in (0.4, 0.3, 0.2, 0.1)])
    losses = model(torch.tensor([[0, 3, 4, 2], [1, 1, 1, 1], [4, 4, 4, 4]], dtype=torch.uint8))
    expected = [-(math.log(0.4) + math.log(0.1) + math.log(0.2)) / 3, -math.log(0.3), 0.0]
    assert losses.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_loss_of_embeddings_is_the_mean_squared_error():
    model = autoencoder(InputShape("embedding", 3, 2), channels=(2, 1))
    fill(model.decoder.layers[1], np.zeros((2, 2, 3)), [1.0, -1.0])
    sequence = torch.tensor([[[1.0, 1.0], [3.0, -1.0], [1.0, 2.0]]])
    # Restored is 1 and -1 throughout: the errors are 0 2, 2 0, 0 3.
    assert model(sequence).item() == pytest.approx((4 + 4 + 9) / 6)
    assert model(sequence.half()).item() == pytest.approx((4 + 4 + 9) / 6)


def test_what_the_decoder_says_of_unknown_positions_has_no_gradient():
    model = autoencoder()
    restored = torch.randn(1, 4, 60, requires_grad=True)
    model.decoder.forward = lambda code: restored
    sequence, _ = inputs(n=1)
    model(sequence).sum().backward()
    touched = restored.grad.abs().sum(dim=(0, 1)) > 0
    assert torch.equal(touched, sequence[0] < 4)


# Trees on the code


def test_the_trees_read_the_code_and_then_the_features():
    model = whole()
    sequence, halflife = inputs()
    with torch.no_grad():
        features = model.features(sequence, halflife)
        code = model.dna_encoder(sequence).flatten(1)
    assert model.width == features.shape[1] == 4 + 8
    assert torch.equal(features[:, 4:], halflife)
    assert torch.equal(features[:, :4], code.half().float())
    assert isinstance(model, AutoencoderTrees)
    assert model.scaler is None
    assert scaler_values(model) is None


def test_codes_beyond_float16_stay_finite():
    model = whole()
    with torch.no_grad():
        model.dna_encoder.layers[-1].weight.mul_(1e9)
        assert torch.isfinite(model(*inputs())).all()


@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
def test_logits_are_those_of_the_trees(shape):
    model = whole(shape)
    sequence, halflife = inputs(shape, n=9)
    with torch.inference_mode():
        logits = model(sequence, halflife)
        features = model.features(sequence, halflife)
    assert logits.shape == (9,)
    assert logits.dtype == torch.float32
    trees = xgboost.Booster(model_file=bytearray(model.booster.raw.numpy().tobytes()))
    expected = trees.predict(xgboost.DMatrix(features.numpy()), output_margin=True)
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("missing", [0, 1])
def test_an_input_may_not_be_none(missing):
    given = list(inputs())
    given[missing] = None
    with pytest.raises(AssertionError, match="this model needs"):
        whole()(*given)


def test_a_gene_does_not_depend_on_its_batch():
    model = whole()
    sequence, halflife = inputs(n=7)
    with torch.no_grad():
        together = model(sequence, halflife)
        alone = torch.cat([model(sequence[i : i + 1], halflife[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=1e-5)


def test_an_unknown_base_is_all_zero_and_not_an_a():
    encoder = autoencoder().encoder
    unknown, a = torch.full((1, 60), 4, dtype=torch.uint8), torch.zeros(1, 60, dtype=torch.uint8)
    before = encoder(unknown)
    assert not torch.equal(before, encoder(a))
    with torch.no_grad():
        encoder.layers[0].weight.mul_(-5)
    assert torch.equal(encoder(unknown), before)


def test_an_autoencoder_learns_32_genes():
    model = autoencoder(channels=(16, 8))
    sequence, _ = inputs(n=32)
    # Guessing costs ln 4 = 1.39.
    assert learn(model, lambda: model(sequence).mean(), 0.2, 200) < 0.2


# Trees as a module


def test_trees_travel_with_the_weights_whatever_their_size():
    small, large = Booster(), Booster()
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    small.keep(grow(features, rounds=1))
    large.keep(grow(features, rounds=20))
    assert large.raw.dtype == torch.uint8
    assert len(large.raw) > len(small.raw)
    wanted = large.margin(features)
    assert not torch.equal(small.margin(features), wanted)
    small.load_state_dict(large.state_dict())
    assert torch.equal(small.margin(features), wanted)


def test_trees_that_are_not_grown_cannot_score():
    with pytest.raises(AssertionError, match="not trained"):
        Booster().margin(torch.zeros(1, 3))


def test_a_checkpoint_gives_the_model_back(tmp_path):
    config = parse_config({"model": {"kind": "autoencoder_xgboost", "channels": (6, 5, 4, 3, 1)}}, "test")
    described = InputInfo(kind="bases", length=60, channels=4, window=60)
    model = whole()
    info = CheckpointInfo(config=config.dump(), config_hash=config.hash(), inputs=described)
    save_checkpoint(tmp_path, model, info)
    loaded, _ = load_checkpoint(tmp_path)
    assert isinstance(loaded, AutoencoderTrees)
    with torch.no_grad():
        assert torch.equal(loaded(*inputs(n=20)), model(*inputs(n=20)))
