"""Tables and arrays of anything at all to the registered model, as MLflow's server parses them."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from toy_fuzz import answer, examples, odd
from toy_models import save_toy, small_config

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import LONGEST
from raygenex.train.checkpoint import InputInfo

WINDOW = 20
ODD = odd(
    6,
    [
        [],
        [1],
        {},
        {"a": [1]},
        "1.5",
        "A" * WINDOW,
        "a" * WINDOW,
        "N" * WINDOW,
        "É" * WINDOW,
        "\x00" * WINDOW,
        1e400,
        "nan",
        "A" * 100_000,
        "🧬" * WINDOW,
    ],
)
COLUMNS = ["sequence", *HALFLIFE_FEATURES]
GENE = st.fixed_dictionaries({"sequence": st.just("ACGTN" * 4), **dict.fromkeys(HALFLIFE_FEATURES, st.just(0.5))})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from raygenex.predict.predictor import Predictor
    from raygenex.registry.served_model import RaygenexModel

    folder = tmp_path_factory.mktemp("scoring") / "checkpoint"
    save_toy(folder, small_config(), InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW))
    found = RaygenexModel()
    found.predictor = Predictor(str(folder))
    return found


def scored(call):
    """Return what a call gives; an error is one of MLflow's that its server shows as it is: one line, a bad request."""
    try:
        return answer(call)
    except MlflowException as error:
        text = str(error)
        refused = error
    assert text.isprintable()
    assert len(text) <= LONGEST
    assert refused.error_code in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")
    return refused


def check(found, rows):
    if not isinstance(found, Exception):
        assert len(found["probability"]) == rows
        assert np.isfinite(np.asarray(found["probability"])).all()


@examples(60)
@given(
    st.lists(
        st.tuples(GENE, st.dictionaries(st.sampled_from([*COLUMNS, "x"]), ODD, max_size=3)).map(
            lambda pair: pair[0] | pair[1]
        ),
        max_size=4,
    ),
    st.sets(st.sampled_from(COLUMNS), max_size=1),
)
def test_tables(model, genes, left_out):
    table = pd.DataFrame([{key: value for key, value in gene.items() if key not in left_out} for gene in genes])
    check(scored(lambda: model.predict(None, table)), len(table))


@examples(30)
@given(st.lists(st.sampled_from([*COLUMNS, *COLUMNS, "x", "", 3]), min_size=1, max_size=12), ODD)
def test_columns_that_repeat(model, names, value):
    table = pd.DataFrame([[value] * len(names)] * 2, columns=names)
    check(scored(lambda: model.predict(None, table)), 2)


@examples(40)
@given(
    st.sampled_from(["u1", "i8", "u8", "f4", "f8", "?", "O", "U3", "c16", "M8[s]", "V2"]),
    st.sampled_from(
        [(2, WINDOW), (2, WINDOW, 4), (2, 4, WINDOW), (), (0,), (0, WINDOW), (2, WINDOW, 0), (3, WINDOW), (1, 1, 1, 1)]
    ),
    st.sampled_from(["f4", "f8", "O", "U3", "c16", "i8", "M8[s]"]),
    st.sampled_from([(2, 8), (0, 8), (2, 7), (8,), (2, 8, 1), (3, 8)]),
    st.integers(0, 100),
)
def test_arrays(model, kind, shape, other, width, seed):
    rng = np.random.default_rng(seed)
    numbers = rng.choice([0, 1, 2, 4, 5, 255], size=shape)
    sequence = numbers.astype("i8").astype(kind) if kind not in ("V2",) else np.zeros(shape, kind)
    halflife = rng.choice([0, 1, 2], size=width).astype("i8").astype(other)
    check(scored(lambda: model.predict_arrays(sequence, halflife)), width[0])


BODY = st.one_of(
    st.text(max_size=40),
    st.recursive(
        ODD,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["columns", "index", "data", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps({"dataframe_split": value})),
    st.recursive(
        ODD,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(COLUMNS), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps({"dataframe_records": value})),
    ODD.map(lambda value: json.dumps({"instances": value})),
    st.just('{"dataframe_split": {"columns": ["sequence"], "data": [["A"]'),
)


@examples(60)
@given(BODY)
@example("[" * 100_000)
def test_bodies(model, body):
    """The way from a body of a request to the model, as `mlflow.pyfunc.scoring_server` goes it."""
    from mlflow.pyfunc.scoring_server import _split_data_and_params, infer_and_parse_data
    from mlflow.types import ColSpec, Schema

    schema = Schema([ColSpec("string", "sequence"), *(ColSpec("double", name) for name in HALFLIFE_FEATURES)])
    try:
        data, _ = _split_data_and_params(body)
        table = infer_and_parse_data(data, schema)
    except Exception:  # noqa: BLE001
        # Not of raygenex: what the server does with such a body is tested with a server.
        return
    if isinstance(table, pd.DataFrame):
        scored(lambda: model.predict(None, table))
