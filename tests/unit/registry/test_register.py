"""One checkpoint becomes one version, whatever else registers it or was killed while it did."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from toy_models import columns, save_toy, small_config

from raygenex.config.load import parse_config
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import RaygenexError
from raygenex.files.lock import exclusive
from raygenex.predict.predictor import Predictor
from raygenex.registry import register as registration
from raygenex.registry.register import register
from raygenex.sequence import to_string
from raygenex.tracking.runs import Tracker
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import InputInfo

WINDOW = 20
INPUTS = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)


@pytest.fixture
def run(tmp_path):
    """Return the configuration of a finished run, its MLflow and the name of its model."""
    config = parse_config(small_config().dump() | {"output": str(tmp_path), "tracking": {"model_name": "toy"}}, "test")
    save_toy(Path(config.folder, "checkpoint"), config, INPUTS, fingerprints={"train": ["a" * 64], "valid": ["b" * 64]})
    tracker = Tracker(config)

    def versions():
        return {entry.version: entry for entry in tracker.client.search_model_versions("name = 'toy'")}

    def models():
        return tracker.client.search_logged_models([tracker.experiment_id])

    return SimpleNamespace(config=config, client=tracker.client, versions=versions, models=models)


def test_registrations_in_one_local_store_wait_for_one_another(run, monkeypatch):
    monkeypatch.setattr(registration, "_WAIT_S", 0.0)
    with (
        exclusive(Path(run.config.output_root, "mlflow.db.register"), "registering"),
        pytest.raises(RaygenexError, match=r"^another process is registering a model in "),
    ):
        register(run.config)
    assert run.versions() == {}


def test_what_another_machine_registers_meanwhile_stays_the_only_version(run, monkeypatch):
    log_and_register = registration._log_and_register

    def meanwhile(*arguments):
        log_and_register(*arguments)
        return log_and_register(*arguments)

    monkeypatch.setattr(registration, "_log_and_register", meanwhile)
    result = register(run.config)
    assert (result.version, result.reused) == ("1", True)
    assert list(run.versions()) == [1]
    assert run.client.get_registered_model("toy").aliases == {"candidate": 1}


def test_what_a_killed_registration_left_is_deleted_and_said(run, monkeypatch):
    def die(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "finalize_logged_model", die)
        patch.setattr("mlflow.tracking._tracking_service.client.TrackingServiceClient.finalize_logged_model", die)
        with pytest.raises(KeyboardInterrupt):
            register(run.config)
    (left,) = run.models()
    assert (str(left.status), run.versions()) == ("PENDING", {})
    result = register(run.config)
    assert (result.version, result.removed) == ("1", 1)
    assert result.text().endswith("@candidate, 1 unfinished by an interrupted registration deleted")
    (model,) = run.models()
    assert str(model.status) == "READY"
    assert model.model_id != left.model_id
    assert register(run.config).text() == "model: is already version 1 of toy, loads as models:/toy@candidate"


def test_a_model_brings_its_source_as_one_file(run, tmp_path):
    mlflow.set_tracking_uri(tracking_uri(run.config))
    mlflow.set_registry_uri(tracking_uri(run.config))
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=register(run.config).uri, dst_path=str(tmp_path)))
    (source,) = (folder / "code").iterdir()
    names = zipfile.ZipFile(source).namelist()
    assert {"raygenex/__init__.py", "raygenex/report/report.html.j2"} < set(names)
    assert not [name for name in names if "__pycache__" in name]


LOADS = """
import sys
import mlflow
import pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
probability = model.predict(pandas.read_json(sys.argv[2], orient="split"))["probability"]
import raygenex
print(raygenex.__file__)
print(probability.tolist())
"""


@pytest.mark.slow
def test_another_process_loads_a_model_by_the_source_that_it_brings(run, tmp_path):
    mlflow.set_tracking_uri(tracking_uri(run.config))
    mlflow.set_registry_uri(tracking_uri(run.config))
    genes = columns(3, WINDOW)
    table = pd.DataFrame(genes["halflife"].astype(float), columns=list(HALFLIFE_FEATURES))
    table["sequence"] = [to_string(codes) for codes in genes["sequence"]]
    table.to_json(tmp_path / "genes.json", orient="split", double_precision=15)
    uri = register(run.config).uri
    folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(tmp_path / "model"))
    done = subprocess.run(
        [sys.executable, "-c", LOADS, folder, str(tmp_path / "genes.json")],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    source, probability = done.stdout.splitlines()
    assert source == str(Path(folder, "code", "raygenex.zip", "raygenex", "__init__.py"))
    expected = Predictor(Path(run.config.folder, "checkpoint")).score(genes["sequence"], genes["halflife"])
    np.testing.assert_allclose(json.loads(probability), expected, rtol=1e-6)
