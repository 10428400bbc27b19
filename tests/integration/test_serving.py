"""The registered model behind MLflow's own server: what it answers over HTTP is what `predict` writes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.predict.run import predict
from raygenex.registry.register import fetch_checkpoint, register
from raygenex.sequence import to_string
from raygenex.tracking.store import tracking_uri

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]

GENES = 5
START_S = 600


def post(port: int, table: dict[str, Any]) -> tuple[int, Any]:
    """Send a table and return the status and the body."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({"dataframe_split": table}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str, str], int]]:
    """Start MLflow's server for a model and return its port; the server's process group ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(store: str, model: str) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        log = tmp_path / "server.log"
        command = [
            "mlflow",
            "models",
            "serve",
            "-m",
            model,
            "--env-manager",
            "local",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with log.open("wb") as out:
            server = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=tmp_path,
                env=os.environ | {"MLFLOW_TRACKING_URI": store, "PATH": path},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(server)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert server.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                    return port
            except OSError:
                time.sleep(0.5)
        raise AssertionError(log.read_text())

    yield start
    for server in started:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def test_the_server_answers_what_predict_writes(core60: RunConfig, serve: Callable[[str, str], int], tmp_path: Path):
    config, (valid,) = core60, core60.data.valid
    uri = register(config).uri
    predict(config, [valid], fetch_checkpoint(config, uri), str(tmp_path / "scores.csv"))
    scores = pd.read_csv(tmp_path / "scores.csv")[:GENES]
    genes = read_rows(inspect(valid), 0, GENES)
    assert scores["gene_id"].tolist() == [str(gene) for gene in genes["gene_id"]]
    rows = [
        [to_string(codes), *(float(value) for value in halflife)]
        for codes, halflife in zip(genes["sequence"], genes["halflife"], strict=True)
    ]
    assert len(rows[0][0]) == 60
    names = ["sequence", *HALFLIFE_FEATURES]

    port = serve(tracking_uri(config), uri)
    status, answer = post(port, {"columns": names, "data": rows})
    assert status == 200, answer
    found = [gene["probability"] for gene in answer["predictions"]]
    np.testing.assert_allclose(found, scores["probability"], rtol=0, atol=1e-6)
    assert [gene["prediction"] for gene in answer["predictions"]] == scores["prediction"].tolist()

    # One mistake each, in the second gene; the answer says which.
    for column, value, words in (
        (0, "!" + rows[1][0][1:], "row 1: '!' at position 0 is not a DNA letter"),
        (0, rows[1][0][:-1], "row 1: the model reads 60 bases and this sequence has 59"),
        (0, None, "row 1: the sequence is missing: give 60 DNA letters"),
        (3, None, f"row 1: half-life feature {HALFLIFE_FEATURES[2]} is not a finite number"),
    ):
        spoiled = [list(row) for row in rows]
        spoiled[1][column] = value
        status, answer = post(port, {"columns": names, "data": spoiled})
        assert status == 400, answer
        assert words in answer["message"], answer
        assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    status, answer = post(port, {"columns": names[:-1], "data": [row[:-1] for row in rows]})
    assert status == 400, answer
    assert f"Model is missing inputs ['{HALFLIFE_FEATURES[-1]}']" in answer["message"]
