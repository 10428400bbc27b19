"""Fuzzing: how many examples, and what a reader may answer to anything at all."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from raygenex.errors import RaygenexError

LONG = int(os.environ.get("RAYGENEX_FUZZ", "0"))
"""Examples of every property; 0 for the few of `make test`."""

LONGEST = 1500
"""Letters that a sentence may have."""


def examples(few: int = 40) -> settings:
    """Return the settings of a property: a few examples, the same every time, or ``RAYGENEX_FUZZ`` other ones."""
    return settings(
        max_examples=LONG or few,
        derandomize=not LONG,
        deadline=None,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def answer(call: Callable[[], Any], *names: Any) -> Any:
    """Return what a call gives, or its error: a sentence of one line that says ``names``. Nothing else may be raised."""
    try:
        return call()
    except RaygenexError as error:
        text = str(error)
        assert text.strip(), "an empty sentence"
        assert text.isprintable(), f"not one line of plain text: {text!r}"
        assert len(text) <= LONGEST, f"{len(text)} letters: {text[:200]}"
        assert "Traceback" not in text
        for name in names:
            assert str(name) in text, f"{name} is not in: {text}"
        return error


def within(megabytes: int, code: str, *arguments: Any, seconds: float = 120.0) -> str:
    """Run Python code in a process that may take so much more memory than its imports, and return what it prints.

    The code finds ``limit()`` to be called after its imports, `answer`, ``alarm(seconds)``, which ends it by a signal if
    it is not called again in time, and ``sys.argv[1:]``.
    """
    head = f"import sys\nfrom signal import alarm\nfrom toy_fuzz import answer, limit_memory\ndef limit(): limit_memory({megabytes})\n"
    done = subprocess.run(
        [sys.executable, "-c", head + code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=max(seconds, LONG),
        check=False,
    )
    assert done.returncode == 0, f"{_end(done.returncode)}: {done.stdout[-500:]}\n{done.stderr[-3000:]}"
    return done.stdout


def limit_memory(megabytes: int) -> None:
    """Let this process take so much more address space than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _end(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
