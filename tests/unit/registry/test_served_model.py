"""The registered model, loaded as any program would load it."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import invocations
from toy_models import columns, save_toy, sentence, small_config

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.errors import DataError
from raygenex.predict.predictor import Predictor
from raygenex.registry.register import register
from raygenex.registry.served_model import RaygenexModel
from raygenex.sequence import to_one_hot, to_string
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import BACKBONE, InputInfo

WINDOW = 20
INPUTS = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
FINGERPRINTS = {"train": ["a" * 64], "valid": ["b" * 64]}


def load(config: RunConfig):
    mlflow.set_tracking_uri(tracking_uri(config))
    mlflow.set_registry_uri(tracking_uri(config))
    return mlflow.pyfunc.load_model(register(config).uri)


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """Return two registered models, one of promoters and one of half-life alone, and the scores of a few genes."""
    values = small_config().dump()
    values |= {"output": str(tmp_path_factory.mktemp("pyfunc"))}
    found = {}
    for name, changes in (("dna", {}), ("halflife", {"kind": "cnn_halflife_only"})):
        config = parse_config(
            values | {"name": name, "model": values["model"] | changes, "tracking": {"model_name": name}}, "test"
        )
        save_toy(Path(config.folder, "checkpoint"), config, INPUTS, threshold=0.45, fingerprints=FINGERPRINTS)
        found[name] = (load(config), Predictor(f"{config.folder}/checkpoint"))
    return found


@pytest.fixture
def genes():
    return columns(6, WINDOW)


def table_of(genes):
    table = pd.DataFrame(genes["halflife"].astype(float), columns=list(HALFLIFE_FEATURES))
    table["sequence"] = [to_string(codes) for codes in genes["sequence"]]
    return table


# Scores


def test_a_table_gets_the_probabilities_of_the_checkpoint(registered, genes):
    model, predictor = registered["dna"]
    expected = predictor.score(genes["sequence"], genes["halflife"])
    table = table_of(genes).set_index(pd.Index(list("uvwxyz")))
    answer = model.predict(table)
    assert list(answer.columns) == ["probability", "prediction"]
    assert answer.index.tolist() == list("uvwxyz")
    np.testing.assert_allclose(answer["probability"], expected, rtol=1e-12)
    assert answer["prediction"].tolist() == (expected >= 0.45).astype(int).tolist()


def test_lower_case_and_ambiguity_codes_are_read(registered, genes):
    model, _ = registered["dna"]
    table = table_of(genes)
    expected = model.predict(table)["probability"]
    table["sequence"] = table["sequence"].str.lower().str.replace("n", "R")
    np.testing.assert_array_equal(model.predict(table)["probability"], expected)


def test_arrays_get_the_same_as_base_indices_and_as_one_hot(registered, genes):
    model, predictor = registered["dna"]
    expected = predictor.score(genes["sequence"], genes["halflife"])
    arrays = model.unwrap_python_model().predict_arrays
    one_hot = to_one_hot(genes["sequence"])
    for sequence in (genes["sequence"], genes["sequence"].astype(np.int64), one_hot, one_hot.astype(np.float32)):
        answer = arrays(sequence, genes["halflife"])
        np.testing.assert_array_equal(answer["probability"], expected)
        np.testing.assert_array_equal(answer["prediction"], (expected >= 0.45).astype(np.int64))
    assert arrays(genes["sequence"][:0], genes["halflife"][:0])["probability"].shape == (0,)


def test_a_model_of_half_life_needs_no_promoters(registered, genes):
    model, predictor = registered["halflife"]
    expected = predictor.score(genes["sequence"], genes["halflife"])
    np.testing.assert_allclose(model.predict(table_of(genes).drop(columns="sequence"))["probability"], expected)
    found = model.unwrap_python_model().predict_arrays(None, genes["halflife"])
    np.testing.assert_allclose(found["probability"], expected)


def test_a_model_is_warm_when_it_is_loaded(tmp_path):
    values = small_config().dump() | {"output": str(tmp_path), "backbone": {"kind": "hyenadna"}}
    config = parse_config(values, "test")
    folder = Path(config.folder, "checkpoint")
    backbone = random_hyenadna(8, 1, 18, seed=0).eval()
    bins = InputInfo(kind="embedding", length=2, channels=8, window=16)
    save_toy(folder, config, bins, backbone_sha256=weights_sha256(backbone))
    save_backbone(backbone, folder / BACKBONE)
    served = RaygenexModel()
    served.load_context(SimpleNamespace(artifacts={"checkpoint": str(folder)}))
    assert served.predictor.backbone is not None


# Mistakes


def change(column, value):
    def apply(table):
        table[column] = table[column].astype(object)
        table.loc[2, column] = value
        return table

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change("sequence", "ACGT*" + "A" * 15), ["row 2", "'*' at position 4 is not a DNA letter"]),
        (change("sequence", "ACGÄ" + "A" * 16), ["row 2", "'Ä' at position 3"]),
        (change("sequence", "ACGT"), ["row 2", "reads 20 bases", "has 4"]),
        (change("sequence", "A" * 21), ["row 2", "reads 20 bases", "has 21"]),
        (change("sequence", None), ["row 2", "sequence is missing", "20 DNA letters"]),
        (change("sequence", float("nan")), ["row 2", "sequence is missing", "20 DNA letters"]),
        (change("sequence", 7), ["row 2", "7, not a string"]),
        (change("sequence", [1] * 5000), ["row 2", "...], not a string"]),
        (change("CDSGC", float("nan")), ["row 2", "CDSGC is not a finite number"]),
        (change("UTR3LEN", float("inf")), ["row 2", "UTR3LEN is not a finite number"]),
    ],
)
def test_a_bad_row_is_one_sentence_that_names_it(registered, genes, spoil, words):
    table = spoil(table_of(genes))
    with pytest.raises(MlflowException) as info:
        registered["dna"][0].predict(table)
    sentence(info, *words)
    assert len(str(info.value)) < 120
    assert info.value.get_http_status_code() == 400


def ask(model, genes, **changes):
    """Ask MLflow's server, in this process: by JSON in both forms and by CSV; return the probabilities of each."""
    records = [record | changes for record in table_of(genes).to_dict("records")]
    rows = {"columns": list(records[0]), "data": [list(record.values()) for record in records]}
    lines = [rows["columns"], *rows["data"]]
    bodies = [
        (json.dumps({"dataframe_records": records}), "application/json"),
        (json.dumps({"dataframe_split": rows}), "application/json"),
        ("\n".join(",".join(map(str, line)) for line in lines) + "\n", "text/csv"),
    ]
    answers = [invocations(body, kind, model, model.metadata.get_input_schema()) for body, kind in bodies]
    assert {answer.status for answer in answers} == {200}
    return [[gene["probability"] for gene in json.loads(answer.response)["predictions"]] for answer in answers]


@pytest.mark.parametrize(("value", "number"), [(1, 1.0), ("0.25", 0.25), (True, 1.0), (False, 0.0)])
def test_what_reads_as_a_number_is_one_over_http_and_in_arrays(registered, genes, value, number):
    model, predictor = registered["dna"]
    table = table_of(genes).assign(CDSGC=number)
    expected = predictor.predict_table(table)["probability"]
    for found in ask(model, genes, CDSGC=value):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(predictor.predict_table(table.assign(CDSGC=value))["probability"], expected)


@pytest.mark.parametrize("value", ["many", "", None, 10**400, [1]])
def test_what_reads_as_no_number_is_refused_over_http_and_in_arrays(registered, genes, value):
    model, predictor = registered["dna"]
    with pytest.raises(MlflowException) as info:
        ask(model, genes, CDSGC=value)
    assert info.value.get_http_status_code() == 400
    table = table_of(genes).astype(object)
    table["CDSGC"] = [value] * len(table)
    with pytest.raises(DataError, match="half-life feature"):
        predictor.predict_table(table)


def test_in_python_mlflow_takes_whole_numbers_but_no_text(registered, genes):
    model, predictor = registered["dna"]
    table = table_of(genes).assign(CDSGC=1)
    np.testing.assert_array_equal(model.predict(table)["probability"], predictor.predict_table(table)["probability"])
    for value in ("0.25", True):
        with pytest.raises(MlflowException, match="Incompatible input types"):
            model.predict(table.assign(CDSGC=value))


@pytest.mark.parametrize("missing", ["sequence", "UTR5LEN"])
def test_a_missing_column_is_named(registered, genes, missing):
    table = table_of(genes).drop(columns=missing)
    model, _ = registered["dna"]
    with pytest.raises(MlflowException, match=rf"Model is missing inputs \['{missing}'\]") as info:
        model.predict(table)
    assert info.value.get_http_status_code() == 400
    # MLflow looks first; who goes around it hears it from the model.
    with pytest.raises(MlflowException) as info:
        model.unwrap_python_model().predict(None, table)
    sentence(info, f"lacks the columns {missing}")


@pytest.mark.parametrize(
    ("sequence", "halflife", "words"),
    [
        (lambda s: s[:, :-1], None, ["reads 20 bases", "(6, 19)"]),
        (lambda s: s[0], None, ["(20,)"]),
        (lambda s: np.where(np.arange(6)[:, None] == 3, 5, s), None, ["row 3", "5 at position 0"]),
        (lambda s: s.astype(int) - 1, None, ["-1 at position", "0 to 4"]),
        (lambda s: s.astype(float), None, ["float64", "whole numbers"]),
        (lambda s: np.ones((6, 20, 4)), None, ["not one-hot", "(0, 0)"]),
        (lambda s: to_one_hot(s)[..., :3], None, ["not one-hot", "(6, 20, 3)"]),
        (lambda s: None, None, ["sequence is None"]),
        (lambda s: s[:4], None, ["4 rows", "halflife 6"]),
        (None, lambda h: h[:, :7], ["(6, 7)", "UTR5LEN"]),
        (None, lambda h: np.where(np.arange(48).reshape(6, 8) == 9, np.nan, h), ["row 1", "CDSLEN"]),
        (None, lambda h: h.astype(str).astype(object) + "x", ["not a number"]),
    ],
)
def test_bad_arrays_are_one_sentence(registered, genes, sequence, halflife, words):
    arrays = registered["dna"][0].unwrap_python_model().predict_arrays
    with pytest.raises(DataError) as info:
        arrays(
            sequence(genes["sequence"]) if sequence else genes["sequence"],
            halflife(genes["halflife"]) if halflife else genes["halflife"],
        )
    sentence(info, *words)
