"""A process that has imported what Ray's workers import, and forks one for each that Ray asks for.

It is run as a script by `warm_workers`, and by nothing else. Its standard input is one line of JSON: ``path`` (the
driver's sys.path), ``modules`` (what to import at once), ``ray_modules`` (what imports Ray), ``listener`` (the number
of an open socket) and ``folder`` (what to remove in the end). It stays open as long as the driver lives. A worker
inherits modules: no threads of Python, no random state, no open files.
"""

import contextlib
import importlib
import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import sys
from typing import Any

_REQUEST_BYTES = 2**20
# Ray's core reads these once, when it is imported. A worker of no job is given one with its first task.
_RAYLET, _JOB, _NO_JOB = "RAY_RAYLET_PID", "RAY_JOB_ID", "ffffffff"


def main() -> None:
    """Import, then fork until the driver ends; in a fork, become the program that Ray named."""
    # The folder of this script holds no modules.
    del sys.path[0]
    task = json.loads(sys.stdin.buffer.readline())
    listener = socket.socket(fileno=task["listener"])
    sys.path[:] = task["path"]
    before = dict(os.environ)
    _import(task["modules"])
    order = _serve(listener, task["ray_modules"], before)
    if order is not None:
        _become(*order)
    else:
        # A driver that was killed left it.
        shutil.rmtree(task["folder"], ignore_errors=True)
        # Python would spend a second on taking its modules apart, for which the driver waits.
        os._exit(0)


def _import(modules: list[str]) -> None:
    for name in modules:
        # What cannot be imported is the worker's to say, where it is needed.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _import_ray(modules: list[str]) -> None:
    """Import what imports Ray, and draw no random name by its core: its generator would be the same in every fork."""
    import ray.actor
    from ray import ActorClassID

    class Drawn:
        @staticmethod
        def from_random() -> ActorClassID:
            return ActorClassID(os.urandom(ActorClassID.size()))

    # Classes that modules make actors of are given a name each when they are imported.
    ray.actor.ActorClassID = Drawn
    _import(modules)
    ray.actor.ActorClassID = ActorClassID


def _forks_draw_their_own() -> bool:
    """Whether two forks draw different names by Ray's core."""
    from ray._raylet import WorkerID

    drawn = []
    for _ in range(2):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, WorkerID.from_random().binary())
            os._exit(0)
        os.close(writer)
        drawn.append(os.read(reader, 100))
        os.close(reader)
        os.wait()
    return drawn[0] != drawn[1]


def _serve(
    listener: socket.socket, ray_modules: list[str], before: dict[str, str]
) -> tuple[dict[str, Any], list[int]] | None:
    """Return in each fork what it is to be, and None in this process when the driver has ended.

    ``before`` are the variables that were there before the imports, which set some of their own.
    """
    driver = sys.stdin.fileno()
    raylet, own = None, {}
    while True:
        readable, _, _ = select.select([listener, driver], [], [])
        if driver in readable:
            return None
        connection, _ = listener.accept()
        with connection:
            request, files = _receive(connection)
            asking = request["environment"].get(_RAYLET) if request else None
            if raylet is None and asking:
                raylet = asking
                own = {name: value for name, value in os.environ.items() if name not in before}
                os.environ.update(request["environment"] | {_JOB: _NO_JOB})
                before = dict(os.environ)
                _import_ray(ray_modules)
                own |= {name: value for name, value in os.environ.items() if name not in before}
                if not _forks_draw_their_own():
                    # What Ray calls by random names would be lost or mixed; every worker is a new process then.
                    connection.close()
                    listener.close()
                    select.select([driver], [], [])
                    return None
                # Nobody waits for the workers: Ray watches them by their connections.
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            # Who is not answered starts an interpreter of its own.
            if asking and asking == raylet:
                if os.fork() == 0:
                    listener.close()
                    request["environment"] = own | request["environment"]
                    return request, files
                connection.sendall(b"1")
        for file in files:
            os.close(file)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read one request, and the three open files that come with it; an empty one if the other side has gone."""
    data, files, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, 3)
    while data and not data.endswith(b"\n"):
        more = connection.recv(_REQUEST_BYTES)
        data = data + more if more else b""
    return (json.loads(data) if data and len(files) == 3 else {}), files


def _become(request: dict[str, Any], files: list[int]) -> None:
    """Run the program of a request as a new process would."""
    from ray._raylet import Config  # type: ignore[attr-defined]

    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # What Ray's core read of the environment when it was imported, it reads again.
    Config.initialize("")
    os.nice(request["niceness"] - os.nice(0))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    sys.argv = _without_setup(request["arguments"])
    runpy.run_path(sys.argv[0], run_name="__main__")


def _without_setup(arguments: list[str]) -> list[str]:
    """Do what Ray's setup_worker.py does for variables of a runtime environment, if it was asked for."""
    from ray._private.runtime_env.context import RuntimeEnvContext
    from ray._private.utils import update_envs

    if not arguments[0].endswith("setup_worker.py"):
        return arguments
    rest = []
    for argument in arguments[1:]:
        name, _, value = argument.partition("=")
        if name == "--serialized-runtime-env-context":
            update_envs(RuntimeEnvContext.deserialize(value).env_vars)
        elif name != "--language":
            rest.append(argument)
    return rest


if __name__ == "__main__":
    main()
