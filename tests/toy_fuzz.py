"""Fuzzing: how many examples, and what a reader may answer to anything at all."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from raygenex.errors import LONGEST, RaygenexError

LONG = int(os.environ.get("RAYGENEX_FUZZ", "0"))
"""Examples of every property; 0 for the few of `make test`."""


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


def odd(longest: int, values: list[Any]) -> st.SearchStrategy[Any]:
    """Draw plain values of any kind: text of at most ``longest`` letters, numbers of any size, and some given ones."""
    numbers = (st.integers(-(2**70), 2**70), st.floats())
    return st.one_of(st.none(), st.booleans(), *numbers, st.text(max_size=longest), st.sampled_from(values))


def answer(call: Callable[[], Any], *names: Any) -> Any:
    """Return what a call gives, or its error, which must be a sentence of one line that says ``names``."""
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


def within(megabytes: int, code: str, *arguments: Any, seconds: float = 600.0) -> str:
    """Run Python code in a process that may take so much more memory than its imports, and return what it prints.

    The code finds ``limit()`` to be called after its imports, `answer`, and ``sys.argv[1:]``.
    """
    head = "import sys\nfrom toy_fuzz import answer, limit_memory\n"
    head += f"def limit(): limit_memory({megabytes})\n"
    done = _python(head + code, arguments, seconds)
    assert done.returncode == 0, f"{_end(done.returncode)}: {done.stdout[-500:]}\n{done.stderr[-3000:]}"
    return done.stdout


def every_seed(megabytes: int, code: str, count: int, library: str, *arguments: Any) -> list[int]:
    """Run ``code``, which defines ``one(seed)``, for so many seeds, and return those that a C library did not survive.

    Whatever ends or stops the process elsewhere than in ``library``, a part of a path, is an error, as is all else that
    `answer` refuses. Memory is limited as by `within`.
    """
    tail = f"""
import faulthandler
from toy_fuzz import limit_memory
limit_memory({megabytes})
faulthandler.enable()
for seed in range(int(sys.argv[-1]), {count}):
    # Told before it happens: a crash leaves the number behind.
    print(seed, flush=True)
    faulthandler.dump_traceback_later(20, exit=True)
    one(seed)
    faulthandler.cancel_dump_traceback_later()
"""
    lost: list[int] = []
    while (first := lost[-1] + 1 if lost else 0) < count:
        head = "import sys\nfrom toy_fuzz import answer\n"
        done = _python(head + code + tail, (*arguments, first), 600.0)
        if done.returncode == 0:
            break
        seed = int(done.stdout.split()[-1])
        innermost = next((line for line in done.stderr.splitlines() if line.lstrip().startswith("File ")), "")
        stopped = "Timeout" in done.stderr or done.returncode < 0
        assert stopped, f"seed {seed}: {done.stderr[-3000:]}"
        assert library in innermost, f"seed {seed}: {done.stderr[:3000]}"
        lost.append(seed)
    return lost


def _python(code: str, arguments: Iterable[Any], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=max(seconds, LONG),
        check=False,
    )


def limit_memory(megabytes: int) -> None:
    """Let this process take so much more address space than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _end(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
