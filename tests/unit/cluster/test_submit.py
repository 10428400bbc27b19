import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
import yaml
from ray.job_submission import JobStatus

from raygenex.cli import main
from raygenex.cli.submit import PATHS, check_verb
from raygenex.cli.submit import verbs as submit_verbs
from raygenex.cluster.dashboard import NEWEST_RAY, OLDEST_RAY, connect, read_address
from raygenex.cluster.job_log import MARKER
from raygenex.cluster.submit import Task, check_task, in_environment, read_env, start, wait, write_package
from raygenex.config.load import load_config, parse_config
from raygenex.errors import ClusterError, ConfigError

ROOT = Path(__file__).parents[3]
CONFIG = parse_config({"output": "/mnt/runs", "cluster": {"address": "10.0.0.1:6379", "wait_s": 5}}, "the test")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Undo what `connect` does to the environment."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.setenv(name, "disabled" if name == "RAY_AUTH_MODE" else "")


# What travels


def test_the_package_holds_the_resolved_configuration_and_the_source(tmp_path):
    write_package(Task(CONFIG), tmp_path)
    sent = load_config(tmp_path / "config.yaml")
    # The job joins the cluster that it runs on.
    assert sent.cluster.address is None
    assert sent.cluster.wait_s == 5
    assert sent.output == CONFIG.output
    assert sent.hash() == Task(CONFIG).hash()
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"raygenex/__main__.py", "raygenex/data/check/page.html.j2", "raygenex/train/network/loop.py"} <= files
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyc")]
    # It is the package that runs there, without anything of this folder.
    code = "import raygenex.config.load; print(raygenex.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == str(tmp_path / "raygenex" / "__init__.py")


def test_an_installed_package_stays_where_it_is(tmp_path):
    write_package(Task(CONFIG, installed=True), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(("code", "said"), [(0, "all is well\ntwice"), (2, "")])
def test_the_job_gives_its_result_behind_the_marker_and_its_exit_code(tmp_path, code, said):
    task = Task(CONFIG, "evaluate", ("--split", "a b"))
    module = tmp_path / "raygenex" / "__main__.py"
    module.parent.mkdir()
    module.write_text(
        "import sys\nassert sys.argv[1:] == ['evaluate', 'config.yaml', '--split', 'a b']\n"
        f"print('a log', file=sys.stderr)\nprint({said!r})\nsys.exit({code})\n"
    )
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(task.entrypoint, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "a log\n")
    assert done.stdout == f"{MARKER}\n{said}\n"


@pytest.mark.parametrize(
    ("verb", "words", "before", "command"),
    [
        ("train", ["--force"], 0, "train config.yaml --force"),
        ("explain", ["--force"], 0, "explain config.yaml --force"),
        ("explain", ["models:/m@champion", "--force"], 1, "explain models:/m@champion config.yaml --force"),
        ("predict", ["a.h5", "--output", "b.csv"], 0, "predict config.yaml a.h5 --output b.csv"),
    ],
)
def test_a_model_stands_before_the_configuration(verb, words, before, command):
    found = check_verb(typer.main.get_command(main.app), verb, words, as_json=False)
    assert found[:3] == (verb, words, before)
    assert f"python -m raygenex {command})" in Task(CONFIG, verb, tuple(words), before=before).entrypoint


def test_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("FROM_HERE", "x=y")
    monkeypatch.delenv("NOWHERE", raising=False)
    env = read_env(["A=1", "B=", "FROM_HERE", "C=a=b"])
    assert env == {"A": "1", "B": "", "FROM_HERE": "x=y", "C": "a=b"}
    with pytest.raises(ConfigError, match="--env NOWHERE has no value here"):
        read_env(["NOWHERE"])
    with pytest.raises(ConfigError, match="--env 1A is not of the form"):
        read_env(["1A=2"])
    (tmp_path / "run.yaml").write_text("data: {train: '${A}/${FROM_HERE}.h5'}")
    with in_environment({"A": "s3://b", "FROM_HERE": "z"}):
        assert load_config(tmp_path / "run.yaml").data.train == ("s3://b/z.h5",)
    assert "A" not in os.environ
    assert os.environ["FROM_HERE"] == "x=y"


# The command line, as far as it needs no cluster


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    values = {"output": "/mnt/runs", "data": {"train": "s3://b/a.h5"}, "tracking": {"uri": "http://mlflow.example"}}
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--verb", "predict", "--", "/home/me/genes.h5", "--output", "/mnt/a.csv"),
            "HDF5... is /home/me/genes.h5, which",
        ),
        (
            ("--verb", "predict", "--", "s3://b/g.h5", "--output", "out.csv"),
            "--output is out.csv, which the cluster does",
        ),
        (("--verb", "predict", "--", "s3://b/g.h5", "--output", "s3://b/o.csv"), "--output is s3://b/o.csv, which the"),
        (("--verb", "predict", "--", "/mnt/g.h5", "--output", "/mnt/o.csv", "--model", "runs/a"), "--model is runs/a,"),
        (("--verb", "variants", "--", "a.vcf", "--output", "/mnt/o.csv"), "VARIANTS is a.vcf, which the cluster does"),
        (
            ("--verb", "explain", "--", "runs/a/checkpoint"),
            "MODEL is runs/a/checkpoint, which the cluster does not see",
        ),
        (("--verb", "data split"), "--output is split.tsv, which the cluster does not see"),
        (("--verb", "data describe", "--", "--html", "a.html"), "--html is a.html, which the cluster does not see"),
        (("-o", "train.workers=0"), "train.workers: must be at least 1, not 0"),
        (("-o", "output=runs"), "output is runs, which the cluster does not see (it is not below /mnt)"),
        (("--verb", "fly"), "--verb fly cannot be submitted: use one of benchmark, data build, "),
        (("--verb", "config show"), "--verb config show cannot be submitted"),
        (("--verb", "submit"), "--verb submit cannot be submitted"),
        (("--submission-id", "a b"), "--submission-id a b may hold letters"),
        (("--address", "ray://head:10001"), "--address ray://head:10001 is not the address of a dashboard"),
        ((), "no cluster to submit to: give --address http://HEAD:8265, or set RAY_API_SERVER_ADDRESS"),
        (("--", "-o", "train.epochs=1"), "give -o before the --"),
    ],
)
def test_what_cannot_run_never_travels(raygenex, config, words, sentence):
    code, out, err = raygenex("submit", config, "--shared", "/mnt", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("predict", ["s3://b/g.h5", "/mnt/g.h5", "--output", "/mnt/o.csv", "--model", "models:/m@champion"]),
        ("variants", ["https://host/a.vcf", "--output", "/mnt/o.csv"]),
        ("explain", ["models:/m/3"]),
        ("data split", ["--output", "/mnt/s.tsv", "--write", "/mnt/new"]),
    ],
)
def test_paths_that_the_cluster_sees_may_be_given_to_the_verb(verb, words):
    name, words, before, places = check_verb(typer.main.get_command(main.app), verb, words, as_json=False)
    values = {"output": "/mnt/runs", "data": {"train": "s3://b/a.h5"}, "tracking": {"uri": "http://mlflow.example"}}
    task = Task(parse_config(values, "the test"), name, tuple(words), before=before)
    check_task(task, ["/mnt"], None, places)


def test_every_parameter_of_a_verb_that_may_name_a_file_is_known():
    """A new parameter that is text must be added to `PATHS` of the command, or here if it names no file."""
    no_files = {"config", "override", "split", "version", "reason", "a", "b"}
    commands = submit_verbs(typer.main.get_command(main.app))
    values = {
        param.name for command in commands.values() for param in command.params if not getattr(param, "is_flag", False)
    }
    assert values - no_files == set(PATHS)


def test_options_of_the_verb_are_read_here(raygenex, config):
    code, _, err = raygenex("submit", config, "--shared", "/mnt", "--verb", "train", "--", "--fast")
    assert code == 2
    assert "raygenex train" in err
    assert "No such option: --fast" in err


def test_a_dead_address_is_one_sentence(raygenex, config, free_port):
    code, out, err = raygenex("submit", config, "--shared", "/mnt", "--address", f"127.0.0.1:{free_port}")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: no Ray dashboard answers at http://127.0.0.1:{free_port} (")
    assert err.count("\n") == 1


# Talking to a dashboard


@pytest.fixture
def free_port():
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


@pytest.fixture
def dashboard():
    """Return a function that starts a server with one answer, and gives its address."""
    servers = []

    def begin(status, body):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def version(text):
    return json.dumps({"version": "4", "ray_version": text, "ray_commit": "", "session_name": "s"})


def test_addresses():
    assert read_address("head:8265") == "http://head:8265"
    assert read_address("https://head/") == "https://head"
    for wrong in ("auto://", "ftp://head:1", "http://"):
        with pytest.raises(ConfigError, match="is not the address of a dashboard"):
            read_address(wrong)


def test_another_address_of_the_environment_is_not_preferred(dashboard, monkeypatch):
    import ray

    address = dashboard(200, version(ray.__version__))
    monkeypatch.setenv("RAY_ADDRESS", "10.255.255.1:6379")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://10.255.255.1:8265")
    assert connect(address).get_address() == address


@pytest.mark.parametrize("theirs", ["2.58.1", "3.0.0"])
def test_a_ray_that_does_not_fit_is_refused(dashboard, theirs):
    address = dashboard(200, version(theirs))
    with pytest.raises(ClusterError, match=rf"runs Ray {theirs}, and raygenex needs 2.59 or later, below 3.0"):
        connect(address)


def test_the_supported_versions_are_those_of_the_package():
    low, high = (".".join(map(str, bound)).removesuffix(".0") for bound in (OLDEST_RAY, NEWEST_RAY))
    assert f'"ray[data,train,tune,default]>={low},<{high}"' in (ROOT / "pyproject.toml").read_text()


def test_another_ray_that_fits_is_pointed_out(dashboard, caplog):
    assert connect(dashboard(200, version("2.59.3")))
    assert "the cluster runs Ray 2.59.3" in caplog.text


@pytest.mark.parametrize(
    ("status", "body"), [(404, "no such page"), (200, "<html>hello</html>"), (200, "{}"), (500, "")]
)
def test_a_server_that_is_no_dashboard(dashboard, status, body):
    with pytest.raises(ClusterError, match="answers, but not as a Ray dashboard"):
        connect(dashboard(status, body))


def test_a_missing_and_a_wrong_token(dashboard, monkeypatch):
    with pytest.raises(ClusterError, match="asks for a token and none was sent: set RAY_AUTH_MODE=token"):
        connect(dashboard(401, "Unauthorized: Missing authentication token"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(ClusterError, match="refused the token"):
        connect(dashboard(403, "Forbidden: Invalid authentication token"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/no/such/token")
    with pytest.raises(ConfigError, match="RAY_AUTH_TOKEN_PATH names /no/such/token, which is not a file"):
        connect(dashboard(401, ""))


class Client:
    """A job server that has some jobs, and takes others."""

    def __init__(self, *jobs):
        self.jobs, self.sent = list(jobs), []

    def list_jobs(self):
        return self.jobs

    def submit_job(self, **job):
        folder = Path(job["runtime_env"]["working_dir"])
        self.sent.append(job | {"files": sorted(path.name for path in folder.iterdir())})
        if job["submission_id"] == "full":
            raise RuntimeError("Request failed with status code 500: too large.\nTraceback")
        return job["submission_id"] or "raysubmit_1"

    async def tail_job_logs(self, submission_id):
        yield f"a log\n{MARKER}\n0.9\n"

    def get_job_info(self, submission_id):
        return next(job for job in self.jobs if job.submission_id == submission_id)


def job(name, task, **more):
    return SimpleNamespace(submission_id=name, metadata=task.metadata(), **more)


def test_a_task_is_sent_with_its_variables():
    client, task = Client(), Task(CONFIG, "train", ("--force",), {"A": "1"})
    assert start(client, task, None) == ("raysubmit_1", True)
    (sent,) = client.sent
    assert sent["files"] == ["config.yaml", "raygenex"]
    # Ray reads there how long an ending job has; by itself it kills it after 3 s.
    assert sent["runtime_env"]["env_vars"] == {"A": "1", "RAY_JOB_STOP_WAIT_TIME_S": "60"}
    assert "python -m raygenex train config.yaml --force" in sent["entrypoint"]
    assert sent["metadata"]["command"] == "train --force"


def test_the_time_that_a_stopped_job_has_can_be_given():
    client = Client()
    start(client, Task(CONFIG, env={"RAY_JOB_STOP_WAIT_TIME_S": "5"}), None)
    assert client.sent[0]["runtime_env"]["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "5"}


def test_the_same_job_is_not_sent_twice_and_another_of_its_name_is_refused():
    task = Task(CONFIG, "train", ("--json",))
    client = Client(job("mine", task))
    assert start(client, task, "mine") == ("mine", False)
    assert start(client, Task(CONFIG, "train"), "mine") == ("mine", False)
    for other in (Task(CONFIG, "embed"), Task(CONFIG.model_copy(update={"seed": 1}), "train")):
        with pytest.raises(ConfigError, match="has another job of the id mine already"):
            start(client, other, "mine")
    assert client.sent == []
    assert start(client, task, "other") == ("other", True)


def test_a_refused_job_is_one_sentence():
    with pytest.raises(ClusterError, match=r"^the cluster refused the job: Request failed .*: too large\.$"):
        start(Client(), Task(CONFIG), "full")


@pytest.mark.parametrize(
    ("status", "exit_code", "message", "code"),
    [
        (JobStatus.SUCCEEDED, 0, "done", 0),
        (JobStatus.FAILED, 2, "exit code 2", 2),
        (JobStatus.FAILED, None, "runtime_env setup failed", 1),
        (JobStatus.STOPPED, None, "stopped by the user", 1),
    ],
)
def test_an_ended_job(status, exit_code, message, code):
    ended = job("j", Task(CONFIG), status=status, driver_exit_code=exit_code, message=message)
    lines = []
    result = wait(Client(ended), "j", "http://head", lines.append, None)
    assert (result.status, result.exit_code, result.result) == (status.value, code, "0.9")
    assert lines == ["a log"] + ([message] if exit_code is None else [])
