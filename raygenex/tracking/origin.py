"""Where a run comes from: who started it, by which command, and of which commit the code is."""

import getpass
import os
import shlex
import subprocess
import sys
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_SECONDS = 30
"""Of patience with git."""
_COMMIT = "raygenex.git_commit"
_REPOSITORY = "raygenex.git_repository"
_HANDED_ON = {"RAYGENEX_USER": "mlflow.user", "RAYGENEX_GIT_COMMIT": _COMMIT, "RAYGENEX_GIT_REPOSITORY": _REPOSITORY}
"""Variables by which a machine that submits a job says what the job's machine cannot know, and their tags."""
# Ray gives this variable to the process of a submitted job.
_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def origin_tags() -> dict[str, str]:
    """Return the tags by which MLflow shows the user, the command and, with git, the commit of a run."""
    tags = {
        "mlflow.source.name": _command(),
        "mlflow.source.type": "JOB" if _RAY_JOB in os.environ else "LOCAL",
    }
    if user := _user():
        tags["mlflow.user"] = user
    if commit := git_tags().get(_COMMIT):
        tags["mlflow.source.git.commit"] = commit
    return tags


def handed_on() -> dict[str, str]:
    """Return the variables that tell a submitted job where it comes from."""
    known = git_tags() | {"mlflow.user": _user()}
    return {name: known[tag] for name, tag in _HANDED_ON.items() if known.get(tag)}


def _user() -> str:
    """Return the name of the user; empty for one that the system has no name for, as in some containers."""
    try:
        return os.environ.get("RAYGENEX_USER") or getpass.getuser()
    except (KeyError, OSError):
        return ""


def _command() -> str:
    program = Path(sys.argv[0])
    if program.name not in ("raygenex", "__main__.py"):
        return program.name or "python"
    return shlex.join(["raygenex", *sys.argv[1:]])


def git_tags(package: Path = _PACKAGE) -> dict[str, str]:
    """Return the commit of the code, or of the working directory's repository, as tags; none without git.

    The package's own repository counts if the package is tracked there; an installed package is not, and then the
    repository of the working directory, where configurations are kept, is what there is. A job that was submitted has
    what the machine that submitted it found.

    Returns
    -------
    ``raygenex.git_commit``, with ``-dirty`` behind it if tracked files have changes, and ``raygenex.git_repository``,
    the name of the repository's folder; or nothing.
    """
    told = {tag: os.environ[name] for name, tag in _HANDED_ON.items() if tag != "mlflow.user" and name in os.environ}
    if told:
        return told
    init = package / "__init__.py"
    folder = package if _git(package, "ls-files", "--error-unmatch", str(init)) is not None else Path.cwd()
    commit, top = _git(folder, "rev-parse", "HEAD"), _git(folder, "rev-parse", "--show-toplevel")
    if commit is None or top is None:
        return {}
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {_COMMIT: commit + ("-dirty" if changes else ""), _REPOSITORY: Path(top).name}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where there is no git, no repository or no commit."""
    try:
        # Without locks, so that looking never gets in the way of someone's commit.
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
