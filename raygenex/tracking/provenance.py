"""Where runs and versions come from: who started them, by which command, at which commit; in MLflow's own tags."""

import getpass
import json
import os
import shlex
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

CONTEXT = "MLFLOW_RUN_CONTEXT"
"""MLflow's variable for tags of this kind, a JSON mapping: a submitted job has them from where it was submitted."""

_PACKAGE = Path(__file__).parents[1]
_SECONDS = 30
"""Of patience with git."""


def run_tags() -> dict[str, str]:
    """Return who started this process, by which command, at which commit of the code; what is not known is left out."""
    return {name: value for name, value in source_tags().items() if name.startswith("mlflow.")}


@lru_cache(maxsize=1)
def source_tags() -> dict[str, str]:
    """Return `run_tags` and `git_tags`, for which a process asks git once: its code is that of its start."""
    found = git_tags() | {"mlflow.source.type": "LOCAL"}
    if user := _user():
        found["mlflow.user"] = user
    if command := _command():
        found["mlflow.source.name"] = command
    if commit := found.get("raygenex.git_commit"):
        found["mlflow.source.git.commit"] = commit.removesuffix("-dirty")
    return found | {name: value for name, value in _carried().items() if name.startswith("mlflow.")}


def carried_by_job(command: str) -> dict[str, str]:
    """Return the variable by which a job that runs ``command`` for this process has its tags."""
    tags = source_tags() | {"mlflow.source.name": command}
    return {CONTEXT: json.dumps(tags)}


def git_tags(package: Path = _PACKAGE) -> dict[str, str]:
    """Return the commit of the code, or of the working directory's repository, as tags; none without git.

    The package's own repository counts if the package is tracked there; an installed package is not, and then the
    repository of the working directory, where configurations are kept, is what there is. A submitted job has those of
    where it came from.

    Returns
    -------
    ``raygenex.git_commit``, with ``-dirty`` behind it if tracked files have changes, and ``raygenex.git_repository``,
    the name of the repository's folder; or nothing.
    """
    if carried := {name: value for name, value in _carried().items() if name.startswith("raygenex.git_")}:
        return carried
    init = package / "__init__.py"
    tracked = _git(package, "ls-files", "--error-unmatch", str(init)) is not None
    folder = str(package) if tracked else "."
    commit, top = _git(folder, "rev-parse", "HEAD"), _git(folder, "rev-parse", "--show-toplevel")
    if commit is None or top is None:
        return {}
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "raygenex.git_commit": commit + ("-dirty" if changes else ""),
        "raygenex.git_repository": Path(top).name,
    }


def _carried() -> dict[str, str]:
    """Return the tags of `CONTEXT`; none where it is unset or not made by a submission."""
    try:
        found = json.loads(os.environ.get(CONTEXT) or "{}")
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        # A container may run as a number without a name.
        return None


def _command() -> str | None:
    """Return the command line of this program, or the name of the script or notebook's kernel that uses it."""
    name = Path(sys.argv[0]).name if sys.argv else ""
    if name in ("raygenex", "__main__.py"):
        return shlex.join(["raygenex", *sys.argv[1:]])
    # A process of Ray's was started by no user.
    return name if name and name != "default_worker.py" else None


def _git(folder: str | Path, *arguments: str) -> str | None:
    """Return what git prints, or None where there is no git, no repository or no commit."""
    try:
        # Without locks, so that looking never gets in the way of someone's commit.
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
