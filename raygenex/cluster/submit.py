"""Sending a run to a Ray cluster as a job: the resolved configuration and this package travel, data never do."""

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import raygenex
from raygenex.cluster.job_log import MARKER, LogSplitter, follow
from raygenex.cluster.remote_paths import Place, refuse_local_paths
from raygenex.config.load import config_text
from raygenex.config.run import RunConfig
from raygenex.errors import ClusterError, ConfigError, first_line
from raygenex.redact import redact

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
_CONFIG_FILE = "config.yaml"
# Ray kills what has not ended 3 seconds after `ray job stop`, unless the job's environment says otherwise; a training
# ends its tasks and tells MLflow within this time.
_STOP_WAIT = {"RAY_JOB_STOP_WAIT_TIME_S": "60"}


@dataclass(frozen=True)
class Task:
    """What a cluster is to do."""

    config: RunConfig
    """The resolved configuration, which travels."""
    verb: str = "run"
    """A verb of the command line that takes a configuration."""
    arguments: tuple[str, ...] = ()
    """What is next to the configuration on that verb's command line."""
    env: dict[str, str] | None = None
    """Environment variables of the job, all its processes included."""
    installed: bool = False
    """Use the raygenex that the cluster has, in place of sending this one."""
    before: int = 0
    """How many of the arguments stand before the configuration."""

    @property
    def entrypoint(self) -> str:
        """The job's shell command: the verb, then its result behind the marker, then its exit code."""
        words = [*self.arguments[: self.before], _CONFIG_FILE, *self.arguments[self.before :]]
        command = f"python -m raygenex {self.verb} {shlex.join(words)}"
        # Kept in the shell: the folder that the job runs in is shared by all jobs with the same files.
        return f"result=$({command}); code=$?; echo '{MARKER}'; printf '%s\\n' \"$result\"; exit $code"

    def metadata(self) -> dict[str, str]:
        """Return what the cluster lists beside the job."""
        # How the result is printed makes no other job.
        command = " ".join([self.verb, *(word for word in self.arguments if word != "--json")])
        found = {"raygenex": raygenex.__version__, "run": self.config.name, "command": command, "hash": self.hash()}
        return {name: redact(text) for name, text in found.items()}

    def hash(self) -> str:
        """Return the hash of the configuration that travels."""
        return _travelling(self.config).hash()


@dataclass(frozen=True)
class SubmitResult:
    """A submitted job: its id, Ray's word for its state, and, of an ended one, exit code and result."""

    submission_id: str
    address: str
    status: str
    exit_code: int | None
    result: str


def read_env(options: Sequence[str]) -> dict[str, str]:
    """Turn ``NAME=VALUE`` into variables; a NAME alone takes its value from this process's environment.

    Raises
    ------
    ConfigError
        If an option is neither, or a NAME alone is not set here.
    """
    found = {}
    for option in options:
        name, separator, value = option.partition("=")
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(f"--env {name} is not of the form NAME=VALUE or NAME")
        if not separator:
            if name not in os.environ:
                raise ConfigError(f"--env {name} has no value here: set the variable, or give {name}=VALUE")
            value = os.environ[name]
        found[name] = value
    return found


@contextlib.contextmanager
def in_environment(env: dict[str, str]) -> Iterator[None]:
    """Let a configuration that is loaded inside name variables of the job."""
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def check_task(
    task: Task, shared: Sequence[str], submission_id: str | None = None, places: Sequence[Place] = ()
) -> None:
    """Refuse, with a ConfigError, what could not run on the cluster; nothing is sent.

    Parameters
    ----------
    task
        What is to be sent.
    shared
        Folders that every node sees, see `raygenex.cluster.remote_paths.refuse_local_paths`.
    submission_id
        The name that the job shall have.
    places
        Files and folders that the verb's own options name.
    """
    refuse_local_paths(task.config, shared, task.verb, places)
    if submission_id is not None and not _ID.fullmatch(submission_id):
        raise ConfigError(f"--submission-id {submission_id} may hold letters, digits, '.', '_' and '-' alone")


def _travelling(config: RunConfig) -> RunConfig:
    """Return the configuration as the job gets it: it joins the cluster that it runs on."""
    return config.model_copy(update={"cluster": config.cluster.model_copy(update={"address": None})})


def write_package(task: Task, folder: Path) -> None:
    """Write what travels into an empty folder: the resolved configuration and, unless ``installed``, this package."""
    (folder / _CONFIG_FILE).write_text(config_text(_travelling(task.config).dump()), encoding="utf-8")
    if not task.installed:
        source = Path(raygenex.__file__).parent
        shutil.copytree(source, folder / "raygenex", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def start(client: Any, task: Task, submission_id: str | None) -> tuple[str, bool]:
    """Send a task; a job that has this id already, and does the same, is kept.

    Returns
    -------
    The submission id, and whether anything was sent.

    Raises
    ------
    ClusterError
        If the cluster refuses.
    ConfigError
        If another job has this id.
    """
    if submission_id is not None and (known := _find(client, submission_id)) is not None:
        kept, wanted = known.metadata or {}, task.metadata()
        if any(kept.get(key) != wanted[key] for key in ("hash", "command")):
            raise ConfigError(f"the cluster has another job of the id {submission_id} already: choose another id")
        return submission_id, False
    with tempfile.TemporaryDirectory(prefix="raygenex-") as folder:
        write_package(task, Path(folder))
        with _refusals():
            sent: str = client.submit_job(
                entrypoint=task.entrypoint,
                runtime_env={"working_dir": folder, "env_vars": _STOP_WAIT | (task.env or {})},
                submission_id=submission_id,
                metadata=task.metadata(),
            )
    return sent, True


def _find(client: Any, submission_id: str) -> Any:
    """Return what the cluster knows of a job, or None."""
    with _refusals():
        return next((job for job in client.list_jobs() if job.submission_id == submission_id), None)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turn what Ray's client raises into one sentence."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise ClusterError(f"the cluster refused the job: {first_line(error)}") from error


def wait(
    client: Any, submission_id: str, address: str, show: Callable[[str], None], timeout: float | None
) -> SubmitResult:
    """Follow a job to its end, and give every line of its log to ``show``.

    Raises
    ------
    ClusterError
        If the time is up or the cluster is lost; the sentence says how to come back to the job.
    """
    splitter = LogSplitter(lambda line: show(redact(line)))
    try:
        info = follow(client, submission_id, splitter, timeout)
    except ClusterError as error:
        raise ClusterError(f"{error}; {come_back(submission_id, address)}") from error
    result = splitter.finish()
    if info.driver_exit_code is None and info.message:
        # The job did not get as far as a log of its own, or was stopped.
        show(redact(info.message.strip()))
    code = info.driver_exit_code if info.driver_exit_code is not None else int(info.status.value != "SUCCEEDED")
    return SubmitResult(submission_id, address, info.status.value, code, result)


def come_back(submission_id: str, address: str) -> str:
    """Say how to see a job again, and how to stop it."""
    return (
        f"the same command with --submission-id {submission_id} follows it again, and `ray job stop --address "
        f"{address} {submission_id}` stops it"
    )
