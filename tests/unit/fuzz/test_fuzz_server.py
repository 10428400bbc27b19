"""Bodies of anything at all to a model behind MLflow's own server."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from toy_models import save_toy, small_config

from raygenex.config.load import parse_config
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.registry.register import register
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import InputInfo

pytestmark = pytest.mark.slow

WINDOW = 20
ROOT = Path(__file__).parents[3]
SERVERS_OWN = {("empty", "text/csv"), ("binary", "text/csv")}
"""What MLflow's server refuses by a traceback of its own, before the model sees it."""
GENE = {"sequence": "ACGTN" * 4, **dict.fromkeys(HALFLIFE_FEATURES, 0.5)}
START_S = 600


def body(**changes):
    return json.dumps({"dataframe_records": [GENE | changes]}).encode()


BODIES = {
    "empty": b"",
    "binary": bytes(range(256)) * 10,
    "nested": b"[" * 100_000,
    "cut": body()[:-20],
    "number": b"1",
    "list": b"[]",
    "no rows": b'{"dataframe_records": []}',
    "other key": b'{"x": 1}',
    "two keys": b'{"dataframe_records": [], "instances": []}',
    "long number": b'{"dataframe_records": [{"UTR5LEN": ' + b"9" * 5000 + b"}]}",
    "letters": body(sequence="ACGT!" * 4),
    "short": body(sequence="ACGT"),
    "long": body(sequence="A" * 2_000_000),
    "missing": json.dumps({"dataframe_records": [{"sequence": "ACGTN" * 4}]}).encode(),
    "not finite": body(UTR5LEN=float("nan")),
    "text": body(UTR5LEN="many"),
    "a tree": body(sequence={"a": [1]}),
    "split": b'{"dataframe_split": {"columns": ["sequence"], "data": [["A", "B"]]}}',
    "split of nothing": b'{"dataframe_split": {}}',
    "half a letter": b'{"dataframe_records": [{"sequence": "\\ud83e"}]}',
}
TYPES = ("application/json", "text/csv", "application/octet-stream", "", "application/json; charset=utf-99")


@pytest.fixture
def port(tmp_path):
    config = parse_config(small_config().dump() | {"output": str(tmp_path / "runs")}, "test")
    save_toy(
        Path(config.folder, "checkpoint"), config, InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
    )
    uri = register(config).uri
    held = socket.socket()
    # Nobody gets the port but who says so too, as servers do, so it is kept until one listens.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    found = int(held.getsockname()[1])
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-h", "127.0.0.1", "-p", str(found)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=os.environ | {"MLFLOW_TRACKING_URI": tracking_uri(config), "PATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_S
    while ask(found, "GET", "/ping")[0] != 200:
        assert server.poll() is None, (tmp_path / "server.log").read_text()
        assert time.monotonic() < deadline, "no server"
        time.sleep(0.5)
    held.close()
    yield found
    for process in (*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)):
        process.kill()
    server.wait()


def ask(port, method, path, data=None, kind="application/json"):
    """Return status and text of an answer; 0 if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, data, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def test_malformed_bodies(port):
    status, text = ask(port, "POST", "/invocations", body())
    assert status == 200
    right = json.loads(text)["predictions"]
    said = {}
    for kind in TYPES:
        for name, data in BODIES.items():
            said[name, kind] = ask(port, "POST", "/invocations", data, kind)
    for path in ("/", "/../../etc/passwd", "/invocations/../x", "/version"):
        said[path, ""] = ask(port, "GET", path)
    print(*(f"{key}: {status} {text[:150]!r}" for key, (status, text) in said.items()), sep="\n")
    assert all(status for status, _ in said.values()), "no answer"
    told = {key for key, (_, text) in said.items() if "Traceback" in text or str(ROOT) in text}
    assert told <= SERVERS_OWN, told - SERVERS_OWN
    # Without a content type, and at JSON that Python's parser gives up, MLflow's server fails, and says no more.
    assert {said[key][1] for key in said if said[key][0] >= 500} <= {"Internal Server Error"}
    failed = {key for key, (status, _) in said.items() if status >= 500}
    assert all(kind == "" or name in ("nested", "long number") for name, kind in failed), failed
    for name in ("letters", "short", "long", "missing", "not finite", "text", "a tree"):
        assert said[name, "application/json"][0] == 400, (name, said[name, "application/json"])
    # It goes on as before.
    status, text = ask(port, "POST", "/invocations", body())
    assert (status, json.loads(text)["predictions"]) == (200, right)
