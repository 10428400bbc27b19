import copy
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from raygenex.embed.hyenadna.longconv import LongFilter, ShortFilter, fft_size
from raygenex.embed.hyenadna.model import HyenaDnaModel, random_hyenadna, register
from raygenex.embed.hyenadna.weights import load_backbone
from raygenex.errors import DataError

GOLDEN = Path(__file__).parents[3] / "data" / "hyena_golden"
LENGTHS = (1, 7, 100, 1000)


@pytest.fixture
def model():
    return load_backbone(str(GOLDEN), None)


@pytest.fixture
def evaluations(monkeypatch):
    """Lengths at which a long filter was evaluated, in order."""
    lengths = []
    compute = LongFilter.compute_spectrum

    def counted(self, length):
        lengths.append(length)
        return compute(self, length)

    monkeypatch.setattr(LongFilter, "compute_spectrum", counted)
    return lengths


def golden(length):
    with np.load(GOLDEN / "golden.npz") as arrays:
        ids, hidden = arrays[f"input_ids_{length}"], arrays[f"last_hidden_state_{length}"]
    return torch.from_numpy(ids).long(), torch.from_numpy(hidden)


def bases(n, length, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 5, (n, length), dtype=np.uint8))


def embed(model, codes):
    with torch.no_grad():
        return model.embed_bases(codes)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", ["", "weights.ckpt"])
def test_golden_outputs_in_both_formats(name, length):
    ids, expected = golden(length)
    with torch.no_grad():
        hidden = load_backbone(str(GOLDEN / name), None)(ids).last_hidden_state
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=0)


def test_auto_model_loads_without_remote_code(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.copy(GOLDEN / "model.safetensors", tmp_path)
    config = json.loads((GOLDEN / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "someone/elsewhere--modeling_hyena.HyenaDNAModel"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    register()
    register()
    model, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True, use_safetensors=True)
    assert type(model) is HyenaDnaModel
    assert not any(report.values())
    ids, expected = golden(100)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_save_pretrained_round_trips_through_auto_model(model, tmp_path):
    register()
    model.save_pretrained(tmp_path)
    again, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert torch.equal(embed(again, bases(2, 50)), embed(model, bases(2, 50)))


def test_half_precision_loading_keeps_the_filter_in_float32():
    register()
    model = AutoModel.from_pretrained(GOLDEN, dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in model.backbone.layers[0].mixer.filter_fn.state_dict().values()} == {
        torch.float32
    }
    assert model.backbone.ln_f.weight.dtype == torch.bfloat16


def test_random_buffers_follow_the_published_formula(model):
    random = random_hyenadna(d_model=16, n_layer=2, max_seq_len=1026, seed=0)
    published = dict(model.named_buffers())
    assert len(published) == 6
    for name, buffer in random.named_buffers():
        assert torch.equal(buffer, published[name]), name


def test_random_init_is_deterministic_and_leaves_the_global_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (random_hyenadna(8, 2, 66, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert not first.training
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    assert not torch.equal(embed(first, bases(1, 20)), embed(other, bases(1, 20)))
    assert embed(first, bases(1, 20)).std() > 0.1


def test_base_indices_are_tokens_7_to_11(model):
    ids = torch.tensor([[7, 8, 9, 10, 11]])
    with torch.no_grad():
        expected = model(input_ids=ids).last_hidden_state
        from_table = model(inputs_embeds=model.get_input_embeddings()(ids), return_dict=False)[0]
    hidden = embed(model, torch.tensor([[0, 1, 2, 3, 4]], dtype=torch.uint8))
    assert torch.equal(hidden, expected)
    assert torch.equal(from_table, expected)
    unknown_is_a = embed(model, torch.tensor([[0, 1, 2, 3, 0]], dtype=torch.uint8))
    assert not torch.allclose(hidden[:, 4], unknown_is_a[:, 4], atol=1e-2)


def test_a_sequence_too_long_names_both_lengths(model):
    with pytest.raises(DataError, match=r"1027 bases .* 1026"):
        embed(model, bases(1, 1027))


def test_outputs_do_not_depend_on_the_batch(model):
    codes = bases(70, 500)
    together = embed(model, codes)
    alone = torch.cat([embed(model, row[None]) for row in codes[[0, 33, 69]]])
    torch.testing.assert_close(together[[0, 33, 69]], alone, atol=1e-5, rtol=0)


def test_small_steps_in_inference_equal_one_pass(model):
    # With gradients the whole batch goes through at once; without, a CPU takes groups of sequences and positions.
    codes = bases(40, 900)
    torch.testing.assert_close(embed(model, codes), model.embed_bases(codes).detach(), atol=1e-5, rtol=0)


def test_a_base_changes_nothing_before_it(model):
    codes = bases(1, 300)
    changed = codes.clone()
    changed[0, 150] = (codes[0, 150] + 1) % 4
    before, after = embed(model, codes), embed(model, changed)
    torch.testing.assert_close(before[:, :150], after[:, :150], atol=1e-5, rtol=0)
    assert (before[:, 150] - after[:, 150]).abs().max() > 0.1


def test_a_long_filter_evaluates_once_a_length(model, evaluations):
    first = embed(model, bases(2, 100))
    assert evaluations == [100, 100]
    assert torch.equal(embed(model, bases(2, 100)), first)
    assert evaluations == [100, 100]
    embed(model, bases(1, 101))
    embed(model, bases(1, 100))
    assert evaluations == [100, 100, 101, 101]


def test_only_the_latest_lengths_are_kept(model, evaluations):
    for length in (10, 11, 12, 12, 11, 10):
        embed(model, bases(1, length))
    assert evaluations[::2] == [10, 11, 12, 10]


def change_in_place(model):
    with torch.no_grad():
        model.backbone.layers[1].mixer.filter_fn.implicit_filter["6"].weight.mul_(2)


def change_by_loading(model):
    model.load_state_dict({name: 1.5 * tensor for name, tensor in model.state_dict().items()})


def change_by_assigning(model):
    model.load_state_dict({name: 1.5 * tensor for name, tensor in model.state_dict().items()}, assign=True)


@pytest.mark.parametrize("change", [change_in_place, change_by_loading, change_by_assigning])
def test_a_changed_weight_is_noticed(model, change):
    embed(model, bases(2, 100))
    change(model)
    fresh = copy.deepcopy(model)
    assert torch.equal(embed(model, bases(2, 100)), embed(fresh, bases(2, 100)))
    assert not torch.allclose(
        embed(model, bases(2, 100)), embed(load_backbone(str(GOLDEN), None), bases(2, 100)), atol=1e-4
    )


def test_another_number_format_evaluates_again_and_stays_close(model, evaluations):
    reference = embed(model, bases(2, 100))
    model.to(torch.bfloat16)
    hidden = embed(model, bases(2, 100))
    assert len(evaluations) == 4
    assert hidden.dtype == torch.bfloat16
    assert model.backbone.layers[0].mixer.filter_fn.pos_emb.z.dtype == torch.float32
    torch.testing.assert_close(hidden.float(), reference, atol=0.1, rtol=0.05)


def test_autocast_keeps_the_long_filter_in_float32(model):
    reference = embed(model, bases(2, 100))
    u = torch.randn(1, 50, 16, generator=torch.Generator().manual_seed(0))
    long_filter = model.backbone.layers[0].mixer.filter_fn
    with torch.no_grad():
        expected = long_filter(u)
        model.train().eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(long_filter(u), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(embed(model, bases(2, 100)), reference, atol=0.1, rtol=0.05)


def test_kept_spectra_are_neither_saved_nor_copied(model, evaluations):
    names, size = set(model.state_dict()), len(pickle.dumps(model))
    embed(model, bases(1, 100))
    assert set(model.state_dict()) == names
    assert len(pickle.dumps(model)) == size
    filters = len(evaluations)
    assert filters
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(embed(again, bases(1, 100)), embed(model, bases(1, 100)))
    # Each copy evaluated them anew, and the model itself only once.
    assert len(evaluations) == 3 * filters


def test_training_evaluates_every_time_and_reaches_every_weight(model, evaluations):
    embed(model, bases(1, 64))
    model.train()
    for _ in range(2):
        model.zero_grad()
        model.embed_bases(bases(2, 64)).square().sum().backward()
    assert evaluations == [64] * 6
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_gradient_of_the_filter_agrees_with_finite_differences(model):
    long_filter = model.backbone.layers[0].mixer.filter_fn
    u = torch.randn(1, 20, 16, generator=torch.Generator().manual_seed(0))
    weight = long_filter.implicit_filter["6"].weight
    long_filter(u).sum().backward()
    with torch.no_grad():
        weight[3, 5] += 0.5
        above = long_filter(u).sum()
        weight[3, 5] -= 1.0
        below = long_filter(u).sum()
    # The output is linear in the last layer, so the difference quotient is exact.
    torch.testing.assert_close(weight.grad[3, 5], above - below, atol=1e-4, rtol=1e-3)


def test_a_filter_kept_in_inference_mode_serves_a_later_backward_pass(model, evaluations):
    model.requires_grad_(False)
    with torch.inference_mode():
        model.embed_bases(bases(1, 64))
    embedded = model.get_input_embeddings()(bases(1, 64).int() + 7).requires_grad_()
    model(inputs_embeds=embedded).last_hidden_state[:, -1].sum().backward()
    assert len(evaluations) == 2
    assert embedded.grad.abs().sum() > 0


def test_a_step_that_counts_no_version_leaves_no_spectrum_of_before_it(model):
    codes = bases(1, 64)
    embed(model, codes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    model.embed_bins(codes, 1, "mean").square().sum().backward()
    optimizer.step()
    found = embed(model, codes)
    model.train().eval()
    assert torch.equal(found, embed(model, codes))


def test_modules_keep_float64(model):
    model.double()
    codes = bases(2, 64)
    with torch.no_grad():
        expected = model.embed_bins(codes, 1, "mean")
    found = model.embed_bins(codes, 1, "mean").detach()
    assert found.dtype == expected.dtype == torch.float64
    # Single precision anywhere in the stream would leave 1e-6; the filters themselves are the same in both.
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_model_made_in_inference_mode_works():
    with torch.inference_mode():
        model = random_hyenadna(8, 1, 66, 0)
    assert torch.equal(embed(model, bases(1, 30)), embed(random_hyenadna(8, 1, 66, 0), bases(1, 30)))


def test_short_filter_by_hand():
    short = ShortFilter(channels=1, order=3)
    with torch.no_grad():
        short.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
        short.bias.fill_(0.5)
        out = short(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]))
        assert out.flatten().tolist() == [100.5, 210.5, 321.5, 432.5]
        assert short(torch.tensor([[[1.0]]])).item() == 100.5


def test_long_filter_equals_a_sum_over_the_past(model):
    long_filter = model.backbone.layers[0].mixer.filter_fn
    u = torch.randn(2, 33, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        kernel = torch.fft.irfft(long_filter.spectrum(33), n=fft_size(33))[:, :33].T
        expected = torch.stack([(u[:, : i + 1] * kernel[: i + 1].flip(0)).sum(dim=1) for i in range(33)], dim=1)
        torch.testing.assert_close(long_filter(u), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("length", "size"), [(1, 1), (2, 3), (3, 5), (4, 8), (20000, 40960), (16384, 32768)])
def test_fft_size(length, size):
    assert fft_size(length) == size


def test_fft_size_never_wraps_and_wastes_little():
    for length in range(1, 3000):
        assert 2 * length - 1 <= fft_size(length) <= 1.35 * (2 * length - 1) + 1
