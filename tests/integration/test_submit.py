"""Jobs on a real head with token authentication: data and tracking by URL, exit codes, logs and results come back."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# Generous: nothing here asserts on time, and other work may share the processors.
UP_S = 300
RUN_S = 900

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * RUN_S)]


class Cluster(NamedTuple):
    """A head, what stands around it, and the environment of a shell that may submit to it."""

    address: str
    tracking: str
    data: str
    shared: Path
    env: dict[str, str]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def server(command: list[str], env: dict[str, str], log: Path, url: str) -> Iterator[None]:
    """Run a server until its URL answers, and end it with all that it started."""
    with log.open("w") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + UP_S
        while not answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
        for member in family:
            if member.is_running():
                member.kill()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        # A missing token.
        return True
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, promoters: Path) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    # Ray's sockets need a short path.
    rays = tempfile.mkdtemp(prefix="rg", dir="/tmp")
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    port, board, clients, agent, tracking = free_ports(5)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
    plain |= {"PATH": f"{BIN}:{os.environ['PATH']}", "RAYGENEX_CACHE": str(folder / "cache")}
    env = plain | {"RAY_AUTH_TOKEN_PATH": str(token)}
    head = [
        *(str(BIN / "ray"), "start", "--head", "--block", "--num-cpus=4", "--object-store-memory=300000000"),
        *(f"--port={port}", f"--dashboard-port={board}", "--dashboard-host=127.0.0.1", f"--temp-dir={rays}"),
        *(f"--ray-client-server-port={clients}", f"--dashboard-agent-listen-port={agent}"),
    ]
    mlflow = [
        *(str(BIN / "mlflow"), "server", "--host=127.0.0.1", f"--port={tracking}", "--workers=1"),
        *(f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/artifacts"),
    ]
    handler = partial(Quiet, directory=str(promoters))
    address = f"http://127.0.0.1:{board}"
    tracked = f"http://127.0.0.1:{tracking}"
    with (
        QuietServer(("127.0.0.1", 0), handler) as data,
        server(head, env | {"RAY_AUTH_MODE": "token"}, folder / "head.log", f"{address}/api/version"),
        server(mlflow, plain, folder / "mlflow.log", f"{tracked}/health"),
    ):
        threading.Thread(target=data.serve_forever, daemon=True).start()
        yield Cluster(address, tracked, f"http://127.0.0.1:{data.server_port}", folder / "nfs", env)
        data.shutdown()
    shutil.rmtree(rays, ignore_errors=True)


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Take no notice of a reader that looks at the beginning of a file alone."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Leave the test's output alone."""


@pytest.fixture
def config(cluster: Cluster, tmp_path: Path) -> Path:
    """A configuration with no path but the shared output; a variable of the job names the data's URL."""
    values = {
        "name": "sent",
        "output": str(cluster.shared),
        "data": {name: f"${{PROMOTERS}}/{name}.h5" for name in ("train", "valid", "test")},
        "halflife": {"channels": [8, 16], "epochs": 2, "batch_size": 32, "finetune": True},
        "model": {"width": 16, "channels": [8], "dense": [8]},
        "train": {"epochs": 2, "global_batch_size": 16, "learning_rate": 1e-3, "workers": 2},
        "evaluate": {"bootstrap": 200},
        "tracking": {"uri": cluster.tracking},
    }
    path = tmp_path / "sent.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def submission(cluster: Cluster, config: Path, *options: str) -> list[str]:
    fixed = ["--address", cluster.address, "--shared", str(cluster.shared), "--env", f"PROMOTERS={cluster.data}"]
    return [sys.executable, "-m", "raygenex", "submit", str(config), *fixed, *options]


@pytest.fixture
def submit(cluster: Cluster, config: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run `raygenex submit`, as a shell with the token does."""

    def call(*options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        environment = cluster.env | {"PYTHONPATH": str(ROOT)} | (env or {})
        command = submission(cluster, config, *options)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_S)

    return call


def runs_of(cluster: Cluster, name: str) -> list[str]:
    """Return the states of the runs of a name on the tracking server."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=cluster.tracking)
    experiment = client.get_experiment_by_name("raygenex")
    return [run.info.status for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == name]


def test_a_run_comes_back_with_log_result_and_model(cluster: Cluster, submit: Callable):
    done = submit("--json")
    assert done.returncode == 0, done.stderr
    assert "pretraining the half-life encoder on 160 genes" in done.stderr
    assert "epoch 1: train_loss" in done.stderr
    assert "succeeded, exit code 0" in done.stderr
    (line,) = done.stdout.splitlines()
    values = json.loads(line)
    assert (values["status"], values["exit_code"]) == ("SUCCEEDED", 0)
    assert values["result"]["evaluation"]["genes"] == 81
    assert values["result"]["registered"]["name"] == "raygenex"
    assert runs_of(cluster, "sent") == ["FINISHED"]

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=cluster.tracking)
    assert str(client.get_model_version_by_alias("raygenex", "candidate").version) == "1"
    assert (cluster.shared / "sent" / "checkpoint").is_dir()


def test_a_plain_job_does_the_same(cluster: Cluster):
    """The documented line without `raygenex submit`; the repository is the working directory."""
    words = [str(BIN / "ray"), "job", "submit", "--address", cluster.address, "--working-dir", str(ROOT), "--"]
    words += ["python", "-m", "raygenex", "train", "jobs/simulated.yaml", "-o", f"output={cluster.shared}"]
    words += ["-o", f"tracking.uri={cluster.tracking}", "-o", "train.epochs=1", "-o", "halflife.epochs=1"]
    for name in ("train", "valid", "test"):
        words += ["-o", f"data.{name}={cluster.data}/{name}.h5"]
    environment = cluster.env | {"RAY_AUTH_MODE": "token"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "epoch 0: train_loss" in done.stdout + done.stderr
    assert "trained " in done.stdout
    assert runs_of(cluster, "simulated") == ["FINISHED"]


def test_a_failing_job_gives_its_sentence_and_its_exit_code(cluster: Cluster, submit: Callable):
    wrong = submit("--verb", "train", "-o", f"data.train={cluster.data}/absent.h5")
    assert wrong.returncode == 2
    assert f"error: data.train: nothing matches '{cluster.data}/absent.h5'" in wrong.stderr
    assert "failed, exit code 2" in wrong.stderr
    assert wrong.stdout == ""
    large = submit("--verb", "train", "-o", "train.workers=16", "-o", "name=large")
    assert large.returncode == 1
    assert "error: training needs 16 x 1 CPU and 1 CPU for reading, but the cluster has 4 CPU" in large.stderr


def test_a_dry_run_knocks_and_sends_nothing(cluster: Cluster, submit: Callable):
    done = submit("--dry-run", "--submission-id", "never")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"submit: sent to {cluster.address}, by this raygenex"
    listed = [str(BIN / "ray"), "job", "status", "--address", cluster.address, "never"]
    environment = cluster.env | {"RAY_AUTH_MODE": "token"}
    assert subprocess.run(listed, env=environment, capture_output=True, timeout=RUN_S).returncode != 0


def test_tokens(cluster: Cluster, submit: Callable, tmp_path: Path):
    (tmp_path / "other").write_text(secrets.token_hex(32))
    wrong = submit(env={"RAY_AUTH_TOKEN_PATH": str(tmp_path / "other")})
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert f"error: the cluster at {cluster.address} refused the token" in wrong.stderr
    none = submit(env={"RAY_AUTH_TOKEN_PATH": ""})
    assert none.returncode == 1
    assert "asks for a token and none was sent: set RAY_AUTH_MODE=token" in none.stderr
    (tmp_path / "empty").touch()
    empty = submit(env={"RAY_AUTH_TOKEN_PATH": str(tmp_path / "empty")})
    assert empty.returncode == 1
    assert "asks for a token and there is none here" in empty.stderr
    assert "Traceback" not in wrong.stderr + none.stderr + empty.stderr


def test_an_interrupt_leaves_the_job_running(cluster: Cluster, config: Path, submit: Callable):
    """Follow, interrupt, and follow again by the id."""
    check = ("--verb", "data check", "--submission-id", "kept")
    environment = cluster.env | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        submission(cluster, config, *check),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job would not hear it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    while "Running entrypoint" not in (line := process.stderr.readline()):
        assert line, "it ended before the job began"
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(timeout=RUN_S) == 130
    assert "stopped following kept, which runs on" in said
    assert f"`ray job stop --address {cluster.address} kept` stops it" in said

    again = submit(*check)
    assert again.returncode == 0, again.stderr
    assert "kept is on" in again.stderr
    assert "160" in again.stdout

    left = submit("--verb", "data check", "--no-wait")
    assert left.returncode == 0, left.stderr
    assert left.stdout.startswith("raysubmit_")
