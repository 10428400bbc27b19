"""Sending a run to a Ray cluster as a job: the resolved configuration and this package travel, data never do."""

import contextlib
import logging
import os
import re
import shlex
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

import raygenex
from raygenex.config import RunConfig
from raygenex.errors import ClusterError, ConfigError
from raygenex.job_log import MARKER, LogSplitter, follow
from raygenex.remote_paths import refuse_local_paths

logger = logging.getLogger(__name__)

ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
# How long the dashboard may take to answer at all, in seconds.
ANSWER_S = 10.0
# The versions of Ray that pyproject.toml allows.
OLDEST_RAY = (2, 59)
NEWEST_RAY = (3, 0)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
_CONFIG_FILE = "config.yaml"
# Loggers of Ray that tell of each package and each connection.
_CHATTY = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)


@dataclass(frozen=True)
class Task:
    """What a cluster is to do.

    Parameters
    ----------
    config
        The resolved configuration, which travels.
    verb
        A verb of the command line that takes a configuration.
    arguments
        What follows the configuration on that verb's command line.
    env
        Environment variables of the job, all its processes included.
    installed
        Use the raygenex that the cluster has, in place of sending this one.
    """

    config: RunConfig
    verb: str = "run"
    arguments: tuple[str, ...] = ()
    env: dict[str, str] | None = None
    installed: bool = False

    @property
    def entrypoint(self) -> str:
        """The job's shell command: the verb, then its result behind the marker, then its exit code."""
        command = f"python -m raygenex {self.verb} {shlex.join([_CONFIG_FILE, *self.arguments])}"
        # Kept in the shell: the folder that the job runs in is shared by all jobs with the same files.
        return f"result=$({command}); code=$?; echo '{MARKER}'; printf '%s\\n' \"$result\"; exit $code"

    def metadata(self) -> dict[str, str]:
        """Return what the cluster lists beside the job."""
        # How the result is printed makes no other job.
        command = " ".join([self.verb, *(word for word in self.arguments if word != "--json")])
        return {"raygenex": raygenex.__version__, "run": self.config.name, "command": command, "hash": self.hash()}

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
            raise ConfigError(f"--env {option} is not of the form NAME=VALUE or NAME")
        if not separator:
            if name not in os.environ:
                raise ConfigError(f"--env {name} has no value here: set the variable, or give {name}=VALUE")
            value = os.environ[name]
        found[name] = value
    return found


@contextlib.contextmanager
def in_environment(env: dict[str, str]) -> Iterator[None]:
    """Let variables of the job stand in a configuration that is loaded inside."""
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


def check_task(task: Task, shared: Sequence[str], submission_id: str | None = None) -> None:
    """Refuse, with a ConfigError, what could not run on the cluster; nothing is sent.

    Parameters
    ----------
    task
        What is to be sent.
    shared
        Folders that every node sees, see `raygenex.remote_paths.refuse_local_paths`.
    submission_id
        The name that the job shall have.
    """
    refuse_local_paths(task.config, shared, task.verb)
    if submission_id is not None and not _ID.fullmatch(submission_id):
        raise ConfigError(f"--submission-id {submission_id} may hold letters, digits, '.', '_' and '-' alone")


def read_address(address: str | None) -> str:
    """Return ``http://HOST:PORT`` of the dashboard.

    Raises
    ------
    ConfigError
        If there is none, or it has another form.
    """
    if not address:
        raise ConfigError(f"no cluster to submit to: give --address http://HEAD:8265, or set {ADDRESS_VARIABLE}")
    full = address if "://" in address else f"http://{address}"
    parts = urlsplit(full)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--address {address} is no address of a dashboard: give http://HEAD:8265")
    return full.rstrip("/")


def connect(address: str) -> Any:
    """Return a ``JobSubmissionClient`` of a dashboard that answers, knows the token and runs a Ray that fits.

    Raises
    ------
    ClusterError
        If any of this is not so.
    """
    _knock(address)
    # Ray sends a token only if it is told to, even where one is set.
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    _check_token_file()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Ray prefers these to the address that it is given.
    for name in (ADDRESS_VARIABLE, "RAY_ADDRESS"):
        os.environ.pop(name, None)
    try:
        client = JobSubmissionClient(address)
    except AuthenticationError as error:
        raise ClusterError(_refusal(address, str(error))) from None
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise ClusterError(
            f"{address} answers, but not as a Ray dashboard ({_first_line(error)}): check --address"
        ) from error
    _check_version(address, getattr(client, "_server_ray_version", None))
    return client


def _knock(address: str) -> None:
    """Wait a few seconds for any answer, where Ray's client would wait for ever."""
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=ANSWER_S).close()
    except urllib.error.HTTPError:
        # An answer, such as that a token is missing.
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ClusterError(
            f"no Ray dashboard answers at {address} ({reason}): start the cluster, or open the tunnel to it (`ray "
            "dashboard CLUSTER.yaml`)"
        ) from error


def _check_token_file() -> None:
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if path and not os.environ.get("RAY_AUTH_TOKEN") and not Path(path).is_file():
        raise ConfigError(f"RAY_AUTH_TOKEN_PATH names {path}, which is no file: write the cluster's token there")


def _refusal(address: str, answer: str) -> str:
    """Say why a dashboard did not let this process in."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return (
            f"the cluster at {address} asks for a token and none was sent: set RAY_AUTH_MODE=token, and the token in "
            "RAY_AUTH_TOKEN or in a file named by RAY_AUTH_TOKEN_PATH"
        )
    if "invalid" in answer.lower():
        return f"the cluster at {address} refused the token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's"
    return (
        f"the cluster at {address} asks for a token and there is none here: set RAY_AUTH_TOKEN, or name the token's "
        "file by RAY_AUTH_TOKEN_PATH"
    )


def _check_version(address: str, theirs: str | None) -> None:
    import ray

    if theirs is None:
        return
    found = tuple(int(part) for part in re.findall(r"\d+", theirs)[:2])
    if not OLDEST_RAY <= found < NEWEST_RAY:
        low, high = (".".join(map(str, version)) for version in (OLDEST_RAY, NEWEST_RAY))
        raise ClusterError(
            f"the cluster at {address} runs Ray {theirs}, and raygenex needs {low} or later, below {high}: start it "
            f"with Ray {ray.__version__}, the version here"
        )
    if theirs != ray.__version__:
        logger.warning("the cluster runs Ray %s, and Ray %s is here: both should be the same", theirs, ray.__version__)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _travelling(config: RunConfig) -> RunConfig:
    """Return the configuration as the job gets it: it joins the cluster that it runs on."""
    return config.model_copy(update={"cluster": config.cluster.model_copy(update={"address": None})})


def write_package(task: Task, folder: Path) -> None:
    """Write what travels into an empty folder: the resolved configuration and, unless ``installed``, this package."""
    text = yaml.safe_dump(_travelling(task.config).dump(), sort_keys=False)
    (folder / _CONFIG_FILE).write_text(text, encoding="utf-8")
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
        try:
            sent: str = client.submit_job(
                entrypoint=task.entrypoint,
                runtime_env={"working_dir": folder, "env_vars": task.env or {}},
                submission_id=submission_id,
                metadata=task.metadata(),
            )
        except (RuntimeError, OSError) as error:
            raise ClusterError(f"the cluster refused the job: {_first_line(error)}") from error
    return sent, True


def _find(client: Any, submission_id: str) -> Any:
    """Return what the cluster knows of a job, or None."""
    jobs = [job for job in client.list_jobs() if job.submission_id == submission_id]
    return jobs[0] if jobs else None


def wait(
    client: Any, submission_id: str, address: str, show: Callable[[str], None], timeout: float | None
) -> SubmitResult:
    """Follow a job to its end, and give every line of its log to ``show``.

    Raises
    ------
    ClusterError
        If the time is up or the cluster is lost; the sentence says how to come back to the job.
    """
    splitter = LogSplitter(show)
    try:
        info = follow(client, submission_id, splitter, timeout)
    except ClusterError as error:
        raise ClusterError(f"{error}; {come_back(submission_id, address)}") from error
    result = splitter.finish()
    if info.driver_exit_code is None and info.message:
        # The job did not get as far as a log of its own, or was stopped.
        show(info.message.strip())
    code = info.driver_exit_code if info.driver_exit_code is not None else int(info.status.value != "SUCCEEDED")
    return SubmitResult(submission_id, address, info.status.value, code, result)


def come_back(submission_id: str, address: str) -> str:
    """Say how to see a job again, and how to stop it."""
    return (
        f"the same command with --submission-id {submission_id} follows it again, and `ray job stop --address "
        f"{address} {submission_id}` stops it"
    )
