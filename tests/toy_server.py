"""An MLflow server in processes of its own, that a test can take away and bring back."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

START_S = 600


class MlflowServer:
    """``mlflow server`` over a sqlite file and a folder of artifacts, on a free port that it keeps.

    Parameters
    ----------
    folder
        Where the database, the artifacts and the log are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self._process is None, "the server runs already"
        with Path(self.folder, "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--backend-store-uri", f"sqlite:///{self.folder}/server.db"),
                    *("--artifacts-destination", f"{self.folder}/artifacts"),
                ],
                stdout=log,
                stderr=log,
                env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, Path(self.folder, "server.log").read_text()
            assert time.monotonic() < deadline, f"no server within {START_S} s"
            time.sleep(0.2)

    def stop(self) -> None:
        """End the server and its workers, as if its machine went away."""
        if self._process is None:
            return
        if psutil.pid_exists(self._process.pid):
            parent = psutil.Process(self._process.pid)
            for process in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    """Run a server that ends with the block."""
    server = MlflowServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
