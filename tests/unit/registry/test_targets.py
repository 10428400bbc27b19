"""The gate between models of targets: what decides, what is shown, and what cannot be compared."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from toy_models import columns, sentence, write_splits
from toy_registry import forget_champion

from raygenex.config.load import parse_config
from raygenex.errors import DataError
from raygenex.predict.predictor import Predictor
from raygenex.registry import scoring
from raygenex.registry.compare import compare
from raygenex.registry.promote import plan_promote, promote
from raygenex.registry.register import register
from raygenex.registry.versions import Registry, list_versions
from raygenex.stats.compare import paired_bootstrap
from raygenex.stats.quantities import paired_quantity_bootstrap, quantity_metrics
from raygenex.train.run import train

WINDOW = 20
RIDGE = {"kind": "logistic", "k": (1,), "regions": 1, "region_k": 1, "onehot_bases": 0, "l2": 1.0}
WITHOUT_HALFLIFE = RIDGE | {"halflife": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five registered versions.

    1 and 2 learn level and label, 1 without the features that tell level; 3 has the targets of 2 in the other order;
    4 learns the label, 5 something else.
    """
    root = tmp_path_factory.mktemp("registry")
    files = write_splits(root, WINDOW)
    rng = np.random.default_rng(0)
    genes = [columns(32, WINDOW, 0, "T"), columns(21, WINDOW, 1, "V")]
    halflife = np.concatenate([part["halflife"][:, 0] for part in genes]).astype(float)
    values = pd.DataFrame(
        {
            "gene_id": np.concatenate([part["gene_id"] for part in genes]),
            "level": 3 + halflife + 0.2 * rng.normal(size=53),
            "other": rng.normal(size=53),
        }
    )
    values.loc[::6, "level"] = np.nan
    table = str(root / "levels.tsv")
    values.to_csv(table, sep="\t", index=False)
    level, other = ({"name": name, "table": table, "unit": "log2 TPM"} for name in ("level", "other"))
    runs = []
    for name, model, targets in (
        ("poor", WITHOUT_HALFLIFE, [level, "label"]),
        ("good", RIDGE, [level, "label"]),
        ("turned", RIDGE, ["label", level]),
        ("bit", RIDGE, []),
        ("apart", RIDGE, [other]),
    ):
        config = parse_config(
            {
                "name": name,
                "output": str(root / "runs"),
                "data": files,
                "model": model,
                "targets": targets,
                "evaluate": {"bootstrap": 200},
                "tracking": {"model_name": "toy"},
            },
            "test",
        )
        train(config)
        register(config)
        runs.append(config)
    valid = values[32:].set_index("gene_id")["level"].to_numpy()
    return SimpleNamespace(runs=runs, config=runs[1], genes=genes[1], level=valid)


@pytest.fixture
def toy(made, monkeypatch):
    """The same versions without a champion or a history."""
    monkeypatch.setattr(scoring, "open_cluster", lambda config, cpus: contextlib.nullcontext())
    forget_champion(made.config)
    return made


def outputs(toy, number):
    predictor = Predictor(toy.runs[number - 1].checkpoint)
    return predictor.predict_arrays(toy.genes["sequence"], toy.genes["halflife"])


def test_the_first_shared_target_of_the_challenger_decides(toy):
    assert promote(toy.config, "1").moved
    result = promote(toy.config, "2")
    a, b = outputs(toy, 2)["level"], outputs(toy, 1)["level"]
    known = ~np.isnan(toy.level)
    expected = paired_quantity_bootstrap(toy.level[known], a[known], b[known], "pearson", 200, 0.95, 0)
    level, label = result.targets
    assert (level.target, level.metric, level.genes) == ("level", "pearson", known.sum())
    assert level.difference.low == pytest.approx(expected.low, abs=1e-5)
    assert level.difference.high == pytest.approx(expected.high, abs=1e-5)
    assert level.difference.a == pytest.approx(quantity_metrics(toy.level[known], a[known])["pearson"], abs=1e-5)
    assert (label.target, label.metric, label.genes) == ("label", "auroc", 21)
    assert result.auroc is None
    assert result.moved
    assert expected.low > 0
    assert f"valid level Pearson r on {known.sum()} genes: {level.difference.a:.4f} (version 2)" in result.text()
    assert "valid label AUROC on 21 genes" in result.text()
    event = Registry(toy.config).history()[-1]
    assert event.targets == result.targets
    assert "valid level Pearson r +" in list_versions(toy.config).text()


def test_another_order_lets_another_target_decide(toy):
    promote(toy.config, "1")
    result = promote(toy.config, "3")
    a, b = outputs(toy, 3)["label_probability"], outputs(toy, 1)["label_probability"]
    expected = paired_bootstrap(toy.genes["label"], a, b, "auroc", 200, 0.95, 0)
    assert [one.target for one in result.targets] == ["label", "level"]
    assert result.targets[0].difference.low == pytest.approx(expected.low)
    assert result.moved == (expected.low > 0)
    if not result.moved:
        assert "the interval's lower bound of label is not above 0" in result.text()


def test_a_model_of_the_label_has_one_target(toy):
    promote(toy.config, "4")
    result = promote(toy.config, "2")
    (only,) = result.targets
    scores = Predictor(toy.runs[3].checkpoint).score(toy.genes["sequence"], toy.genes["halflife"])
    expected = paired_bootstrap(toy.genes["label"], outputs(toy, 2)["label_probability"], scores, "auroc", 200, 0.95, 0)
    assert (only.target, only.difference.low) == ("label", pytest.approx(expected.low, abs=1e-9))


def test_models_without_a_shared_target_are_not_compared(toy):
    promote(toy.config, "5")
    for call in (promote, lambda config, which: plan_promote(config, which, force=False, reason=None)):
        with pytest.raises(DataError) as info:
            call(toy.config, "2")
        sentence(info, "version 2 predicts level, label", "version 5 other", "--force")
    result = promote(toy.config, "2", force=True)
    assert result.moved
    assert result.note == str(info.value)
    assert result.targets == ()


def test_versions_stand_side_by_side_target_by_target(toy):
    found = compare(toy.config, "2", "1")
    known = ~np.isnan(toy.level)
    assert found.measured == {"level": known.sum(), "label": 21}
    expected = quantity_metrics(toy.level[known], outputs(toy, 2)["level"][known])
    assert {name: found.metrics[f"level_{name}"].a for name in expected} == pytest.approx(expected, abs=1e-5)
    assert "label_mcc" in found.metrics
    assert f"on the 21 genes of valid, level of {known.sum()}, label of 21" in found.text()
    apart = compare(toy.config, "2", "5")
    assert apart.metrics == {}
    assert "other" in apart.note


def test_the_list_names_the_main_metric_of_the_first_target(toy):
    listing = list_versions(toy.config)
    metrics = {version.version: version.metrics for version in listing.versions}
    lines = {line.split()[0]: line for line in listing.text().splitlines() if line}
    assert " on valid " in lines["version"]
    assert f" level Pearson r {metrics['2']['level_pearson']:.4f} " in lines["2"]
    assert f" label AUROC {metrics['3']['label_auroc']:.4f} " in lines["3"]
    assert f" AUROC {metrics['4']['auroc']:.4f} " in lines["4"]
    assert [version.main_metric for version in listing.versions[:2]] == ["other_pearson", None]
