"""Workers of an embedded Ray that start in a tenth of a second, where an interpreter of their own takes seconds.

Each process that Ray starts imports torch, Ray Data and Ray Train. A training starts nine of them, an embedding three.
Here one process imports once, while Ray itself starts, and forks a worker whenever Ray asks for one (`fork_server`).
Ray starts whatever program its driver calls its Python: the one of this module asks the fork server for workers, and
starts Python for everything else, or where the server does not answer. Two of Ray's services have nothing to do here,
and would import for a second each: an autoscaler, where no node can come, and a reader of workers' logs, which nobody
is sent. Something that sleeps stands in for them. Ray's own defaults stay on a joined cluster.
"""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What takes time to import in workers, and neither starts a thread of Python nor looks for a GPU.
MODULES = ("torch", "pandas", "pyarrow.parquet", "h5py", "pydantic", "sklearn.metrics")
RAY_MODULES = ("ray.data", "ray.train.torch")
_HERE = Path(__file__).parent
_PROGRAM = """#!/bin/sh
case "$*" in
*/default_worker.py*) {python} -IS {client} {socket} "$@" && exit ;;
*/autoscaler/_private/monitor.py*|*/_private/log_monitor.py*) exec sleep infinity ;;
esac
exec {python} "$@"
"""


@contextlib.contextmanager
def fork_server() -> Iterator[str]:
    """Run a fork server; yields the program that Ray is to start in place of Python, which may be Python itself."""
    if sys.platform != "linux":
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="raygenex-") as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)
        try:
            listener.bind(str(folder / "socket"))
        except OSError:
            # The path is too long; Ray, whose sockets have longer names, says so.
            yield sys.executable
            return
        if os.statvfs(folder).f_flag & os.ST_NOEXEC:
            yield sys.executable
            return
        # Workers that are asked for before the imports end wait in line.
        listener.listen(512)
        program = folder / "python"
        parts = {"python": sys.executable, "client": _HERE / "fork_client.py", "socket": folder / "socket"}
        program.write_text(_PROGRAM.format(**{key: shlex.quote(str(part)) for key, part in parts.items()}))
        program.chmod(0o755)
        server = _start(listener, folder)
        # Nobody waits in line for a server that has died.
        listener.close()
        try:
            yield str(program)
        finally:
            # It would end with its standard input, but not while it imports.
            server.kill()
            server.communicate()


def _start(listener: socket.socket, folder: Path) -> "subprocess.Popen[bytes]":
    task: dict[str, Any] = {"path": sys.path, "modules": MODULES, "ray_modules": RAY_MODULES}
    task |= {"listener": listener.fileno(), "folder": str(folder)}
    server = subprocess.Popen(
        [sys.executable, str(_HERE / "fork_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[listener.fileno()],
        # An interrupt at the terminal is the driver's.
        start_new_session=True,
        # Ray gives a worker one thread too before it imports torch; who has more CPUs asks torch for more.
        env={"OMP_NUM_THREADS": "1", **os.environ},
    )
    assert server.stdin is not None
    server.stdin.write(json.dumps(task).encode() + b"\n")
    server.stdin.flush()
    return server


@contextlib.contextmanager
def started_by(program: str) -> Iterator[None]:
    """Let Ray, while it starts, take ``program`` for Python."""
    # It remembers for good what Python is when it is imported, by torch perhaps.
    import multiprocessing.spawn  # noqa: F401

    python = sys.executable
    sys.executable = program
    try:
        yield
    finally:
        sys.executable = python
