"""The training of a trial in its own process: no Ray, no MLflow."""

import dataclasses

import numpy as np
import pytest
import torch
from toy_models import columns, write_splits

from raygenex.config.load import parse_config
from raygenex.data.opening import open_splits
from raygenex.stats.metrics import auroc
from raygenex.train.checkpoint import CheckpointInfo, InputInfo
from raygenex.train.inputs import open_inputs, prepare_backbone
from raygenex.train.network.epochs import NetworkFit
from raygenex.train.network.halflife_start import make_start
from raygenex.train.shard import WorkerShard
from raygenex.train.stopping import Progress
from raygenex.train.worker import Worker
from raygenex.tune import fit_local
from raygenex.tune import shared as starts
from raygenex.tune.fit_local import LocalFit, TableFit, judge
from raygenex.tune.shared import Shared, common_start, read_columns, read_sample, trial_halflife
from raygenex.tune.space import Space

WINDOW = 20
MODEL = {"width": 8, "channels": [4], "dense": [4], "stem_kernel": 3}
KMERS = {"k": (1, 2), "regions": 2, "region_k": 1, "onehot_bases": 8}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("genes"), WINDOW)


@pytest.fixture
def make(files, tmp_path):
    """Return a function that makes what the trials of a configuration share."""

    def shared(space=None, **sections):
        values = {
            "data": files,
            "output": str(tmp_path),
            "model": MODEL,
            "halflife": {"channels": [4, 8], "epochs": 2, "batch_size": 8, "finetune": True},
            "train": {"epochs": 4, "global_batch_size": 8, "learning_rate": 0.01},
            "tune": {"space": space or {"train.learning_rate": {"log_uniform": [1e-5, 1]}}},
        }
        for name, section in sections.items():
            values[name] = section if "kind" in section else {**values.get(name, {}), **section}
        config = parse_config(values, "test")
        splits = open_splits(config.data, ("train", "valid"))
        inputs = open_inputs(config, splits)
        info = CheckpointInfo(config={}, config_hash="", inputs=inputs.info)
        sample = read_sample(inputs.tables["valid"])
        return Shared(Space(config), info, read_columns(inputs.tables), sample, inputs, splits, None, tmp_path / "tune")

    return shared


def run(fit):
    history = [fit.step()]
    while not fit.ended:
        history.append(fit.step())
    return history


def test_genes_are_read_in_order_and_whole(make):
    shared = make()
    genes = columns(32, WINDOW, 0, "T")
    assert shared.columns["train"]["sequence"].shape == (32, WINDOW)
    np.testing.assert_array_equal(shared.columns["train"]["label"], genes["label"])
    np.testing.assert_allclose(shared.columns["train"]["halflife"], genes["halflife"])
    assert len(shared.sample["label"]) == 21
    np.testing.assert_array_equal(shared.sample["sequence"], shared.columns["valid"]["sequence"])


def test_a_trial_is_the_training_of_its_settings(make, tmp_path):
    """Epoch by epoch it gives what the loop of one of Ray Train's workers gives."""
    shared = make()
    config = shared.space.trial_config({"train.learning_rate": 0.02})
    trial = run(LocalFit(shared, config, tmp_path / "0000"))
    sizes = {split: [len(found["label"])] for split, found in shared.columns.items()}
    parts = {
        split: {name: np.asarray(values) for name, values in found.items()} for split, found in shared.columns.items()
    }
    shards = {
        split: WorkerShard(lambda size, seed, part=part: iter([part]), len(part["label"]), keep=True)
        for split, part in parts.items()
    }
    worker = Worker(config, shared.info.model_copy(), 0, torch.device("cpu"), sizes, shards)
    loop = NetworkFit(worker, make_start(config, trial_halflife(shared)))
    while not loop.progress.finished:
        loop.epoch()
    assert trial == loop.progress.history
    assert len(trial) == 4
    assert trial[0]["train_loss"] > trial[-1]["train_loss"]


def test_genes_of_the_object_store_are_not_written(make, tmp_path):
    shared = make()
    for found in shared.columns.values():
        for values in found.values():
            values.setflags(write=False)
    before = {name: values.copy() for name, values in shared.columns["train"].items()}
    with np.errstate(all="raise"):
        run(LocalFit(shared, shared.space.config, tmp_path / "0000"))
    for name, values in shared.columns["train"].items():
        np.testing.assert_array_equal(values, before[name])


def test_a_trial_that_lost_its_process_goes_on_from_its_state(make, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_local, "SAVE_S", 0.0)
    shared = make()
    whole = run(LocalFit(shared, shared.space.config, tmp_path / "0000"))
    interrupted = LocalFit(shared, shared.space.config, tmp_path / "0001")
    first = [interrupted.step(), interrupted.step()]
    again = LocalFit(shared, shared.space.config, tmp_path / "0001")
    epochs = []
    monkeypatch.setattr(NetworkFit, "epoch", lambda self, epoch=NetworkFit.epoch: epochs.append(1) or epoch(self))
    assert run(again) == whole
    assert first == whole[:2]
    assert len(epochs) == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["0000", "0001", "tune"]


@pytest.mark.parametrize("finetune", [False, True])
def test_a_trial_may_embed_for_itself_and_goes_on_from_its_state(make, tmp_path, monkeypatch, finetune):
    monkeypatch.setattr(fit_local, "SAVE_S", 0.0)
    backbone = {"kind": "hyenadna", "d_model": 8, "n_layer": 1, "route": "online", "finetune": finetune}
    shared = make(backbone=backbone, embed={"bin_size": 4})
    config = shared.space.config
    prepare_backbone(config.online, WINDOW, shared.inputs.backbone_sha256, shared.folder)
    whole = run(LocalFit(shared, config, tmp_path / "0000"))
    assert len(whole) == 4
    interrupted = LocalFit(shared, config, tmp_path / "0001")
    assert [interrupted.step(), interrupted.step()] == whole[:2]
    again = LocalFit(shared, config, tmp_path / "0001")
    assert run(again) == whole
    # The model alone is timed, on embeddings as long as its own.
    sample = read_sample(shared.inputs.tables["valid"], shared.inputs.info)
    assert sample["sequence"].shape == (21, 5, 8)
    found = judge(again.model(), dataclasses.replace(shared, sample=sample), config)
    assert found["latency_ms"] > 0


def test_the_sample_of_long_embeddings_is_small(make):
    shared = make()
    info = InputInfo(kind="embedding", length=20_000, channels=256, window=20_000)
    sample = read_sample(shared.inputs.tables["valid"], info)
    assert sample["sequence"].shape == (13, 20_000, 256)
    assert len(sample["halflife"]) == len(sample["label"]) == 13


def test_patience_ends_a_trial(make, tmp_path):
    shared = make(train={"patience": 1, "epochs": 50, "learning_rate": 1e-7})
    fit = LocalFit(shared, shared.space.config, tmp_path / "0000")
    history = run(fit)
    assert len(history) < 50
    assert fit.ended == "no better valid AUROC for 1 epochs"
    assert history[-1]["valid_auroc"] <= max(entry["valid_auroc"] for entry in history[:-1])


@pytest.mark.parametrize(("epochs", "reason"), [(2, "all 2 epochs"), (3, "")])
def test_why_a_training_ends(epochs, reason):
    assert Progress([{"valid_auroc": 0.5}, {"valid_auroc": 0.6}], None, epochs).why_ended == reason


def test_the_encoder_is_made_once_for_the_same_settings(make, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(starts, "make_start", lambda *args: made.append(args[0]) or make_start(*args))
    space = {"halflife.margin": {"choice": [0.5, 1.0]}, "model.dropout": {"uniform": [0, 0.9]}}
    shared = make(space)
    for number, (margin, dropout) in enumerate([(0.5, 0.1), (1.0, 0.1), (0.5, 0.2), (1.0, 0.3)]):
        config = shared.space.trial_config({"halflife.margin": margin, "model.dropout": dropout})
        LocalFit(shared, config, tmp_path / str(number)).step()
    assert [config.halflife.margin for config in made] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("key", "range_", "common"),
    [
        ("model.dropout", {"uniform": [0, 0.5]}, True),
        ("halflife.finetune", {"choice": [True, False]}, True),
        ("halflife.margin", {"uniform": [0.5, 2]}, False),
        ("halflife.channels", {"choice": [[4, 8], [8]]}, False),
        ("model.kind", {"choice": ["cnn_halflife_encoded", "cnn_halflife_raw"]}, False),
    ],
)
def test_when_all_trials_start_alike(make, key, range_, common):
    shared = make({key: range_})
    assert (common_start(shared.space, shared.inputs.fingerprints["train"]) is not None) is common


def test_size_and_latency(make, tmp_path):
    shared = make()
    fit = LocalFit(shared, shared.space.config, tmp_path / "0000")
    fit.step()
    found = judge(fit.model(), shared, shared.space.config)
    tensors = fit.model().state_dict().values()
    assert found["size_mb"] == sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
    assert found["latency_ms"] > 0


@pytest.mark.parametrize("kind", ["logistic", "xgboost_kmer"])
def test_models_of_a_table_take_one_step(make, kind):
    pytest.importorskip("xgboost")
    own = {"l2": 1.0} if kind == "logistic" else {"trees": {"trees": 12, "depth": 2, "early_stopping": None}}
    key = {"logistic": "model.l2", "xgboost_kmer": "model.trees.depth"}[kind]
    range_ = {"log_uniform": [0.01, 100]} if kind == "logistic" else {"integer": [1, 4]}
    shared = make({key: range_}, model={"kind": kind, **KMERS, **own})
    tables = {}
    fit = TableFit(shared, shared.space.config, tables)
    metrics = fit.step()
    assert fit.ended
    valid = next(iter(tables.values()))["valid"]
    logits = fit.model().logits(torch.from_numpy(valid.features)).detach().numpy()
    assert metrics["valid_auroc"] == pytest.approx(
        auroc(valid.label.astype("uint8"), logits.astype("float64")), abs=1e-12
    )
    again = TableFit(shared, shared.space.trial_config({key: 2}), tables)
    assert len(tables) == 1
    again.step()
    assert judge(again.model(), shared, shared.space.config)["size_mb"] > 0
