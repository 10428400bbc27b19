import json
import pickle
import shutil
import zipfile
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file

from raygenex.config.embed import HyenaBackbone
from raygenex.embed.hyenadna.model import HyenaDnaModel, random_hyenadna
from raygenex.embed.hyenadna.weights import build_backbone, load_backbone, save_backbone, weights_sha256
from raygenex.errors import CheckpointError

GOLDEN = Path(__file__).parents[3] / "data" / "hyena_golden"
CODES = torch.arange(50, dtype=torch.uint8)[None] % 5
COMMIT = "8fe770c78eb13fe33bf81501612faeddf4d6f331"
EMBEDDING = "backbone.embeddings.word_embeddings.weight"


def embed(model):
    with torch.no_grad():
        return model.embed_bases(CODES)


def refusal(weights, revision=None):
    with pytest.raises(CheckpointError) as caught:
        load_backbone(str(weights), revision)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def folder(tmp_path):
    """A copy of the published layout that a test may damage."""
    path = tmp_path / "weights"
    path.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(GOLDEN / name, path / name)
    return path


@pytest.fixture
def ckpt(tmp_path):
    """A folder with the original layout, without config.json."""
    path = tmp_path / "ckpt"
    path.mkdir()
    shutil.copyfile(GOLDEN / "weights.ckpt", path / "weights.ckpt")
    return path


def edit_config(folder, **changes):
    config = json.loads((GOLDEN / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))


def edit_tensors(folder, edit):
    tensors = load_file(GOLDEN / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def edit_ckpt(folder, edit):
    content = torch.load(GOLDEN / "weights.ckpt", weights_only=True)
    edit(content["state_dict"])
    torch.save(content, folder / "weights.ckpt")


def test_both_formats_hold_the_same_weights(folder, ckpt):
    published = load_backbone(str(folder), None)
    original = load_backbone(str(ckpt), None)
    assert weights_sha256(published) == weights_sha256(original)
    assert published.config.to_dict() == original.config.to_dict()
    assert torch.equal(embed(published), embed(original))
    assert not published.training


def test_hash_depends_on_values_shapes_and_format():
    model = random_hyenadna(8, 1, 66, 0)
    reference = weights_sha256(model)
    assert len(reference) == 64
    assert weights_sha256(random_hyenadna(8, 1, 66, 0)) == reference
    assert weights_sha256(random_hyenadna(8, 1, 67, 0)) != reference
    with torch.no_grad():
        model.backbone.ln_f.bias[3] += 1e-6
    assert weights_sha256(model) != reference
    assert weights_sha256(random_hyenadna(8, 1, 66, 0).to(torch.bfloat16)) != reference


def test_saved_weights_load_with_equal_bits_and_published_names(folder, tmp_path):
    model = load_backbone(str(folder), None)
    save_backbone(model, tmp_path / "saved")
    again = load_backbone(str(tmp_path / "saved"), None)
    assert weights_sha256(again) == weights_sha256(model)
    assert torch.equal(embed(again), embed(model))
    published = {name.removeprefix("hyena.") for name in load_file(folder / "model.safetensors")}
    assert set(load_file(tmp_path / "saved" / "model.safetensors")) == published


def test_saving_prints_nothing(tmp_path, capfd):
    save_backbone(random_hyenadna(8, 1, 66, 0), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_loading_prints_nothing_and_leaves_the_random_state_alone(folder, capfd):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_backbone(str(folder), None)
    assert torch.equal(torch.rand(2), expected)
    assert capfd.readouterr() == ("", "")


def test_a_head_repeated_sines_and_metrics_stay_behind(folder, ckpt):
    reference = weights_sha256(load_backbone(str(GOLDEN), None))

    def add_published(tensors):
        tensors["lm_head.weight"] = torch.zeros(16, 16)
        tensors["hyena.backbone.layers.0.mixer.filter_fn.implicit_filter.3.freq"] = torch.ones(1, 64)

    def add_original(tensors):
        tensors["model.lm_head.weight"] = torch.zeros(16, 16)
        tensors["train_torchmetrics.num_tokens.count"] = torch.tensor(7)

    edit_tensors(folder, add_published)
    edit_ckpt(ckpt, add_original)
    assert weights_sha256(load_backbone(str(folder), None)) == reference
    assert weights_sha256(load_backbone(str(ckpt), None)) == reference


def test_original_checkpoint_without_wrapped_layers_or_outer_dict(ckpt):
    content = torch.load(GOLDEN / "weights.ckpt", weights_only=True)
    plain = {name.replace(".layer.", "."): tensor for name, tensor in content["state_dict"].items()}
    torch.save(plain, ckpt / "plain.ckpt")
    assert weights_sha256(load_backbone(str(ckpt / "plain.ckpt"), None)) == weights_sha256(
        load_backbone(str(GOLDEN), None)
    )


def test_original_config_is_read(ckpt):
    layer = {"_name_": "hyena", "emb_dim": 5, "filter_order": 64, "l_max": 1026, "w": 3, "modulate": True}
    config = {"d_model": 16, "n_layer": 2, "vocab_size": 11, "embed_dropout": 0.25, "layer": layer}
    (ckpt / "config.json").write_text(json.dumps(config))
    model = load_backbone(str(ckpt), None)
    assert model.config.embed_dropout == 0.25
    assert model.config.activation_freq == 3
    assert model.config.vocab_size == 11


def test_a_vocabulary_of_another_size_is_inferred(ckpt):
    edit_ckpt(ckpt, lambda tensors: tensors.update({f"model.{EMBEDDING}": torch.zeros(12, 16)}))
    assert load_backbone(str(ckpt), None).config.embedding_rows == 12


def test_half_precision_files_become_float32(folder):
    edit_tensors(folder, lambda tensors: tensors.update({name: t.bfloat16() for name, t in tensors.items()}))
    model = load_backbone(str(folder), None)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}


def test_loaded_weights_are_independent_of_the_file(folder):
    model = load_backbone(str(folder), None)
    before = weights_sha256(model)
    (folder / "model.safetensors").write_bytes(b"")
    assert weights_sha256(model) == before


def test_build_backbone():
    random = build_backbone(HyenaBackbone(d_model=8, n_layer=1, seed=4), window=64)
    assert weights_sha256(random) == weights_sha256(random_hyenadna(8, 1, 66, 4))
    assert type(build_backbone(HyenaBackbone(weights=str(GOLDEN)), window=1026)) is HyenaDnaModel
    with pytest.raises(CheckpointError, match="at most 1026 bases but the window is 20000"):
        build_backbone(HyenaBackbone(weights=str(GOLDEN)), window=20000)


def test_absent_weights(tmp_path):
    assert f"{tmp_path}/none do not exist: give a folder" in refusal(tmp_path / "none")
    assert "none.ckpt do not exist" in refusal("none.ckpt")


def test_a_hub_id_needs_a_commit():
    message = refusal("LongSafari/hyenadna-small-32k-seqlen-hf")
    assert "need backbone.revision, the commit to use, because the files behind a name alone can change" in message
    assert "'main' of weights LongSafari/none is not a commit" in refusal("LongSafari/none", "main")


def test_an_unreachable_hub_id(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    message = refusal("LongSafari/none", COMMIT)
    assert message.startswith(f"config.json of weights LongSafari/none at revision {COMMIT} is neither in the local")
    assert "check id, revision and network" in message
    assert "neither in the local cache" in refusal("no/such/id", COMMIT)


def test_a_hub_id_in_the_cache_loads_offline(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--LongSafari--small" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(GOLDEN / name, snapshot / name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert weights_sha256(load_backbone("LongSafari/small", COMMIT)) == weights_sha256(load_backbone(str(GOLDEN), None))


def test_a_revision_of_local_weights(folder):
    assert "are local and have no revision: remove backbone.revision" in refusal(folder, COMMIT)


def test_a_folder_without_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "hold neither model.safetensors nor weights.ckpt" in refusal(folder)


def test_a_file_of_another_kind(folder):
    assert "are not a .ckpt file" in refusal(folder / "model.safetensors")


def test_no_config(folder):
    (folder / "config.json").unlink()
    assert "have no config.json: put the one that came with the weights beside them" in refusal(folder)


@pytest.mark.parametrize(("text", "said"), [("{", "is not readable JSON"), ("[1]", "is a list, not an object")])
def test_a_config_that_is_no_json_object(folder, text, said):
    (folder / "config.json").write_text(text)
    assert said in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert"}, "model_type 'bert', not 'hyenadna'"),
        ({"model_type": None}, "model_type None"),
        ({"n_layer": "two"}, "gives n_layer as 'two', which is not a positive whole number"),
        ({"d_model": 0}, "gives d_model as 0"),
        ({"d_model": True}, "gives d_model as True"),
        ({"layer_norm_epsilon": "tiny"}, "which is not a number"),
        ({"use_bias": 1}, "which is not true or false"),
        ({"hyena_order": 3}, "gives hyena_order as 3, but only 2 is supported"),
    ],
)
def test_a_config_with_wrong_settings(folder, changes, said):
    edit_config(folder, **changes)
    assert said in refusal(folder)


def test_the_config_of_other_weights(folder):
    edit_config(folder, d_model=32)
    assert f"tensor {EMBEDDING} has shape (16, 16) but config.json asks for (16, 32)" in refusal(folder)
    edit_config(folder, n_layer=3)
    message = refusal(folder)
    assert "lack the tensors backbone.layers.2." in message
    assert "and 23 more" in message, "26 tensors a layer, of which three are named"
    edit_config(folder, n_layer=1)
    assert "hold the tensors backbone.layers.1." in refusal(folder)


@pytest.mark.parametrize("size", [0, 5, 100, 5000, -1])
def test_truncated_weights(folder, ckpt, size):
    for path in (folder / "model.safetensors", ckpt / "weights.ckpt"):
        path.write_bytes(path.read_bytes()[:size])
    assert "model.safetensors is damaged or incomplete" in refusal(folder)
    assert "weights.ckpt is damaged, or holds Python objects" in refusal(ckpt)


def test_missing_tensors_are_named(folder, ckpt):
    edit_tensors(folder, lambda tensors: tensors.pop("hyena.backbone.ln_f.bias"))
    assert "lack the tensor backbone.ln_f.bias: fetch them again" in refusal(folder)
    edit_ckpt(ckpt, lambda tensors: tensors.pop(f"model.{EMBEDDING}"))
    assert f"lack the tensor {EMBEDDING}" in refusal(ckpt)


def test_tensors_of_another_network(folder, ckpt):
    save_file({"bert.embeddings.weight": torch.zeros(2, 2)}, folder / "model.safetensors")
    assert "hold no tensors of a HyenaDNA backbone" in refusal(folder)
    torch.save([1, 2], ckpt / "weights.ckpt")
    assert "hold no tensors of a HyenaDNA backbone" in refusal(ckpt)
    edit_ckpt(ckpt, lambda tensors: tensors.update({f"model.{EMBEDDING}": torch.zeros(16)}))
    assert "hold tensors that are not of a HyenaDNA" in refusal(ckpt)


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def write_bare_pickle(content, path):
    path.write_bytes(pickle.dumps(content, protocol=2))


PLAIN = "is sparse, nested, quantized or without values"
ODD = {
    "sparse": (lambda tensor: tensor.to_sparse(), PLAIN),
    "csr": (lambda tensor: tensor.to_sparse_csr(), PLAIN),
    "meta": (lambda tensor: tensor.to("meta"), PLAIN),
    "nested": (lambda tensor: torch.nested.nested_tensor([tensor, tensor[:1]]), PLAIN),
    "quantized": (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), PLAIN),
    "stride": (lambda tensor: torch.zeros(1).expand(10**8, 16), "the tensors claim 64"),
    "int8": (lambda tensor: tensor.to(torch.int8), "is of type int8"),
    "bool": (lambda tensor: tensor != 0, "is of type bool"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "is of type complex64"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", list(ODD))
def test_tensors_that_are_no_plain_floating_arrays(ckpt, kind):
    change, said = ODD[kind]
    name = f"model.{EMBEDDING}"
    edit_ckpt(ckpt, lambda tensors: tensors.update({name: change(tensors[name])}))
    assert (ckpt / "weights.ckpt").stat().st_size < 2**18
    assert said in refusal(ckpt)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64])
def test_safetensors_of_numbers_that_are_no_floats(folder, dtype):
    edit_tensors(
        folder, lambda tensors: tensors.update({f"hyena.{EMBEDDING}": tensors[f"hyena.{EMBEDDING}"].to(dtype)})
    )
    assert f"tensor {EMBEDDING} is of type {str(dtype)[6:]}" in refusal(folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_ckpt_of_other_floats_is_read(ckpt, dtype):
    edit_ckpt(ckpt, lambda tensors: tensors.update({name: value.to(dtype) for name, value in tensors.items()}))
    assert {tensor.dtype for tensor in load_backbone(str(ckpt), None).state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("state", [[1, 2], [torch.zeros(2)], torch.zeros(2), None, "weights", {}])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_state_that_is_no_dictionary(ckpt, state, wrapped):
    torch.save({"state_dict": state} if wrapped else state, ckpt / "weights.ckpt")
    assert "hold no tensors of a HyenaDNA backbone" in refusal(ckpt)


def test_refusing_other_pickles_says_nothing_else(ckpt, recwarn):
    content = torch.load(GOLDEN / "weights.ckpt", weights_only=True)
    torch.save(content, ckpt / "weights.ckpt", pickle_protocol=4)
    recwarn.clear()
    refusal(ckpt)
    assert not recwarn.list


def test_a_compressed_archive(ckpt):
    original = ckpt / "original"
    (ckpt / "weights.ckpt").rename(original)
    with (
        zipfile.ZipFile(original) as source,
        zipfile.ZipFile(ckpt / "weights.ckpt", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
        target.writestr("archive/data/99", bytes(10**6))
    assert "is a compressed archive" in refusal(ckpt)


@pytest.mark.parametrize("write", [torch.save, write_bare_pickle])
def test_a_pickle_that_would_run_code_is_refused(ckpt, tmp_path, write):
    trace, path = tmp_path / "executed", ckpt / "weights.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    write({"state_dict": state, "hyper_parameters": Trap(trace)}, path)
    message = refusal(ckpt)
    assert "holds Python objects, which are refused because loading them can run code" in message
    assert not trace.exists()
    # The trap is real: a reader that trusts the file falls into it.
    if write is torch.save:
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert trace.exists()


def test_saving_onto_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="it is a file, so name a folder"):
        save_backbone(random_hyenadna(8, 1, 66, 0), tmp_path / "file")
