"""Models of tables that learn several targets: an own booster or regression for each, as the libraries fit them."""

import json

import numpy as np
import pandas as pd
import pytest
import xgboost
from safetensors.numpy import load_file
from scipy import stats
from sklearn.linear_model import PoissonRegressor, Ridge
from toy_models import columns, sentence, write_splits

from raygenex.config.load import parse_config
from raygenex.data.opening import open_splits
from raygenex.errors import ConfigError
from raygenex.evaluate import evaluate
from raygenex.predict.predictor import Predictor
from raygenex.stats.metrics import auroc
from raygenex.tracking.outbox import Outbox
from raygenex.train.checkpoint import VALID_SCORES, WEIGHTS, load_checkpoint
from raygenex.train.inputs import open_inputs
from raygenex.train.run import train
from raygenex.train.tables.inprocess import fit_in_process
from raygenex.train.tables.table import FeatureTable
from raygenex.train.tables.tree_grower import TargetGrowers
from raygenex.train.targets import TargetInfo
from raygenex.train.training import TrackedTraining

WINDOW = 20
TREES = {"trees": 45, "depth": 2, "learning_rate": 0.3, "subsample": 0.9, "colsample": 0.5, "early_stopping": 5}
XGBOOST = {"kind": "xgboost_kmer", "k": (1, 2), "regions": 2, "region_k": 1, "onehot_bases": 8, "trees": TREES}
LOGISTIC = {"kind": "logistic", "k": (1,), "regions": 2, "region_k": 1, "onehot_bases": 0, "l2": 3.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Files of train and valid, and a table of three quantities of their genes, two in ten missing."""
    folder = tmp_path_factory.mktemp("genes")
    files = write_splits(folder, WINDOW)
    rng = np.random.default_rng(0)
    genes = [columns(32, WINDOW, 0, "T"), columns(21, WINDOW, 1, "V")]
    halflife = np.concatenate([part["halflife"] for part in genes]).astype(float)
    level = halflife[:, 0] + 0.5 * halflife[:, 1] + 0.3 * rng.normal(size=len(halflife))
    table = pd.DataFrame(
        {
            "gene_id": np.concatenate([part["gene_id"] for part in genes]),
            "level": 5 + 2 * level,
            "reads": rng.poisson(np.exp(1 + 0.5 * level)).astype(float),
            "other": rng.normal(size=len(level)),
        }
    )
    for name in ("level", "reads", "other"):
        table.loc[rng.random(len(table)) < 0.2, name] = np.nan
    path = folder / "levels.tsv"
    table.to_csv(path, sep="\t", index=False)
    return files, str(path)


def configured(data, folder, model, targets=None, **sections):
    files, table = data
    wanted = [
        "label",
        {"name": "level", "table": table},
        {"name": "reads", "table": table, "kind": "counts"},
        {"name": "other", "table": table} | ({"loss": "huber"} if model["kind"] != "logistic" else {}),
    ]
    wanted = targets(table) if targets else wanted
    return parse_config({"output": str(folder), "data": files, "model": model, "targets": wanted} | sections, "test")


def fit(config, folder):
    """Fit a model; return its inputs, its checkpoint, and what it scored of valid."""
    splits = open_splits(config.data, ("train", "valid"))
    inputs = open_inputs(config, splits)
    training = TrackedTraining(config, inputs, folder, splits, None, "run", Outbox("the test", 0.0))
    fit_in_process(training, folder / "checkpoint")
    scores = load_file(folder / "checkpoint" / VALID_SCORES)
    return inputs, *load_checkpoint(folder / "checkpoint"), scores


def table_of(model, inputs, split):
    """Return the features of a split and the values of its targets as they are learned."""
    (piece,) = inputs.tables[split].pieces(0, inputs.tables[split].count, 4096)
    part = piece.read()
    return model.features(part["sequence"], part["halflife"]), part["label"]


def test_boosters_are_those_that_xgboost_grows_on_the_genes_with_a_value(data, tmp_path):
    inputs, model, info, scores = fit(configured(data, tmp_path, XGBOOST), tmp_path)
    features, values = table_of(model, inputs, "train")
    others, truth = table_of(model, inputs, "valid")
    objectives = ["binary:logistic", "reg:squarederror", "count:poisson", "reg:pseudohubererror"]
    assert sorted(load_file(tmp_path / "checkpoint" / WEIGHTS)) == [f"booster.{place}.raw" for place in range(4)]
    for place, objective in enumerate(objectives):
        known, seen = ~np.isnan(values[:, place]), ~np.isnan(truth[:, place])
        matrix = xgboost.QuantileDMatrix(features[known], values[known, place])
        valid = xgboost.DMatrix(others[seen])
        parameters = {"objective": objective, "max_depth": 2, "learning_rate": 0.3, "seed": 0, "nthread": 1}
        parameters |= {"subsample": 0.9, "colsample_bytree": 0.5, "seed_per_iteration": True}
        trees, best, since = xgboost.Booster(parameters, [matrix]), -np.inf, 0
        for number in range(20):
            trees.update(matrix, number)
            margin = trees.predict(valid, output_margin=True)
            measured = np.exp(margin) if objective == "count:poisson" else margin
            score = auroc(truth[seen, place], margin) if place == 0 else stats.pearsonr(truth[seen, place], measured)[0]
            if place and np.isnan(score):
                score = 0.0
            if score > best:
                best, since, expected = score, 0, margin
            else:
                since += 1
            if since == 5:
                break
        else:
            # Beyond twenty trees the draws begin again, as a resumed run's do.
            continue
        np.testing.assert_allclose(scores["logits"][seen, place], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(scores["labels"]), np.isnan(truth))
    assert {"valid_label_auroc", "valid_level_pearson", "valid_reads_pearson", "valid_score"} <= set(info.history[0])


def test_a_booster_is_the_same_alone_and_among_others(data, tmp_path):
    (tmp_path / "one").mkdir()
    _, several, _, _ = fit(configured(data, tmp_path, XGBOOST), tmp_path)
    alone = configured(data, tmp_path / "one", XGBOOST, lambda table: [{"name": "level", "table": table, "weight": 9}])
    _, single, _, scores = fit(alone, tmp_path / "one")
    assert single.booster.raw.numpy().tobytes() == several.booster[1].raw.numpy().tobytes()
    assert scores["logits"].ndim == 1
    assert scores["labels"].shape == (21, 1)


def test_regressions_are_those_of_scikit_learn(data, tmp_path):
    inputs, model, info, scores = fit(configured(data, tmp_path, LOGISTIC), tmp_path)
    features, values = table_of(model, inputs, "train")
    others, _ = table_of(model, inputs, "valid")
    spread = features.std(axis=0, dtype=float)
    mean, scale = features.mean(axis=0, dtype=float), np.where(spread > 0, spread, 1)
    for place, name in ((1, "level"), (2, "reads"), (3, "other")):
        known = ~np.isnan(values[:, place])
        regression = (
            PoissonRegressor(alpha=3.0 / known.sum(), tol=1e-10, max_iter=1000) if name == "reads" else Ridge(alpha=3.0)
        )
        regression.fit((features[known].astype(float) - mean) / scale, values[known, place].astype(float))
        expected = (others.astype(float) - mean) / scale @ regression.coef_ + regression.intercept_
        np.testing.assert_allclose(scores["logits"][:, place], expected, rtol=1e-3, atol=1e-4)
    assert info.history[-1]["valid_level_pearson"] == pytest.approx(
        stats.pearsonr(*(scores[name][~np.isnan(scores["labels"][:, 1]), 1] for name in ("labels", "logits")))[0],
        abs=1e-5,
    )


@pytest.mark.parametrize("model", [XGBOOST, LOGISTIC], ids=["xgboost_kmer", "logistic"])
def test_a_trained_model_is_measured_and_predicts(data, tmp_path, model, monkeypatch):
    config = configured(data, tmp_path, model)
    result = train(config)
    predictor = Predictor(config.checkpoint)
    info = predictor.info
    assert info.threshold is None
    assert info.targets[0].threshold is not None
    assert f"valid Pearson r {info.metrics['level_pearson']:.4f}" in result.text()

    def score(rows, checkpoint, config, what):
        (piece,) = rows.pieces(0, rows.count, 4096)
        part = piece.read()
        return part | {"outputs": predictor.logits(part["sequence"], part["halflife"])}

    monkeypatch.setattr("raygenex.evaluate.score_rows", score)
    measured = evaluate(config, "valid")
    found = {name: measured.metrics[name].value for name in info.metrics}
    assert found == pytest.approx(info.metrics, abs=1e-5)


def resumable(seed=0):
    """Return growers of two targets over genes of which some lack one."""
    rng = np.random.default_rng(seed)
    targets = [
        TargetInfo(name="bit", kind="binary", loss="bce", measured=1),
        TargetInfo(name="level", kind="continuous", loss="mse", measured=1),
    ]
    tables = {}
    for name, genes in (("train", 80), ("valid", 30)):
        features = rng.normal(size=(genes, 6)).astype(np.float32)
        values = np.stack([rng.integers(0, 2, genes), features[:, 0] + rng.normal(size=genes)], axis=1)
        values[::4, 1] = np.nan
        tables[name] = FeatureTable(features, values.astype(np.float32))
    section = parse_config({"model": XGBOOST | {"trees": TREES | {"early_stopping": 12}}}, "test").model
    sizes = {"train": [80], "valid": [30]}
    return TargetGrowers(section.trees, **tables, sizes=sizes, seed=0, threads=1, targets=targets)


def test_resumed_trees_are_those_of_an_undisturbed_run(tmp_path):
    whole, first, second = (resumable() for _ in range(3))
    while not whole.finished:
        whole.grow()
    assert len(whole.history) > 20
    for _ in range(20):
        first.grow()
    first.save(tmp_path)
    # A checkpoint's description has the joined history.
    description = {"schema_version": 2, "config": {}, "config_hash": "", "history": first.history}
    description["inputs"] = {"kind": "bases", "length": 1, "channels": 4, "window": 1}
    (tmp_path / "checkpoint.json").write_text(json.dumps(description))
    second.restore(tmp_path)
    while not second.finished:
        second.grow()
    assert second.history == whole.history
    assert second.kept_numbers == whole.kept_numbers


def test_a_target_that_has_stopped_repeats_its_kept_numbers():
    growers = resumable()
    while not growers.finished:
        growers.grow()
    for name in ("valid_bit_auroc", "valid_level_pearson"):
        scores = [row[name] for row in growers.history]
        assert growers.kept_numbers[name] == max(scores)
    assert growers.kept_numbers["valid_score"] == pytest.approx(
        (growers.kept_numbers["valid_bit_auroc"] + growers.kept_numbers["valid_level_pearson"]) / 2
    )


@pytest.mark.parametrize(
    ("model", "target", "train_section", "words"),
    [
        (XGBOOST, {"loss": "gaussian"}, {}, ["xgboost_kmer", "level", "gaussian", "poisson"]),
        (LOGISTIC, {"loss": "huber"}, {}, ["logistic", "level", "huber", "mse"]),
        (XGBOOST, {}, {"monitor": "level_pearson"}, ["train.monitor", "xgboost_kmer", "leave it out"]),
        (LOGISTIC, {}, {"target_weights": "uncertainty"}, ["train.target_weights", "logistic", "leave it out"]),
    ],
)
def test_what_tables_do_not_learn_is_refused(data, tmp_path, model, target, train_section, words):
    config = configured(
        data, tmp_path, model, lambda table: [{"name": "level", "table": table} | target], train=train_section
    )
    with pytest.raises(ConfigError) as info:
        open_inputs(config, open_splits(config.data, ("train", "valid")))
    sentence(info, *words)


def test_a_label_model_keeps_the_names_of_its_tensors(data, tmp_path):
    files, _ = data
    config = parse_config({"output": str(tmp_path), "data": files, "model": XGBOOST}, "test")
    fit(config, tmp_path)
    assert list(load_file(tmp_path / "checkpoint" / WEIGHTS)) == ["booster.raw"]


def test_a_feature_that_genes_lack_is_read_as_its_mean_and_said_beside(data, tmp_path):
    """A regression has a column that says what is missing; trees read the gaps themselves."""

    def level_alone(table):
        return [{"name": "level", "table": table}]

    files, table = data
    sources = (files | {"features": ["CDSLEN", {"name": "other", "table": table}, "UTR5GC"]}, table)
    config = configured(sources, tmp_path / "a", LOGISTIC, level_alone)
    (tmp_path / "a").mkdir()
    inputs, model, info, scores = fit(config, tmp_path / "a")
    assert (info.inputs.features, info.inputs.lacking) == (("CDSLEN", "other", "UTR5GC"), ("other",))
    features, values = table_of(model, inputs, "train")
    others, _ = table_of(model, inputs, "valid")
    missing = np.isnan(features[:, -3])
    np.testing.assert_array_equal(features[:, -1], missing)
    assert 0 < missing.sum() < 32
    mean = np.nanmean(features, axis=0, dtype=np.float64)
    filled, seen = (np.where(np.isnan(part), mean, part) for part in (features, others))
    spread = filled.std(axis=0)
    scale = np.where(spread > 0, spread, 1)
    known = ~np.isnan(values[:, 0])
    ridge = Ridge(alpha=LOGISTIC["l2"]).fit(((filled - mean) / scale)[known], values[known, 0])
    np.testing.assert_allclose(scores["logits"].ravel(), ridge.predict((seen - mean) / scale), rtol=1e-3, atol=1e-4)
    config = configured(sources, tmp_path / "b", XGBOOST, level_alone)
    (tmp_path / "b").mkdir()
    inputs, model, info, scores = fit(config, tmp_path / "b")
    assert np.isnan(table_of(model, inputs, "train")[0][:, -2]).sum() == missing.sum()
    assert np.isfinite(scores["logits"]).all()
