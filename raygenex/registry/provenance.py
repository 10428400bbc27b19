"""The git commit behind a registered model."""

import os
import subprocess
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_SECONDS = 30


def git_tags(package: Path = _PACKAGE) -> dict[str, str]:
    """Return the commit of the code, or of the working directory's repository, as tags; none without git.

    The package's own repository counts if the package is tracked there; an installed package is not, and then the
    repository of the working directory, where configurations are kept, is what there is.

    Returns
    -------
    ``raygenex.git_commit``, with ``-dirty`` behind it if tracked files have changes, and ``raygenex.git_repository``,
    the name of the repository's folder; or nothing.
    """
    init = package / "__init__.py"
    folder = package if _git(package, "ls-files", "--error-unmatch", str(init)) is not None else Path.cwd()
    commit, top = _git(folder, "rev-parse", "HEAD"), _git(folder, "rev-parse", "--show-toplevel")
    if commit is None or top is None:
        return {}
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "raygenex.git_commit": commit + ("-dirty" if changes else ""),
        "raygenex.git_repository": Path(top).name,
    }


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
