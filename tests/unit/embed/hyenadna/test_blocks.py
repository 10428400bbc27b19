"""Without gradients HyenaDNA works in place, by blocks; with gradients it goes through its modules. Both must agree."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from raygenex.config.embed import Pooling
from raygenex.embed.hyenadna import blocks
from raygenex.embed.hyenadna.blocks import CPU_SIZES, GPU_SIZES, Sizes
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.pooling import pool_bins
from raygenex.embed.hyenadna.weights import load_backbone
from raygenex.embed.inference import embed_sequences

GOLDEN = Path(__file__).parents[3] / "data" / "hyena_golden"
WIDTH, INNER = 16, 64


@pytest.fixture
def model():
    return load_backbone(str(GOLDEN), None)


def bases(n, length, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 5, (n, length), dtype=np.uint8))


def by_modules(model, codes):
    return model.embed_bases(codes).detach()


@pytest.fixture
def small(monkeypatch):
    """Set the positions of a block, the positions of a stream, and the numbers in a transform."""

    def change(positions, stream=2**15, transform=5 * 2**18):
        monkeypatch.setattr(blocks, "CPU_SIZES", Sizes(stream=stream, block=positions * INNER, transform=transform))

    return change


@pytest.mark.parametrize("positions", [1, 2, 3, 8, 31, 32, 33, 200])
@pytest.mark.parametrize(("count", "length"), [(1, 1), (3, 1), (2, 2), (3, 3), (5, 7), (2, 32), (3, 65), (1, 100)])
def test_blocks_of_any_size_equal_the_modules(model, small, positions, count, length):
    small(positions)
    codes = bases(count, length)
    with torch.no_grad():
        torch.testing.assert_close(model.embed_bases(codes), by_modules(model, codes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stream", [1, 20, 45, 1000])
@pytest.mark.parametrize("transform", [1, 100, 500, 10**6])
def test_groups_of_sequences_and_channels_equal_the_modules(model, small, stream, transform):
    small(8, stream, transform)
    codes = bases(5, 20)
    with torch.inference_mode():
        torch.testing.assert_close(model.embed_bases(codes), by_modules(model, codes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sizes", [CPU_SIZES, GPU_SIZES])
def test_the_sizes_in_use_equal_the_modules(model, monkeypatch, sizes):
    monkeypatch.setattr(blocks, "CPU_SIZES", sizes)
    codes = bases(40, 1000)
    with torch.no_grad():
        torch.testing.assert_close(model.embed_bases(codes), by_modules(model, codes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("bin_size", [1, 4, 7, 32, 33, 100, 1000])
@pytest.mark.parametrize("positions", [1, 8, 64])
def test_bins_are_joined_across_blocks(model, small, pooling, bin_size, positions):
    small(positions)
    codes = bases(3, 100)
    expected = pool_bins(by_modules(model, codes), bin_size, pooling)
    with torch.no_grad():
        torch.testing.assert_close(model.embed_bins(codes, bin_size, pooling), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_nothing_of_the_callers_is_written_to(model, mode):
    codes = bases(3, 50)
    embedded = model.get_input_embeddings()(codes.int() + 7).detach()
    turned = embedded.mT.contiguous().mT
    kept = codes.clone(), embedded.clone(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with mode():
        first = model(inputs_embeds=embedded).last_hidden_state
        second = model(inputs_embeds=turned).last_hidden_state
        third = model.embed_bases(codes)
    assert torch.equal(codes, kept[0])
    assert torch.equal(embedded, kept[1])
    assert torch.equal(turned, kept[1])
    assert all(torch.equal(tensor, kept[2][name]) for name, tensor in model.state_dict().items())
    torch.testing.assert_close(first, third, atol=1e-6, rtol=0)
    torch.testing.assert_close(second, third, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_number_formats_agree_with_the_modules(model, dtype):
    model.to(dtype)
    codes = bases(2, 90)
    with torch.no_grad():
        hidden = model.embed_bases(codes)
    assert hidden.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float64 else 0.1
    torch.testing.assert_close(hidden, by_modules(model, codes), atol=tolerance, rtol=tolerance)


def test_dropout_in_training_is_not_left_out_without_gradients():
    model = random_hyenadna(WIDTH, 2, 66, seed=0)
    codes = bases(2, 60)
    with torch.no_grad():
        still = model.embed_bases(codes)
        model.train()
        assert not torch.equal(model.embed_bases(codes), model.embed_bases(codes))
        model.eval()
        assert torch.equal(model.embed_bases(codes), still)


def test_bfloat16_projections_move_binned_embeddings_by_less_than_a_hundredth():
    model = random_hyenadna(64, 4, 2050, seed=0)
    codes = bases(2, 2000)
    with torch.no_grad():
        exact = model.embed_bins(codes, 128, "mean")
        with torch.autocast("cpu", torch.bfloat16):
            lowered = model.embed_bins(codes, 128, "mean")
    assert lowered.dtype == torch.float32
    assert 0 < (lowered - exact).norm() / exact.norm() <= 1e-2


def test_the_long_convolution_stays_float32_under_autocast(model):
    u = torch.randn(16, 2, 50, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, lowered = u.clone(), u.clone()
        long_filter = model.backbone.layers[0].mixer.filter_fn
        long_filter.convolve_(expected, 10**6)
        model.train().eval()
        with torch.autocast("cpu", torch.bfloat16):
            long_filter.convolve_(lowered, 10**6)
    assert torch.equal(lowered, expected)


class Largest(TorchDispatchMode):
    """The bytes of the largest array that an operation made, views of earlier ones aside."""

    def __init__(self, model, length):
        super().__init__()
        kept = [layer.mixer.filter_fn.spectrum(length) for layer in model.backbone.layers]
        self.known = {spectrum.untyped_storage().data_ptr() for spectrum in kept}
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.most = max(self.most, tensor.untyped_storage().nbytes())
        return out


def test_no_array_is_larger_than_the_stream(model, small):
    small(64, transform=2**12)
    codes = bases(4, 1000)
    with torch.no_grad():
        model.embed_bins(codes, 128, "mean")
        with Largest(model, 1000) as largest:
            model.embed_bins(codes, 128, "mean")
    assert largest.most == 4 * 1000 * WIDTH * 4


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_embedded_sequences_do_not_depend_on_the_batch_size(model, batch_size):
    codes = bases(7, 300).numpy()
    settings = {"bin_size": 64, "pooling": "mean", "dtype": "float32", "precision": "bf16"}
    embedded = embed_sequences(model, codes, settings, "cpu", batch_size)
    expected = pool_bins(by_modules(model, torch.from_numpy(codes)), 64, "mean")
    torch.testing.assert_close(torch.from_numpy(embedded), expected, atol=1e-5, rtol=1e-5)


def test_gradients_through_the_modules_predict_what_blocks_compute(model):
    codes = bases(1, 80)
    table = model.get_input_embeddings()
    embedded = table(codes.int() + 7).detach().double()
    model.double()
    soft = embedded.clone().requires_grad_()
    model(inputs_embeds=soft).last_hidden_state[0, -1].sum().backward()
    step = 1e-2 * torch.randn(embedded.shape, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        above = model(inputs_embeds=embedded + step).last_hidden_state[0, -1].sum()
        below = model(inputs_embeds=embedded - step).last_hidden_state[0, -1].sum()
    torch.testing.assert_close((soft.grad * step).sum(), (above - below) / 2, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_gelu_is_the_one_of_torch_and_leaves_its_input(dtype):
    x = torch.cat([torch.linspace(-30, 30, 6001), torch.tensor([0.0, 1e-20, -1e20, 1e20])]).to(dtype)
    before = x.clone()
    result = blocks._gelu(x)
    assert torch.equal(x, before)
    assert result.dtype == dtype
    torch.testing.assert_close(result, torch.nn.functional.gelu(x, approximate="tanh"), atol=1e-6, rtol=1e-6)
