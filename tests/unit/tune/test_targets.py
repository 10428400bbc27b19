"""Searches of models of several targets: their metric, their trials in this process, and what a study says of them."""

import csv
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from toy_jobs import run_jobs_here, score_outputs
from toy_models import columns, sentence, write_splits

from raygenex.config.load import parse_config
from raygenex.data.opening import open_splits
from raygenex.errors import ConfigError
from raygenex.stats.metrics import auroc
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.inputs import open_inputs
from raygenex.tune import best, fit_workers
from raygenex.tune.fit_local import LocalFit, TableFit
from raygenex.tune.records import Ledger, TrialRecord
from raygenex.tune.report import write_report
from raygenex.tune.run import TuneResult
from raygenex.tune.search import EPOCHS, scheduler
from raygenex.tune.shared import Shared, read_columns, read_sample
from raygenex.tune.space import Space
from raygenex.tune.study import open_study

WINDOW = 20
KMERS = {"k": (1,), "regions": 2, "region_k": 1, "onehot_bases": 0}
NETWORK = {"kind": "cnn_halflife_raw", "width": 8, "channels": [4], "dense": [4], "stem_kernel": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genes")
    files = write_splits(folder, WINDOW)
    genes = [columns(32, WINDOW, 0, "T"), columns(21, WINDOW, 1, "V")]
    level = np.concatenate([part["halflife"][:, 0] for part in genes]).astype(float)
    level[::5] = np.nan
    path = folder / "levels.tsv"
    gene_id = np.concatenate([part["gene_id"] for part in genes])
    pd.DataFrame({"gene_id": gene_id, "level": level}).to_csv(path, sep="\t", index=False)
    return files, str(path)


@pytest.fixture
def make(data, tmp_path):
    def config(model=NETWORK, space=None, **sections):
        files, table = data
        values = {
            "output": str(tmp_path),
            "data": files,
            "targets": ["label", {"name": "level", "table": table}],
            "model": model,
            "train": {"epochs": 3, "global_batch_size": 8, "learning_rate": 0.01} | sections.pop("train", {}),
            "tune": {"space": space or {"train.learning_rate": {"log_uniform": [1e-5, 1]}}} | sections.pop("tune", {}),
        }
        return parse_config(values | sections, "test")

    return config


def share(config, folder):
    splits = open_splits(config.data, ("train", "valid"))
    inputs = open_inputs(config, splits)
    info = CheckpointInfo(config={}, config_hash="", inputs=inputs.info, targets=inputs.targets)
    sample = read_sample(inputs.tables["valid"])
    return Shared(Space(config), info, read_columns(inputs.tables), sample, inputs, splits, None, folder)


def test_the_metric_of_targets_is_their_score(make):
    assert Space(make()).config.tune.objectives == ("valid_score",)
    assert Space(make()).title == "valid score"
    several = make(tune={"objectives": ["size_mb", "valid_auroc"]})
    assert Space(several).config.tune.objectives == ("size_mb", "valid_score")
    assert Space(make(train={"monitor": "level_pearson"})).title == "valid level_pearson"
    label = Space(make(targets=[]))
    assert (label.config.tune.objectives, label.title) == (("valid_auroc",), "valid AUROC")
    assert label.config == make(targets=[])


@pytest.mark.parametrize("monitor", [None, "level_pearson"])
def test_a_network_is_scored_as_a_training_is(make, tmp_path, monitor):
    config = make(train={"monitor": monitor} if monitor else {})
    shared = share(config, tmp_path / "tune")
    fit = LocalFit(shared, config, tmp_path / "trial")
    while True:
        metrics = fit.step()
        if fit.ended:
            break
    expected = (
        metrics["valid_level_pearson"]
        if monitor
        else (metrics["valid_level_pearson"] + metrics["valid_label_auroc"]) / 2
    )
    assert metrics["valid_score"] == pytest.approx(expected)
    assert fit.model().outputs == 2


@pytest.mark.parametrize("kind", ["logistic", "xgboost_kmer"])
def test_a_table_is_scored_by_what_its_model_predicts(make, tmp_path, kind):
    key = {"model.l2": {"log_uniform": [1, 10]}}
    if kind == "xgboost_kmer":
        key = {"model.trees.depth": {"integer": [1, 3]}}
    config = make({"kind": kind, **KMERS}, key)
    shared = share(config, tmp_path / "tune")
    fit = TableFit(shared, config, {})
    metrics = fit.step()
    assert fit.ended
    valid = shared.columns["valid"]
    model = fit.model()
    outputs = model(torch.from_numpy(valid["sequence"]), torch.from_numpy(valid["halflife"])).detach().numpy()
    known = ~np.isnan(valid["label"][:, 1])
    scores = auroc(valid["label"][:, 0], outputs[:, 0]), stats.pearsonr(valid["label"][known, 1], outputs[known, 1])[0]
    assert metrics["valid_score"] == pytest.approx(np.mean(scores), abs=1e-5)


def test_several_workers_report_the_score(make, tmp_path, monkeypatch):
    config = make(train={"workers": 2, "epochs": 2})
    shared = share(config, tmp_path / "tune")
    names = ("train_loss", "valid_loss", "valid_label_auroc", "valid_level_pearson", "valid_score")
    reported = [{"epoch": float(number), **dict.fromkeys(names, 0.5 - number / 10)} for number in range(2)]

    @contextmanager
    def follow(log, put):
        for metrics in reported:
            put(metrics | {"score": 1.0})
        yield

    monkeypatch.setattr(fit_workers, "open_epoch_log", lambda: None)
    monkeypatch.setattr(fit_workers, "network_trainer", lambda *given: None)
    monkeypatch.setattr(fit_workers, "follow", follow)
    monkeypatch.setattr(fit_workers, "fit_until_done", lambda trainer: None)
    fit = fit_workers.NestedFit(shared, config, tmp_path / "trial")
    assert [fit.step(), fit.step()] == reported
    assert fit.ended == "all 2 epochs"


def test_the_best_settings_are_trained_again_and_the_median_is_registered(make, monkeypatch):
    config = make(
        {"kind": "xgboost_kmer", **KMERS}, {"model.trees.depth": {"integer": [1, 3]}}, tune={"seeds": [0, 1, 2]}
    )
    registered = []

    monkeypatch.setattr("raygenex.evaluate.score_rows", score_outputs)
    monkeypatch.setattr(best, "run_jobs", run_jobs_here)
    monkeypatch.setattr(best, "register", lambda config: registered.append(config.name) or SimpleNamespace(uri="m"))
    found = best.train_best(config, Space(config), trial(4, 0.5, params={"model.trees.depth": 2}), None, force=False)
    assert found.shown == ("label_auroc", "level_pearson")
    means = np.mean([found.valid["label_auroc"], found.valid["level_pearson"]], axis=0)
    assert registered == [f"trial4-{int(np.argsort(means)[1])}"]
    told = TuneResult("f", 1, {}, 4, {"k": 1}, "valid_score", "valid score", 0.5, 0.4, found, 0.0, "run", 1.0)
    assert "best: trial 4, valid score 0.5000" in told.text()
    assert f"level_pearson {np.mean(found.valid['level_pearson']):.4f}" in told.text()
    assert "AUROC" not in told.text()
    assert (told.values()["valid_score"], told.values()["first_score"]) == (0.5, 0.4)


def trial(number, *scores, params=None):
    history = [{"epoch": float(epoch), "valid_score": score} for epoch, score in enumerate(scores)]
    return TrialRecord(
        number=number,
        params=params or {"train.learning_rate": 0.01 * (number + 1)},
        state="finished",
        reason="all epochs",
        history=history,
        values={"valid_score": max(scores)},
    )


def test_a_study_names_its_metric(make, tmp_path):
    config = make(train={"monitor": "level_pearson"})
    ledger = Ledger(tmp_path / "study")
    for number, score in enumerate((0.2, 0.5, 0.4, 0.3)):
        (ledger.folder / "trials").mkdir(parents=True, exist_ok=True)
        ledger.keep(trial(number, score))
    folder = write_report(Space(config), ledger, 60.0)
    with (folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["valid_score"]) for row in rows] == [0.2, 0.5, 0.4, 0.3]
    assert "trial 1 of the study run: valid level_pearson 0.5000" in (folder / "best.yaml").read_text()
    page = (folder / "plots.html").read_text()
    assert "Valid level_pearson, trial by trial" in page
    assert "AUROC" not in page.split("<h1>")[1].split("<script", 1)[0]


def test_poor_trials_are_stopped_by_the_score(make):
    config = Space(make(train={"epochs": 9}, tune={"grace_epochs": 1, "reduction": 2})).config
    asha = scheduler(config.tune, 9, [trial(number, 0.9) for number in range(4)])
    poor = SimpleNamespace(trial_id="poor")
    asha.on_trial_add(None, poor)
    assert asha.on_trial_result(None, poor, {EPOCHS: 1, "valid_score": 0.1}) == "STOP"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": {"train.monitor": {"choice": ["level_pearson", "label_auroc"]}}}, ["train.monitor", "the same"]),
        (
            {"targets": [], "space": {"train.target_weights": {"choice": ["fixed"]}}},
            ["train.target_weights", "without targets"],
        ),
        ({"targets": [], "tune": {"objectives": ["valid_score"]}}, ["valid_score", "valid_auroc"]),
    ],
)
def test_what_trials_cannot_differ_in_is_refused(make, changes, words):
    with pytest.raises(ConfigError) as info:
        Space(make(**changes))
    sentence(info, *words)


def test_a_kind_that_cannot_learn_a_target_is_refused_before_the_search(make, data):
    _, table = data
    config = make(
        {"kind": "xgboost_kmer", **KMERS},
        {"model.kind": {"choice": ["xgboost_kmer", "logistic"]}},
        targets=[{"name": "level", "table": table, "loss": "huber"}],
    )
    with pytest.raises(ConfigError) as info:
        open_study(config, force=False)
    sentence(info, "logistic", "level", "huber")
