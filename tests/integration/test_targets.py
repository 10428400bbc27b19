"""A network of several targets, from data with gaps to a registered model, over two workers."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.read import inspect, read_table
from raygenex.evaluate import evaluate
from raygenex.explain.parts import read_parts
from raygenex.explain.run import explain
from raygenex.predict.predictor import Predictor
from raygenex.predict.run import predict
from raygenex.registry.register import register
from raygenex.report.run import report
from raygenex.stats.quantities import quantity_metrics
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.run import train


def write_table(config: RunConfig, path: Path) -> pd.DataFrame:
    """Write quantities that half-life features tell of, three in ten missing, for the genes of train and valid."""
    rng = np.random.default_rng(0)
    tables = [read_table(inspect(config.data.split(split)[0])) for split in ("train", "valid")]
    gene_id = np.concatenate([table.gene_id for table in tables])
    halflife = np.concatenate([table.halflife for table in tables]).astype(float)
    level = halflife[:, 0] - halflife[:, 1] + 0.3 * rng.normal(size=len(gene_id))
    values = pd.DataFrame(
        {
            "gene_id": gene_id,
            "level": 3 * level + 10,
            "reads": rng.poisson(np.exp(1 + 0.7 * level)).astype(float),
            "spread": level + rng.normal(size=len(gene_id)),
            "rate": level + 0.5 * rng.normal(size=len(gene_id)),
        }
    )
    for name in ("level", "reads", "spread", "rate"):
        values.loc[rng.random(len(values)) < 0.3, name] = np.nan
    values.to_csv(path, sep="\t", index=False)
    return values


@pytest.fixture
def trained(make_config: Callable[..., RunConfig], tmp_path: Path, ray_cluster: None) -> tuple[RunConfig, pd.DataFrame]:
    """A run of four targets that is trained, and the table of what was measured."""
    plain = make_config()
    table = str(tmp_path / "levels.tsv")
    values = write_table(plain, Path(table))
    targets = [
        "label",
        {"name": "level", "table": table, "weight": 2.0},
        {"name": "reads", "table": table, "kind": "counts"},
        {"name": "spread", "table": table, "loss": "gaussian"},
    ]
    features = {"features": ["halflife", {"name": "rate", "table": table}]}
    given = RunConfig.model_validate({"targets": targets, "data": features})
    data = plain.data.model_copy(update={"features": given.data.features})
    config = plain.model_copy(update={"targets": given.targets, "data": data})
    train(config)
    return config, values


def test_four_targets_are_learned_measured_predicted_and_registered(
    trained: tuple[RunConfig, pd.DataFrame], tmp_path: Path
):
    config, values = trained
    result = train(config)
    assert result.reused
    info = Predictor.describe(config.checkpoint)
    assert [target.outputs for target in info.targets] == [1, 1, 1, 2]
    assert info.threshold is None
    assert info.inputs.features == (*HALFLIFE_FEATURES, "rate")
    assert info.inputs.lacking == ("rate",)
    assert info.targets[0].threshold is not None
    # Whatever the network is worth after three epochs, it has begun to learn.
    losses = [epoch["train_loss"] for epoch in info.history]
    assert losses[-1] < losses[0]
    assert {"valid_label_auroc", "valid_level_pearson", "valid_score"} <= set(info.history[0])
    assert f"valid Pearson r {info.metrics['level_pearson']:.4f}" in result.text()

    measured = evaluate(config, "valid")
    table = pq.read_table(Path(measured.folder, "predictions.parquet")).to_pandas().set_index("gene_id")
    joined = table.join(values.set_index("gene_id"), rsuffix="_true")
    known = joined[joined.level_true.notna()]
    assert measured.measured["level"] == len(known)
    expected = quantity_metrics(known.level_true, known.level)
    assert {name: measured.metrics[f"level_{name}"].value for name in expected} == pytest.approx(expected, abs=1e-6)
    assert info.metrics["level_pearson"] == pytest.approx(expected["pearson"], abs=1e-5)
    assert (table.reads >= 0).all()
    assert (table.spread_sd > 0).all()
    assert set(table.label_prediction) <= {0, 1}
    assert Path(measured.folder, "level_predicted.png").exists()
    numbers = json.loads(Path(measured.folder, "metrics.json").read_text())
    assert numbers["measured"]["reads"] == joined.reads_true.notna().sum()

    output = str(tmp_path / "out.csv")
    told = predict(config, list(config.data.valid), config.checkpoint, output)
    assert told.columns == tuple(table.columns)
    again = pd.read_csv(output, index_col="gene_id")
    pd.testing.assert_frame_equal(again, table, check_dtype=False, check_exact=True)

    registered = register(config)
    mlflow.set_tracking_uri(tracking_uri(config))
    model = mlflow.pyfunc.load_model(registered.uri)
    assert [spec.name for spec in model.metadata.get_output_schema()] == list(table.columns)
    rows = served_rows(config.data.valid[0])
    rows["rate"] = values.set_index("gene_id").rate.reindex(table.index[: len(rows)]).to_numpy()
    assert [spec.name for spec in model.metadata.get_input_schema()] == ["sequence", *HALFLIFE_FEATURES, "rate"]
    served = model.predict(rows)
    np.testing.assert_allclose(served.to_numpy(float), table.to_numpy(float)[: len(rows)], rtol=1e-5, atol=1e-6)

    explained(config)
    page = Path(report(config.folder).page).read_text(encoding="utf-8")
    assert 'aria-label="level on valid"' in page
    assert "The numbers explain reads, " not in page
    assert "The numbers explain ln reads" in page


def explained(config: RunConfig) -> None:
    """Explain the counts, by an actor, and compare what the half-life features add with predictions."""
    options = {"target": "reads", "genes": 6, "methods": ["halflife"], "permutations": 1}
    section = RunConfig.model_validate({"explain": options}).explain
    found = explain(config.model_copy(update={"explain": section}), config.checkpoint)
    assert "target: reads, in ln reads" in found.text()
    parts = {name: read_parts(Path(found.folder, name)) for name in ("scores", "halflife")}
    table = pq.read_table(Path(config.folder, "evaluation", "valid", "predictions.parquet")).to_pandas()
    reads = table.set_index("gene_id").reads[parts["scores"]["gene_id"].tolist()].to_numpy()
    np.testing.assert_allclose(parts["scores"]["predicted"], reads, rtol=1e-5)
    halflife = parts["halflife"]
    np.testing.assert_allclose(halflife["base"] + halflife["attribution"].sum(axis=1), np.log(reads), atol=1e-4)


def test_two_workers_grow_the_trees_of_each_target(
    make_config: Callable[..., RunConfig], tmp_path: Path, ray_cluster: None
):
    pytest.importorskip("xgboost")
    table = str(tmp_path / "levels.tsv")
    write_table(make_config(), Path(table))
    targets = ["label", {"name": "level", "table": table}, {"name": "reads", "table": table, "kind": "counts"}]
    trees = {"trees": 25, "depth": 3, "learning_rate": 0.2, "early_stopping": None, "colsample": 1.0, "subsample": 1.0}
    model = {"kind": "xgboost_kmer", "k": (1, 2, 3), "trees": trees}

    def trained_by(workers: int) -> CheckpointInfo:
        plain = make_config(name=f"by{workers}", train={"workers": workers})
        result = train(parse_config(plain.dump() | {"model": model, "targets": targets}, "the test's configuration"))
        assert {path.name for path in Path(result.checkpoint).iterdir()} == {"checkpoint.json", "model.safetensors"}
        return Predictor.check(result.checkpoint)

    one, two = trained_by(1), trained_by(2)
    # Workers cut features at quantiles of both: close, not equal.
    for name in ("label_auroc", "level_pearson", "reads_pearson"):
        assert two.metrics[name] == pytest.approx(one.metrics[name], abs=0.07), name
    assert two.metrics["level_pearson"] > 0.5
    assert two.metrics["level_pearson"] == pytest.approx(two.history[-1]["valid_level_pearson"], abs=1e-5)


def served_rows(path: str, count: int = 5) -> pd.DataFrame:
    """Return some genes of a file as a served model takes them."""
    with h5py.File(path) as handle:
        bases, halflife = handle["promoter"][:count], handle["halflife"][:count]
    letters = np.where(bases.any(axis=2), np.array(list("ACGT"))[bases.argmax(axis=2)], "N")
    frame = pd.DataFrame(halflife, columns=list(HALFLIFE_FEATURES))
    return frame.assign(sequence=["".join(row) for row in letters])
