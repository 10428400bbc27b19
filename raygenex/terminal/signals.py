"""SIGTERM and SIGHUP end a command as Ctrl-C does: what runs is stopped, MLflow is told, and one sentence is said.

The clean end itself is not interrupted: what comes within `GRACE_S` of a signal is taken for the same wish.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

INTERRUPTED = 128 + signal.SIGINT
"""The exit code of a command that was interrupted by Ctrl-C."""
GRACE_S = 10.0
"""Seconds for a clean end, in which no other signal interrupts; one that comes later does."""
_STANDARD = (0, 1, 2)
_ENDING = (signal.SIGTERM, signal.SIGHUP)


@dataclass
class Ending:
    """How the running command ends."""

    by: int | None = None
    """The first signal that ended it; None before one did."""

    @property
    def exit_code(self) -> int:
        """The exit code of a command that was interrupted, as shells number them."""
        return INTERRUPTED if self.by is None else 128 + self.by


@contextmanager
def end_as_interrupted() -> Iterator[Ending]:
    """Let SIGTERM and SIGHUP, unless ignored, interrupt what the block does, and Ctrl-C not twice at once.

    Outside the main thread, which alone is told of signals, nothing changes.
    """
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    terminals = [number for number in _STANDARD if _is_terminal(number)]
    last: float | None = None
    by_default = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if number == signal.SIGHUP:
            # Nobody reads a closed terminal, and writing to it would fail in the middle of whatever is to be ended.
            _silence(terminals)
        now = time.monotonic()
        if last is not None and now - last < GRACE_S:
            return
        last = now
        if ending.by is None:
            ending.by = number
        if number == signal.SIGINT:
            assert callable(by_default), "or this would not be its handler"
            by_default(number, frame)
            return
        # Ray Train ends its workers when it is interrupted, by a handler of its own, which may leave by a code of its.
        handler = signal.getsignal(signal.SIGINT)
        if handler is interrupt:
            handler = by_default
        if callable(handler):
            with suppress(SystemExit):
                handler(signal.SIGINT, frame)
        raise KeyboardInterrupt

    # `nohup` ignores SIGHUP, so that work outlives the terminal; a script, SIGINT in what it starts beside itself.
    numbers = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    numbers += [signal.SIGINT] if callable(by_default) else []
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            # A closed terminal may send its signal twice: the second must not take the exit code from an ended command.
            if ending.by is None or number not in _ENDING:
                signal.signal(number, handler)


@contextmanager
def kept() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, if it has one, in a block that installs its own, as Ray's start does.

    To put it back afterwards is too late: a signal meanwhile, in seconds, ended the command without a word. It is
    needed as well: the process has one that Python does not know of once Ray's core has started.
    """
    install = signal.signal
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def install_others(number: int, other: Any) -> Any:
        return install(number, handler if number == signal.SIGTERM else other)

    signal.signal = install_others  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = install
        install(signal.SIGTERM, handler)


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        # It was closed before the command began.
        return False


def _silence(numbers: list[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        os.dup2(nothing, number)
    os.close(nothing)
