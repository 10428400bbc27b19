"""Forked workers are what new processes would be: the same surroundings, and nothing of one another."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from raygenex.cluster import fork_client, warm_workers
from raygenex.cluster.warm_workers import MODULES, RAY_MODULES, fork_server, started_by

# What a worker is, in the words of a program that Ray might start.
PROGRAM = """
import json, os, random, signal, sys, threading
import numpy
from ray._raylet import WorkerID
print(json.dumps({
    "name": __name__, "arguments": sys.argv[1:], "folder": os.getcwd(), "niceness": os.nice(0),
    "environment": dict(os.environ), "path": sys.path[1:] if "torch" not in sys.modules else sys.path,
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "child": signal.getsignal(signal.SIGCHLD),
    "threads": threading.active_count(), "warm": "torch" in sys.modules, "pid": os.getpid(),
    "drawn": [random.random(), numpy.random.random(), numpy.random.default_rng().random(),
        WorkerID.from_random().hex()],
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a folder's name")
    (folder / "default_worker.py").write_text(PROGRAM)
    return folder


@pytest.fixture(scope="module")
def warm(folder):
    """The program that Ray is given, of a server whose driver has few modules."""
    modules = warm_workers.MODULES, warm_workers.RAY_MODULES
    warm_workers.MODULES, warm_workers.RAY_MODULES = ("torch",), ("ray.data",)
    tempdir, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        with fork_server() as program:
            yield program
    finally:
        warm_workers.MODULES, warm_workers.RAY_MODULES = modules
        tempfile.tempdir = tempdir


def worker(program, folder, *arguments, script="default_worker.py", **environment):
    """Start a worker as Ray's raylet does, and read what it says of itself."""
    output = folder / f"output-{time.monotonic_ns()}"
    command = [program, str(folder / script), *arguments]
    surroundings = {**os.environ, "RAY_RAYLET_PID": "7", "RAY_JOB_ID": "01000000", **environment}
    with output.open("w") as file:
        subprocess.run(command, stdout=file, env=surroundings, cwd=folder, check=True)
    # A forked worker may be at work when the program that asked for it has ended.
    deadline = time.monotonic() + 60
    while not output.read_text().endswith("}\n"):
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.01)
    return json.loads(output.read_text())


def test_a_worker_is_what_a_new_process_would_be(warm, folder):
    options = {"A": "$HOME 'x'", "RAY_JOB_ID": "02000000", "RAY_ping": "1"}
    forked = worker(warm, folder, "--a=b c", "--d", **options)
    new = worker(sys.executable, folder, "--a=b c", "--d", **options)
    assert forked["warm"]
    assert not new["warm"]
    own = {"warm", "pid", "drawn", "path", "environment"}
    assert {key: forked[key] for key in forked if key not in own} == {key: new[key] for key in new if key not in own}
    # The shell that starts them names where it is, and itself.
    said = [
        {k: v for k, v in one["environment"].items() if k not in ("_", "PWD", "OLDPWD", "SHLVL")}
        for one in (forked, new)
    ]
    assert said[0] == said[1]
    assert forked["environment"]["RAY_JOB_ID"] == "02000000"


def test_workers_draw_other_numbers_than_one_another(warm, folder):
    first, second = worker(warm, folder), worker(warm, folder)
    assert first["warm"]
    assert second["warm"]
    assert first["pid"] != second["pid"]
    assert not set(first["drawn"]) & set(second["drawn"])


def test_a_worker_leaves_nothing_to_the_next(warm, folder):
    (folder / "other").mkdir(exist_ok=True)
    (folder / "other" / "default_worker.py").write_text(
        "import os, sys\nos.environ['LEFT'] = '1'\nsys.left = True\nos.chdir('/')\nprint('{}')\n"
    )
    worker(warm, folder / "other")
    after = worker(warm, folder)
    assert "LEFT" not in after["environment"]
    assert after["folder"] == str(folder)


def test_variables_of_a_runtime_environment_are_set(warm, folder):
    (folder / "setup_worker.py").write_text("")
    context = json.dumps({"env_vars": {"TRAIN": "yes", "TWO": "${TRAIN}-${NOWHERE}"}})
    options = [
        str(folder / "default_worker.py"),
        f"--serialized-runtime-env-context={context}",
        "--language=PYTHON",
        "-x",
    ]
    found = worker(warm, folder, *options, script="setup_worker.py")
    assert found["warm"]
    assert found["arguments"] == ["-x"]
    assert (found["environment"]["TRAIN"], found["environment"]["TWO"]) == ("yes", "yes-")


def test_a_server_whose_forks_would_draw_the_same_names_serves_nobody(folder, monkeypatch):
    (folder / "drawing.py").write_text("from ray._raylet import WorkerID\nWorkerID.from_random()\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(warm_workers, "MODULES", ())
    monkeypatch.setattr(warm_workers, "RAY_MODULES", ("drawing", "torch"))
    with fork_server() as program:
        assert not worker(program, folder)["warm"]
        assert not worker(program, folder)["warm"]


def test_the_workers_of_another_raylet_are_new_processes(warm, folder):
    assert worker(warm, folder)["warm"]
    assert not worker(warm, folder, RAY_RAYLET_PID="8")["warm"]


def test_other_programs_are_python(warm):
    done = subprocess.run(
        [warm, "-c", "import sys; print(sys.executable, *sys.argv)", "a b"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [sys.executable, "-c", "a", "b"]


def test_a_server_that_is_gone_costs_nothing_but_time(folder, monkeypatch):
    monkeypatch.setattr(warm_workers, "MODULES", ("json",))
    with fork_server() as program:
        children = next(Path("/proc").glob(f"{os.getpid()}/task/*/children")).read_text().split()
        os.kill(int(children[-1]), 9)
        assert not worker(program, folder)["warm"]


def test_a_folder_that_runs_no_programs_gets_plain_python(monkeypatch):
    class Mounted:
        f_flag = os.ST_NOEXEC

    monkeypatch.setattr(os, "statvfs", lambda path: Mounted())
    with fork_server() as program:
        assert program == sys.executable


def test_ray_takes_the_program_for_python_only_while_it_starts():
    python = sys.executable
    with started_by("/other"):
        assert sys.executable == "/other"
    assert sys.executable == python


def test_what_is_imported_starts_no_thread_and_finds_no_gpu():
    code = (
        f"import importlib, sys, threading\nfor name in {(*MODULES, *RAY_MODULES)}: importlib.import_module(name)\n"
        "import torch\nmaps = open('/proc/self/maps').read()\n"
        "print(threading.active_count(), torch.cuda.is_initialized(), 'libcuda.so' in maps)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "False"]


def test_what_remembers_python_remembers_python():
    code = (
        "import sys\nfrom raygenex.cluster.warm_workers import started_by\n"
        "with started_by('/gone'):\n    import multiprocessing.spawn\n"
        "print(multiprocessing.spawn.get_executable() in (sys.executable, sys.executable.encode()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_an_answer_that_comes_at_once_is_taken(tmp_path, monkeypatch):
    """On a busy machine the worker has started, and the line is closed, before who asked goes on."""
    path, send_fds = str(tmp_path / "socket"), socket.send_fds
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer():
            connection, _ = listener.accept()
            with connection:
                for file in socket.recv_fds(connection, 2**20, 3)[1]:
                    os.close(file)
                connection.sendall(b"1")

        server = threading.Thread(target=answer)
        server.start()

        def send_and_wait(*arguments):
            sent = send_fds(*arguments)
            server.join()
            return sent

        monkeypatch.setattr(socket, "send_fds", send_and_wait)
        monkeypatch.setattr(sys, "argv", ["fork_client.py", path, "default_worker.py"])
        assert fork_client.main() == 0
