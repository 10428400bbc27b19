"""SIGTERM and SIGHUP interrupt a command, whatever Ray installs meanwhile, and its exit code says which it was."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from raygenex.cli import main, options
from raygenex.terminal import signals

COMMAND = """
import sys, time
from raygenex.cli import main, options
def wait(path, overrides):
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        CLEANING
        print("cleaned", flush=True)
options.load_config = wait
sys.argv = ["raygenex", "config", "show", "a.yaml"]
main.main()
"""
AT_ONCE = COMMAND.replace("CLEANING", "pass")
SLOWLY = COMMAND.replace("CLEANING", 'print("cleaning", flush=True); sys.stdin.readline()')


@pytest.fixture(autouse=True)
def as_in_a_terminal():
    """Whoever runs the tests with ``nohup`` or in the background of a script ignores two of the signals."""
    before = {
        # A command that a signal ended keeps its handler.
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_DFL),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def ready(code):
    """Run code in a process of its own that has said it is ready."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], **pipes, text=True) as process:
        assert process.stderr.readline() == "ready\n"
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_cleans_up_says_one_sentence_and_exits_as_shells_expect(number):
    with ready(AT_ONCE) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert out == ""
    assert err.splitlines()[0] == "cleaned"
    assert err.endswith("interrupted: run the same command again to go on from here\n")
    assert "Traceback" not in err


def test_nohup_outlives_the_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.end_as_interrupted() as ending:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
            assert ending.exit_code == 130
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_ignored_interrupt_does_not_swallow_sigterm():
    """As in what a script starts in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), signals.end_as_interrupted() as ending:
            signal.raise_signal(signal.SIGTERM)
        assert ending.exit_code == 143
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_the_interrupt_is_asked_to_end_its_work_first():
    asked = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        with pytest.raises(KeyboardInterrupt), signals.end_as_interrupted():
            signal.raise_signal(signal.SIGTERM)
        assert asked == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_ray_installs_does_not_stay():
    with signals.end_as_interrupted():
        ours = signal.getsignal(signal.SIGTERM)
        with signals.kept():
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
            # From the first moment: Ray takes seconds to start.
            assert signal.getsignal(signal.SIGTERM) is ours
            before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
            signal.signal(signal.SIGUSR1, before)
        assert signal.getsignal(signal.SIGTERM) is ours
    assert signal.getsignal(signal.SIGTERM) is not ours


def test_a_handler_that_python_does_not_know_of_does_not_stay():
    """Ray's core installs one of its own, behind Python's back, which ends the process at once."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    with signals.end_as_interrupted() as ending:
        with signals.kept():
            libc.signal(signal.SIGTERM, int(signal.SIG_IGN))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert ending.exit_code == 143


def test_a_closed_terminal_is_not_written_to():
    """Without a terminal every write would fail, and with it the clean end."""
    controller, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", AT_ONCE], stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as process:
        os.close(terminal)
        assert os.read(controller, 100).startswith(b"ready")
        os.close(controller)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=300) == 128 + signal.SIGHUP


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGHUP, signal.SIGTERM),
    ],
)
def test_a_second_signal_does_not_interrupt_the_clean_end(first, second):
    with ready(SLOWLY) as process:
        process.send_signal(first)
        assert process.stderr.readline() == "cleaning\n"
        process.send_signal(second)
        _, err = process.communicate("\n", timeout=300)
    assert process.returncode == 128 + first
    assert err == "cleaned\ninterrupted: run the same command again to go on from here\n"


def test_after_the_grace_one_more_interrupts_and_the_first_decides_the_exit_code(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with signals.end_as_interrupted() as ending:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        now = signals.GRACE_S - 0.1
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        now = signals.GRACE_S
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert ending.exit_code == 143


def test_a_handler_that_leaves_by_a_code_of_its_own_does_not_decide_it():
    before = signal.signal(signal.SIGINT, lambda number, frame: sys.exit(0))
    try:
        with pytest.raises(KeyboardInterrupt), signals.end_as_interrupted():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_outside_of_the_verbs_is_one_sentence_too(monkeypatch, capsys):
    monkeypatch.setattr(main, "app", lambda **options: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as info:
        main.main()
    assert info.value.code == 143
    assert capsys.readouterr().err == f"{options.Session.interrupted}\n"


def test_a_command_runs_in_any_thread(monkeypatch):
    done = []
    monkeypatch.setattr(main, "app", lambda **options: done.append(signal.getsignal(signal.SIGTERM)))
    thread = threading.Thread(target=main.main)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]
