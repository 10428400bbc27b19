"""The door for Python, used as a notebook would."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_models import columns, save_toy, sentence, write_promoters

from raygenex import api
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.sequence import to_one_hot, to_string
from raygenex.train.checkpoint import InputInfo

WINDOW = 20
INPUTS = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data and a configuration of trees and of logistic regression, which need no Ray."""
    folder = tmp_path_factory.mktemp("api")
    write_promoters(folder / "train.h5", columns(60, WINDOW, 1, "T"))
    write_promoters(folder / "valid.h5", columns(20, WINDOW, 2, "V"))
    (folder / "run.yaml").write_text(
        f"name: toy\noutput: {folder}/runs\nmodel: {{kind: logistic}}\n"
        f"data: {{train: {folder}/train.h5, valid: {folder}/valid.h5}}\n"
    )
    return folder


def table_of(genes):
    table = pd.DataFrame(genes["halflife"].astype(float), columns=list(HALFLIFE_FEATURES), index=genes["gene_id"])
    table["sequence"] = [to_string(codes) for codes in genes["sequence"]]
    return table


def test_every_name_of_the_door_has_its_own_words():
    for name in api.__all__:
        assert (getattr(api, name).__doc__ or "").strip(), name


def test_a_configuration_comes_from_a_file_or_a_dictionary(folder, monkeypatch):
    monkeypatch.setenv("RGX_HERE", str(folder))
    values = {
        "name": "toy",
        "output": "${RGX_HERE}/runs",
        "model": {"kind": "logistic"},
        "data": {"train": "${RGX_HERE}/train.h5", "valid": "${RGX_HERE}/valid.h5"},
    }
    config = api.load_config(values, ["seed=3"])
    assert config.hash() == api.load_config(folder / "run.yaml", ["seed=3"]).hash()
    assert config.seed == 3
    # The dictionary stays as it was.
    assert "seed" not in values
    assert values["output"] == "${RGX_HERE}/runs"
    assert api.load_config(config.dump()) == config


@pytest.mark.parametrize(
    ("values", "overrides", "words"),
    [
        ({"train": {"epoch": 5}}, [], ["the config: train.epoch", "did you mean epochs?"]),
        ({"output": "${RGX_NOWHERE}"}, [], ["the config needs the environment variable RGX_NOWHERE"]),
        ({}, ["seed"], ["'seed' is not of the form"]),
    ],
)
def test_a_mistake_in_a_dictionary_is_one_sentence(values, overrides, words):
    with pytest.raises(api.RaygenexError) as info:
        api.load_config(values, overrides)
    sentence(info, *words)


def test_the_chain_from_data_to_scores(folder, monkeypatch):
    config = api.load_config(folder / "run.yaml")
    splits = api.open_splits(config.data, ("train", "valid"))
    assert {name: split.rows for name, split in splits.items()} == {"train": 60, "valid": 20}
    report = api.check(config.data, config.check)
    assert report.splits["train"].positives == 30
    trained = api.train(config)
    assert Path(trained.checkpoint) == Path(config.checkpoint)
    assert api.register(config).version == "1"

    genes = columns(5, WINDOW, seed=3)
    own = api.load_predictor(config)
    named = api.load_predictor(config, "models:/raygenex@candidate")
    scores = own.predict_table(table_of(genes))
    assert scores.index.tolist() == genes["gene_id"].tolist()
    pd.testing.assert_frame_equal(scores, named.predict_table(table_of(genes)))
    arrays = api.Predictor(config.checkpoint).predict_arrays(to_one_hot(genes["sequence"]), genes["halflife"])
    np.testing.assert_allclose(arrays["probability"], scores["probability"], rtol=1e-12)
    np.testing.assert_array_equal(arrays["prediction"], scores["prediction"])


def test_a_table_may_be_empty_and_a_bad_one_is_one_sentence(tmp_path):
    config = api.load_config({"model": {"width": 6, "stem_kernel": 5, "channels": [5, 4], "dense": [8]}})
    save_toy(tmp_path / "checkpoint", config, INPUTS)
    predictor = api.load_predictor(config, str(tmp_path / "checkpoint"))
    table = table_of(columns(4, WINDOW))
    assert predictor.predict_table(table[:0]).shape == (0, 2)
    with pytest.raises(api.RaygenexError) as info:
        predictor.predict_table(table.assign(sequence="ACGT"))
    sentence(info, "row 0", "reads 20 bases", "has 4")
    with pytest.raises(api.RaygenexError) as info:
        predictor.predict_arrays(np.zeros((2, 20), int), np.zeros((3, 8)))
    sentence(info, "2 rows", "halflife 3")


def test_predict_refuses_before_any_work(tmp_path):
    config = api.load_config({"output": str(tmp_path)})
    with pytest.raises(api.RaygenexError) as info:
        api.predict(config, ["genes.h5"], str(tmp_path / "scores.txt"))
    sentence(info, "must end in .parquet or .csv")
    with pytest.raises(api.RaygenexError) as info:
        api.load_predictor(config)
    sentence(info, config.checkpoint)


def test_the_page_of_the_door_has_every_name():
    page = (Path(api.__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\.\. auto\w+:: raygenex\.api\.(\w+)$", page, re.M)) == sorted(api.__all__)
