"""Environments of the peers: virtual environments on top of this interpreter's packages, torch among them."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
LINK = "import site; site.addsitedir({folder!r})\n"


def make(folder: Path, packages: tuple[str, ...], constrained: bool) -> tuple[str, dict[str, str]]:
    """Make an environment, or complete the one that is there.

    Parameters
    ----------
    folder
        Where it is.
    packages
        What is installed, one after another, so that one that fails keeps none of the others away.
    constrained
        Whether versions are those of constraints.txt; otherwise that of torch alone is, so that no other build of it
        comes.

    Returns
    -------
    Its interpreter, and why packages are not installed, by name.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    inside = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    # Not --system-site-packages, which are those of the interpreter that a virtual environment was made of.
    Path(inside.stdout.strip(), "below.pth").write_text(LINK.format(folder=sysconfig.get_path("purelib")))
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pinned = ["-c", str(CONSTRAINTS)] if constrained else [line for line in lines if line.startswith("torch==")]
    why_not = {}
    for package in packages:
        shown = subprocess.run([str(python), "-m", "pip", "show", "-q", package], capture_output=True)
        if shown.returncode == 0:
            continue
        print(f"installing {package} into {folder}", file=sys.stderr, flush=True)
        # Wheels alone: what has to be compiled asks for a compiler, and often for a network beside the package index.
        command = [str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:", package, *pinned]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PIP_NO_INPUT": "1"})
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = (errors or done.stderr.splitlines() or ["no message"])[0].removeprefix("ERROR: ")
            # Its middle may be a list of every version.
            why_not[package] = reason if len(reason) < 120 else f"{reason[:40]} ... {reason[-75:]}"
    return str(python), why_not
