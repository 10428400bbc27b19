"""The command line in processes of its own, watched and killed in the middle; only processes below it are touched."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import yaml

from raygenex.config.run import RunConfig

DEADLINE_S = 600


class Command:
    """A running ``raygenex`` whose standard error is kept in a file.

    Parameters
    ----------
    arguments
        What follows ``raygenex``.
    environment
        Variables beside those of this process.
    group
        Whether it is to have a process group of its own.
    """

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None, group: bool = False) -> None:
        self._errors = tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace")  # noqa: SIM115
        with open(self._errors.name, "w", encoding="utf-8") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "raygenex", *arguments],
                stdout=subprocess.DEVNULL,
                stderr=sink,
                env=os.environ | (environment or {}),
                process_group=0 if group else None,
                # Shells let what they start in the background ignore Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self.pid = self._process.pid

    def errors(self) -> str:
        """Return what it has written to standard error so far."""
        return Path(self._errors.name).read_text(encoding="utf-8", errors="replace")

    def code(self) -> int | None:
        """Return its exit code; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """Kill it alone."""
        self._process.kill()

    def kill_all(self) -> None:
        """Kill it, and then all processes that were below it."""
        family = below(self.pid)
        self.kill()
        for member in family:
            end(member)

    def send(self, number: int) -> None:
        """Send it a signal, alone."""
        self._process.send_signal(number)

    def send_group(self, number: int) -> None:
        """Send a signal to all of its process group, of its own."""
        os.killpg(self.pid, number)

    def finish(self, code: int = 0) -> str:
        """Wait for its end with an exit code; return its standard error."""
        self._process.wait(timeout=DEADLINE_S)
        assert self._process.returncode == code, self.errors()
        return self.errors()

    def close(self) -> None:
        """Kill it and all processes below it."""
        for member in below(self.pid):
            end(member)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._errors.close()


@contextmanager
def command(*arguments: str, environment: dict[str, str] | None = None, group: bool = False) -> Iterator[Command]:
    """Run raygenex, and leave no process of it behind."""
    running = Command(*arguments, environment=environment, group=group)
    try:
        yield running
    finally:
        running.close()


def below(pid: int) -> list[psutil.Process]:
    """Return the living descendants of a process."""
    return psutil.Process(pid).children(recursive=True) if psutil.pid_exists(pid) else []


def end(process: psutil.Process) -> None:
    """Kill a process that may have ended."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


def wait_for(what: str, found: Callable[[], object], *commands: Command, seconds: float = DEADLINE_S) -> object:
    """Wait until ``found`` returns something, while all commands run."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := found():
            return result
        for running in commands:
            assert running.code() is None, f"ended before {what}: {running.errors()}"
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {seconds:.0f} s: " + "\n".join(running.errors() for running in commands))


def find_worker(pid: int, title: str) -> psutil.Process | None:
    """Return a Ray worker below a process whose title holds a text."""
    for child in below(pid):
        try:
            if title in " ".join(child.cmdline()):
                return child
        except psutil.NoSuchProcess:
            continue
    return None


def write(config: RunConfig, folder: Path) -> str:
    """Write a configuration to a file, and return its path."""
    path = folder / f"{config.name}.yaml"
    path.write_text(yaml.safe_dump(config.dump()), encoding="utf-8")
    return str(path)


def last_epoch(config: RunConfig) -> int:
    """Return the last epoch whose checkpoint is on disk; -1 if there is none."""
    names = sorted(path.parent.name for path in Path(config.folder, "ray_train").glob("epoch_*/checkpoint.json"))
    return int(names[-1].removeprefix("epoch_")) if names else -1


def train_through_kills(config: RunConfig, path: str, epoch: int, more: int) -> str:
    """Train, kill a worker after an epoch, and the driver some epochs later; return the errors of the resumed run."""
    with command("train", path) as process:
        wait_for(f"epoch {epoch}", lambda: last_epoch(config) >= epoch, process)
        worker = find_worker(process.pid, "RayTrainWorker")
        assert worker is not None
        worker.kill()
        reached = last_epoch(config)
        wait_for("epochs after the worker's death", lambda: last_epoch(config) >= reached + more, process)
        assert last_epoch(config) < config.train.epochs - 1, "the run ended before the driver could be killed"
        process.kill_all()
    with command("train", path) as process:
        return process.finish()
