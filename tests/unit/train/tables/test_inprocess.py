"""Models of a table of features, fitted in this process: no Ray."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xgboost
from safetensors.numpy import load_file
from toy_models import columns, sentence, write_promoters, write_splits

from raygenex.config.load import parse_config
from raygenex.data.opening import open_splits
from raygenex.errors import ConfigError
from raygenex.predict.predictor import Predictor
from raygenex.stats.metrics import auroc
from raygenex.tracking.outbox import Outbox
from raygenex.train.checkpoint import VALID_SCORES, WEIGHTS, load_checkpoint, save_checkpoint_info
from raygenex.train.inputs import open_inputs
from raygenex.train.needs import check_workers, needs_ray
from raygenex.train.run import train
from raygenex.train.tables.inprocess import fit_in_process
from raygenex.train.tables.table import FeatureTable
from raygenex.train.tables.tree_grower import TreeGrower
from raygenex.train.training import TrackedTraining

pytest.importorskip("xgboost")

WINDOW = 20
TREES = {"trees": 30, "depth": 3, "learning_rate": 0.3, "subsample": 0.9, "colsample": 0.5, "early_stopping": None}
XGBOOST = {"kind": "xgboost_kmer", "k": (1, 2), "regions": 2, "region_k": 1, "onehot_bases": 8, "trees": TREES}
LOGISTIC = {"kind": "logistic", "k": (1, 2), "regions": 2, "region_k": 1, "onehot_bases": 8, "l2": 0.1}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("genes"), WINDOW)


def make_training(files, folder, **sections):
    values = {"output": str(folder), "data": files, "model": XGBOOST} | sections
    config = parse_config(values, "test")
    splits = open_splits(config.data, ("train", "valid"))
    return TrackedTraining(config, open_inputs(config, splits), folder, splits, None, "run", Outbox("the test", 0.0))


def fit(files, folder, **sections):
    """Fit a model; return its checkpoint, made loadable, and the logits of valid that stand beside it."""
    target = folder / "checkpoint"
    fit_in_process(make_training(files, folder, **sections), target)
    scores = load_file(target / VALID_SCORES)
    _, info = load_checkpoint(target)
    info.threshold = 0.5
    save_checkpoint_info(target, info)
    return target, scores


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


# Fits


@pytest.mark.parametrize("model", [XGBOOST, LOGISTIC], ids=["xgboost_kmer", "logistic"])
def test_32_genes_are_learned_by_heart(files, tmp_path, model):
    genes = columns(32, WINDOW, 0, "T")
    # Valid says when to stop, so it holds the same genes under other names.
    twins = write_promoters(tmp_path / "twins.h5", genes | {"gene_id": columns(32, 1, prefix="V")["gene_id"]})
    target, _ = fit(files | {"valid": twins}, tmp_path, model=model)
    probability = Predictor(target).score(genes["sequence"], genes["halflife"])
    assert auroc(genes["label"], probability) == 1.0


@pytest.mark.parametrize("model", [XGBOOST, LOGISTIC], ids=["xgboost_kmer", "logistic"])
def test_the_checkpoint_scores_as_the_fit_did(files, tmp_path, model):
    target, scores = fit(files, tmp_path, model=model)
    genes = columns(21, WINDOW, 1, "V")
    np.testing.assert_array_equal(scores["labels"], genes["label"])
    expected = 1 / (1 + np.exp(-scores["logits"].astype(np.float64)))
    for batch_size in (1, 4, 21):
        found = Predictor(target, batch_size=batch_size).score(genes["sequence"], genes["halflife"])
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    info = Predictor(target).info
    assert info.history[info.epoch]["valid_auroc"] == pytest.approx(auroc(genes["label"], expected), abs=1e-12)
    assert {"epoch", "train_loss", "valid_loss", "valid_auroc"} == set(info.history[0])
    halflife = columns(32, WINDOW, 0, "T")["halflife"]
    assert info.feature_range["UTR3LEN"] == (halflife[:, 3].min(), halflife[:, 3].max())


def test_a_folder_of_the_users_stays(files, tmp_path):
    config = make_training(files, tmp_path, model=LOGISTIC).config
    mine = Path(config.folder, "backbone", "model.safetensors")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for force in (False, True):
        train(config, force)
        assert mine.read_text() == "mine"


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(files, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        folder.mkdir()
        fit(files, folder, seed=seed)
    first, second, third = (weights(folder / "checkpoint") for folder in folders)
    assert first == second
    assert first != third


def test_only_the_trees_up_to_the_best_are_kept(files, tmp_path):
    target, _ = fit(files, tmp_path, model=XGBOOST | {"trees": TREES | {"early_stopping": 3}})
    model, info = load_checkpoint(target)
    aurocs = [metrics["valid_auroc"] for metrics in info.history]
    assert info.epoch == int(np.argmax(aurocs))
    assert len(aurocs) == min(30, info.epoch + 1 + 3)
    trees = xgboost.Booster(model_file=bytearray(model.booster.raw.numpy().tobytes()))
    assert trees.num_boosted_rounds() == info.epoch + 1
    assert info.versions["xgboost"]


def test_promoters_shorter_than_regions_and_words(tmp_path):
    files = {
        name: write_promoters(tmp_path / f"{name}.h5", columns(16, 3, seed, name))
        for seed, name in enumerate(("train", "valid"))
    }
    target, _ = fit(files, tmp_path, model=XGBOOST | {"k": (1, 5), "regions": 8})
    assert load_checkpoint(target)[1].inputs.window == 3


def test_promoters_of_unknown_bases_alone(tmp_path):
    genes = columns(16, WINDOW)
    genes["sequence"][:] = 4
    files = {"train": write_promoters(tmp_path / "train.h5", genes)}
    files["valid"] = write_promoters(tmp_path / "valid.h5", genes | {"gene_id": columns(16, 1, prefix="V")["gene_id"]})
    for model in (XGBOOST, LOGISTIC):
        (tmp_path / model["kind"]).mkdir()
        _, scores = fit(files, tmp_path / model["kind"], model=model)
        assert np.isfinite(scores["logits"]).all()


@pytest.mark.parametrize("model", [XGBOOST, LOGISTIC], ids=["xgboost_kmer", "logistic"])
def test_genes_without_promoters(tmp_path, model):
    without = {
        "train": write_promoters(tmp_path / "train.h5", columns(32, 0, 0, "T")),
        "valid": write_promoters(tmp_path / "valid.h5", columns(21, 0, 1, "V")),
    }
    target, scores = fit(without, tmp_path, model=model)
    predictor = Predictor(target)
    assert (predictor.model.width, predictor.model.uses_dna, predictor.info.reads_dna) == (8, False, False)
    genes = columns(21, 0, 1, "V")
    probability = predictor.score(genes["sequence"], genes["halflife"])
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-scores["logits"].astype(float))), rtol=1e-5)


def test_bases_are_read_whatever_the_backbone(files, tmp_path):
    training = make_training(files, tmp_path, backbone={"kind": "hyenadna"})
    assert training.inputs.info.kind == "bases"
    assert training.inputs.backbone is None
    assert not training.config.reads_embeddings


def test_torch_has_its_threads_back(files, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit(files, tmp_path, model=LOGISTIC)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# Boosting


def grower(early_stopping=None, trees=12):
    section = parse_config(
        {"model": XGBOOST | {"trees": TREES | {"trees": trees, "early_stopping": early_stopping}}}, "test"
    ).model
    return TreeGrower(section.trees, **tables(), sizes={"train": [64], "valid": [20]}, seed=0, threads=1)


def tables():
    rng = np.random.default_rng(0)
    return {
        name: FeatureTable(rng.normal(size=(n, 6)).astype(np.float32), (np.arange(n) % 2).astype(np.float32))
        for name, n in (("train", 64), ("valid", 20))
    }


def test_losses_are_those_of_xgboost():
    growing = grower()
    metrics = growing.grow()
    named = [(xgboost.DMatrix(table.features, table.label), name) for name, table in tables().items()]
    measured = dict(part.split(":") for part in growing.best().eval_set(named, 0).split("\t")[1:])
    assert float(measured["train-logloss"]) == pytest.approx(metrics["train_loss"], abs=1e-6)
    assert float(measured["valid-logloss"]) == pytest.approx(metrics["valid_loss"], abs=1e-6)


def test_resumed_trees_are_those_of_an_undisturbed_run():
    whole = grower(trees=45)
    while not whole.finished:
        whole.grow()
    first = grower(trees=45)
    for _ in range(20):
        first.grow()
    second = grower(trees=45)
    second.resume(first.state(), first.progress.history)
    while not second.finished:
        second.grow()
    assert len(second.progress.history) == 45
    aurocs = [[metrics["valid_auroc"] for metrics in growing.progress.history] for growing in (whole, second)]
    assert aurocs[0] == aurocs[1]
    assert whole.best().get_dump() == second.best().get_dump()


@pytest.mark.parametrize("early_stopping", [None, 5])
def test_all_trees_are_kept_but_with_early_stopping(early_stopping):
    growing = grower(early_stopping, trees=30)
    while not growing.finished:
        growing.grow()
    history = growing.progress.history
    best = max(range(len(history)), key=lambda number: (history[number]["valid_auroc"], -number))
    # Labels are noise here, so the best number of trees is not the last.
    assert best < len(history) - 1
    kept = best if early_stopping else 29
    assert growing.last_kept == kept
    assert growing.best().num_boosted_rounds() == kept + 1


def test_a_report_is_due_every_twenty_trees_and_at_the_end():
    growing = grower(trees=45)
    due = []
    while not growing.finished:
        growing.grow()
        due.append(growing.due)
    assert [number + 1 for number, now in enumerate(due) if now] == [20, 40, 45]


# Refusals


def test_features_that_do_not_fit_are_refused(files, tmp_path):
    training = make_training(files, tmp_path, train={"memory_gib": 0.0})
    with pytest.raises(ConfigError) as info:
        check_workers(training.config, training.inputs)
    sentence(info, "features of 32 genes", "train.memory_gib is 0", "raise train.memory_gib or train.workers")


def test_trees_need_their_package(files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    training = make_training(files, tmp_path)
    with pytest.raises(ConfigError, match="pip install"):
        check_workers(training.config, training.inputs)
    training = make_training(files, tmp_path, model=LOGISTIC)
    check_workers(training.config, training.inputs)


@pytest.mark.parametrize(
    ("model", "workers", "expected"),
    [(XGBOOST, 1, False), (XGBOOST, 2, True), (LOGISTIC, 1, False), (LOGISTIC, 2, False), ({}, 1, True)],
)
def test_who_needs_ray(model, workers, expected):
    assert needs_ray(parse_config({"model": model, "train": {"workers": workers}}, "test")) is expected
