import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_models import build_toy, columns, save_toy, small_config

from raygenex import __version__
from raygenex.config.load import parse_config
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import CheckpointError
from raygenex.train import run
from raygenex.train.checkpoint import (
    INFO,
    SCHEMA_VERSION,
    WEIGHTS,
    CheckpointInfo,
    InputInfo,
    check_epochs,
    file_sha256,
    load_checkpoint,
    package_versions,
    read_info,
    save_checkpoint,
    save_checkpoint_info,
    scaler_values,
)
from raygenex.train.network.epochs import build_optimizer
from raygenex.train.network.halflife_start import SCALER, begin, read_start
from raygenex.train.state import STATE_FILE, RunState, read_state, write_state
from raygenex.train.stopping import Progress

BASES = InputInfo(kind="bases", length=20, channels=4, window=20)
BINS = InputInfo(kind="embedding", length=3, channels=5, window=20)
KINDS = ("cnn_halflife_encoded", "cnn_halflife_raw", "cnn_dna_only", "cnn_halflife_only")


def sentence(info, *words):
    """Check that an error is one sentence that names what it must."""
    text = str(info.value)
    assert "\n" not in text
    assert ". " not in text
    for word in words:
        assert str(word) in text


SECRET_WORDS = ("constant", "cnn_dna_only", "onehot", "toyrun")


@pytest.mark.parametrize("word", SECRET_WORDS)
def test_a_secret_that_is_a_word_of_the_configuration_does_not_spoil_the_checkpoint(tmp_path, monkeypatch, word):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", word)
    values = {"name": "toyrun", "model": {"kind": "cnn_dna_only", "width": 8, "channels": [6]}}
    values["tracking"] = {"uri": f"http://bob:{word}@host/{word}"}
    config = parse_config(values, "test")
    save_toy(tmp_path / "a", config, BASES)
    kept = load_checkpoint(tmp_path / "a")[1].run_config
    assert (kept.name.startswith("toyrun"), kept.model, kept.train) == (True, config.model, config.train)
    assert kept.tracking.uri == "http://host/***"


def test_a_secret_that_stands_alone_is_hidden(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cr3tword")
    save_toy(tmp_path / "a", small_config(tracking={"experiment": "s3cr3tword"}), BASES)
    assert read_info(tmp_path / "a").run_config.tracking.experiment == "***"


@pytest.fixture
def saved(tmp_path):
    """Return the folder of a checkpoint."""
    save_toy(tmp_path / "checkpoint", small_config(), BASES)
    return tmp_path / "checkpoint"


def change_info(folder, **values):
    found = json.loads((folder / INFO).read_text())
    (folder / INFO).write_text(json.dumps(found | values))


def batch(inputs, n=6):
    genes = columns(n, 20)
    halflife = torch.from_numpy(genes["halflife"])
    if inputs.kind == "bases":
        return torch.from_numpy(genes["sequence"]), halflife
    return torch.randn(n, inputs.length, inputs.channels, generator=torch.Generator().manual_seed(0)), halflife


# Checkpoints


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", [BASES, BINS], ids=["bases", "embedding"])
def test_a_loaded_model_is_the_saved_one_bit_for_bit(tmp_path, kind, inputs):
    config = small_config(model={"kind": kind})
    model = save_toy(tmp_path / "a", config, inputs, threshold=1 / 3, epoch=4, metrics={"auroc": 0.1 + 0.2})
    loaded, info = load_checkpoint(tmp_path / "a")
    assert not loaded.training
    assert torch.equal(loaded(*batch(inputs)), model(*batch(inputs)))
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert info.run_config == config
    assert info.config_hash == info.run_config.hash()
    assert (info.threshold, info.epoch, info.metrics, info.inputs) == (1 / 3, 4, {"auroc": 0.1 + 0.2}, inputs)
    assert info.inputs.features == HALFLIFE_FEATURES


def test_a_checkpoint_is_two_files_and_nothing_pickled(saved):
    assert sorted(path.name for path in saved.iterdir()) == [INFO, WEIGHTS]
    assert json.loads((saved / INFO).read_text())["schema_version"] == SCHEMA_VERSION


def test_names_of_weights_carry_no_trace_of_ddp(saved):
    names = load_file(saved / WEIGHTS).keys()
    assert not [name for name in names if "module." in name]
    assert {"scaler.mean", "scaler.scale"} <= set(names)


def test_a_wrapped_model_is_not_saved(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(build_toy(small_config(), BASES).train())
        info = CheckpointInfo(config={}, config_hash="", inputs=BASES)
        with pytest.raises(AssertionError, match="save the model inside DDP"):
            save_checkpoint(tmp_path, wrapped, info)
    finally:
        torch.distributed.destroy_process_group()


def test_the_scaler_is_readable_without_torch(saved):
    model, info = load_checkpoint(saved)
    assert info.feature_scaler == {"mean": model.scaler.mean.tolist(), "scale": model.scaler.scale.tolist()}
    assert scaler_values(build_toy(small_config(model={"kind": "cnn_dna_only"}), BASES)) is None


def test_info_survives_a_round_trip(saved):
    first = read_info(saved)
    save_checkpoint_info(saved, first)
    assert read_info(saved) == first


@pytest.mark.parametrize(
    ("inputs", "bin_size", "pooling"), [(BINS, 5, "mean"), (BINS, 8, "unweighted_mean"), (BASES, 8, "mean")]
)
def test_a_model_of_schema_1_keeps_the_bins_that_it_was_trained_on(tmp_path, inputs, bin_size, pooling):
    save_toy(tmp_path / "a", small_config(embed={"bin_size": bin_size}), inputs)
    change_info(tmp_path / "a", schema_version=1)
    assert read_info(tmp_path / "a").run_config.embed.pooling == pooling


def test_package_versions():
    found = package_versions()
    assert found["raygenex"] == __version__
    assert set(found) == {"raygenex", "torch", "numpy", "ray"}


@pytest.mark.parametrize("name", ["nothing", f"checkpoint/{INFO}", "checkpoint/empty"])
def test_what_is_no_checkpoint_is_refused(saved, name):
    (saved / "empty").mkdir()
    with pytest.raises(CheckpointError) as info:
        load_checkpoint(saved.parent / name)
    sentence(info, saved.parent / name, "is not a checkpoint", INFO, "raygenex train")


def test_a_later_schema_is_refused(saved):
    change_info(saved, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(CheckpointError) as info:
        load_checkpoint(saved)
    sentence(info, saved, f"schema {SCHEMA_VERSION + 1}", f"up to {SCHEMA_VERSION}", "upgrade")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"schema_version": 1}',
        b'{"schema_version": "one"}',
        b'{"schema_version": null}',
    ],
)
def test_a_damaged_description_is_refused(saved, content):
    (saved / INFO).write_bytes(content)
    with pytest.raises(CheckpointError) as info:
        load_checkpoint(saved)
    sentence(info, saved / INFO, "is damaged")


def test_a_description_with_unknown_keys_is_refused(saved):
    change_info(saved, surprise=1)
    with pytest.raises(CheckpointError) as info:
        read_info(saved)
    sentence(info, saved / INFO, "is damaged")


def test_missing_weights_are_named(saved):
    (saved / WEIGHTS).unlink()
    with pytest.raises(CheckpointError) as info:
        load_checkpoint(saved)
    sentence(info, saved / WEIGHTS, "is missing")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights_are_refused(saved, keep):
    content = (saved / WEIGHTS).read_bytes()
    (saved / WEIGHTS).write_bytes(content[:keep])
    with pytest.raises(CheckpointError) as info:
        load_checkpoint(saved)
    sentence(info, saved / WEIGHTS, "is damaged")


def change_weights(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.update({"trunk.0.bias": torch.zeros(99)}), ["size mismatch for trunk.0.bias", "99"]),
        (lambda tensors: tensors.pop("trunk.0.bias"), ["Missing key", "trunk.0.bias"]),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), ["Unexpected key", "extra"]),
    ],
    ids=["shape", "missing", "unexpected"],
)
def test_weights_of_another_model_are_refused(saved, change, words):
    change_weights(saved, change)
    with pytest.raises(CheckpointError) as info:
        load_checkpoint(saved)
    sentence(info, saved / WEIGHTS, "does not fit its configuration", *words)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64, torch.float16])
def test_weights_of_another_type_are_refused(saved, dtype):
    tensors = load_file(saved / WEIGHTS)
    name = next(name for name, tensor in tensors.items() if tensor.dtype == torch.float32)
    # Larger than the model, so that its size is none of what is wrong.
    save_file(tensors | {name: tensors[name].to(dtype), "more": torch.zeros(10**4)}, saved / WEIGHTS)
    with pytest.raises(CheckpointError) as info:
        load_checkpoint(saved)
    sentence(info, saved / WEIGHTS, name, f"of type {str(dtype)[6:]}", "train again")


def test_a_config_that_no_longer_fits_the_schema_is_refused(saved):
    config = json.loads((saved / INFO).read_text())["config"]
    change_info(saved, config=config | {"surprise": 1})
    with pytest.raises(ValueError, match="surprise is not a known key"):
        load_checkpoint(saved)


def test_a_config_that_no_longer_fits_names_the_checkpoint(saved):
    change_info(saved, config={"surprise": 1})
    with pytest.raises(CheckpointError, match=re.escape(str(saved))):
        load_checkpoint(saved)


def test_file_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "a") == expected


# Epochs that Ray Train kept


@pytest.fixture
def epochs(tmp_path, saved):
    """Return Ray Train's folder with one epoch that it knows, and one that it was writing when it died."""
    folder = tmp_path / "ray_train"
    for name in ("epoch_0001", "epoch_0002"):
        shutil.copytree(saved, folder / name)
        torch.save({"history": []}, folder / name / "training_state.pt")
    (folder / "epoch_0002" / WEIGHTS).write_bytes(b"")
    snapshot = {"checkpoint_results": [{"checkpoint_dir_name": "epoch_0001"}]}
    (folder / "checkpoint_manager_snapshot.json").write_text(json.dumps(snapshot))
    return folder


def test_whole_epochs_and_none_are_no_complaint(epochs, tmp_path):
    check_epochs(epochs)
    check_epochs(tmp_path / "nothing")


@pytest.mark.parametrize("name", [WEIGHTS, INFO, "training_state.pt", "../checkpoint_manager_snapshot.json"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_cut_epoch_is_named_and_says_how_to_begin_again(epochs, name, share):
    path = (epochs / "epoch_0001" / name).resolve()
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError) as info:
        check_epochs(epochs)
    told = str(info.value)
    assert told.startswith(f"{path} is damaged, so the training that was interrupted cannot go on from there")
    assert f"remove {epochs}, and the same command begins with the first epoch again" in told


# The state of a run


STATE = RunState(identity="abc", run_id="0123", finished=False)


def test_state_round_trip_leaves_one_file(tmp_path):
    assert read_state(tmp_path) is None
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE
    write_state(tmp_path, STATE.model_copy(update={"finished": True}))
    assert read_state(tmp_path) == RunState(identity="abc", run_id="0123", finished=True)
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]


def test_no_folder_is_no_state(tmp_path):
    assert read_state(tmp_path / "nothing") is None


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff", b'{"identity": 1, "run_id": "a"}'])
def test_a_damaged_state_is_refused(tmp_path, content):
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(CheckpointError) as info:
        read_state(tmp_path)
    sentence(info, tmp_path / STATE_FILE, "is damaged", "--force")


def test_force_gets_over_a_damaged_state_as_the_sentence_says(tmp_path, monkeypatch):
    class Reached(Exception):
        pass

    def tracker(config):
        raise Reached

    monkeypatch.setattr(run, "open_run", lambda config, needed: {})
    monkeypatch.setattr(run, "open_inputs", lambda config, splits: None)
    monkeypatch.setattr(run, "check_workers", lambda config, inputs: None)
    monkeypatch.setattr(run, "guard", lambda config, strict: None)
    monkeypatch.setattr(run, "Tracker", tracker)
    config = parse_config({"name": "a", "output": str(tmp_path)}, "test")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / STATE_FILE).write_text("{")
    with pytest.raises(Reached):
        run.train(config, force=True)


# The decision to go on


def history(*aurocs):
    return [{"epoch": epoch, "valid_auroc": auroc} for epoch, auroc in enumerate(aurocs)]


@pytest.mark.parametrize(
    ("aurocs", "best"), [([0.5], 0), ([0.5, 0.6], 1), ([0.6, 0.5], 0), ([0.5, 0.7, 0.7], 1), ([0.7, 0.5, 0.7], 0)]
)
def test_the_best_epoch_is_the_first_with_the_highest_auroc(aurocs, best):
    assert Progress(history(*aurocs), None, 10).best_epoch == best


@pytest.mark.parametrize(
    ("aurocs", "patience", "epochs", "finished"),
    [
        ([], None, 1, False),
        ([], 1, 1, False),
        ([0.5], None, 1, True),
        ([0.5], 1, 2, False),
        ([0.5, 0.6], None, 3, False),
        ([0.5, 0.6, 0.7], None, 3, True),
        ([0.5, 0.6, 0.7], 1, 3, True),
        ([0.6, 0.5], 1, 9, True),
        ([0.6, 0.6], 1, 9, True),
        ([0.5, 0.6], 1, 9, False),
        ([0.6, 0.5], 2, 9, False),
        ([0.6, 0.5, 0.5], 2, 9, True),
        ([0.6, 0.5, 0.7, 0.5], 2, 9, False),
        ([0.6, 0.5, 0.7, 0.5, 0.7], 2, 9, True),
    ],
)
def test_training_ends_after_all_epochs_or_without_progress(aurocs, patience, epochs, finished):
    progress = Progress(history(*aurocs), patience, epochs)
    assert progress.next_epoch == len(aurocs)
    assert progress.finished is finished


# Starting from the pretrained encoder


@pytest.fixture
def pretrained(tmp_path):
    """Return a folder with a pretrained scaler and encoder, and both."""
    source = build_toy(small_config(), BASES, seed=9)
    save_file(source.scaler.state_dict(), tmp_path / SCALER)
    save_file(source.encoder.state_dict(), tmp_path / WEIGHTS)
    return str(tmp_path), source


@pytest.mark.parametrize("kind", ["cnn_halflife_encoded", "cnn_halflife_only"])
@pytest.mark.parametrize("finetune", [False, True])
def test_encoded_kinds_start_from_the_encoder_and_freeze_it(pretrained, kind, finetune):
    folder, source = pretrained
    config = small_config(model={"kind": kind}, halflife={"finetune": finetune})
    model = build_toy(config, BASES).train()
    begin(model, config, read_start(Path(folder)))
    assert torch.equal(model.scaler.mean, source.scaler.mean)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, tensor in source.encoder.state_dict().items():
        assert torch.equal(before[f"encoder.{name}"], tensor)
    optimizer = build_optimizer(model, config)
    model(*batch(BASES)).square().sum().backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("trunk") for name in moved)
    assert any(name.startswith("encoder") for name in moved) is finetune
    assert not any(name.startswith("scaler") for name in moved)


def test_the_raw_kind_takes_the_scaler_alone(pretrained):
    folder, source = pretrained
    config = small_config(model={"kind": "cnn_halflife_raw"})
    model = build_toy(config, BASES)
    begin(model, config, read_start(Path(folder)))
    assert torch.equal(model.scaler.scale, source.scaler.scale)
    assert model.encoder is None


def test_a_model_of_dna_alone_starts_from_nothing():
    config = small_config(model={"kind": "cnn_dna_only"})
    begin(build_toy(config, BASES), config, None)


def test_the_optimizer_is_adam_unless_weights_decay():
    config = small_config(train={"learning_rate": 0.5})
    group = build_optimizer(build_toy(config, BASES), config).param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.0)
    config = small_config(train={"weight_decay": 0.25})
    assert build_optimizer(build_toy(config, BASES), config).param_groups[0]["weight_decay"] == 0.25
