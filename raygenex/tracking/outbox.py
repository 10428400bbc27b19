"""Calls to MLflow that wait in a queue while it is away, so that no work ever waits for them.

The thread is a daemon and the queue can be looked at: a ``ThreadPoolExecutor`` would keep the process from ending while
an abandoned call hangs, and would not say what it still holds.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from raygenex.errors import TrackingAway, TrackingError
from raygenex.terminal.progress import progress

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

FIRST_PAUSE_S = 0.5
# An MLflow that came back is found within this time, and one that is away is not stormed.
LONGEST_PAUSE_S = 10.0
# After an error or Ctrl-C nobody wants to wait for MLflow before reading the message.
HURRIED_S = 10.0
REMIND_S = 60.0
# MLflow retries by itself, for four minutes by default; here the queue retries, and sees sooner that MLflow is back.
_BRIEF_REQUESTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"}


class Clock:
    """The time, and waiting; another one lets tests do without either."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait to be notified, for so many seconds at most."""
        condition.wait(seconds)


class Outbox:
    """A queue of calls to MLflow, made in order by a thread that tries again while MLflow is away.

    Leaving the context waits for what is still in the queue. A call that MLflow refuses, where trying again would not
    help, is dropped with a warning; so is one that fails for another reason than MLflow.

    Parameters
    ----------
    what
        The work whose calls these are, as messages name it.
    patience_s
        Seconds that the end of the work waits for an MLflow that is away.
    remedy
        What the user does if MLflow stays away for longer, as the end of a sentence.
    clock
        The time.

    Raises
    ------
    TrackingError
        On leaving the context without another error, if MLflow stayed away for longer than ``patience_s``.
    """

    def __init__(
        self,
        what: str,
        patience_s: float,
        remedy: str = "run the same command again, it completes them",
        clock: Clock | None = None,
    ) -> None:
        self._what = what
        self._patience_s = patience_s
        self._remedy = remedy
        self._clock = clock or Clock()
        self._queue: deque[tuple[Callable[[], object], str]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._abandoned = False
        self._away: TrackingAway | None = None
        """Why the last call did not reach MLflow; None if it did."""
        self._late: int | None = None
        """Entries that were delivered late, after an outage, until all are; None if none waits because of one."""
        self._stack = contextlib.ExitStack()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._stack.enter_context(_brief_requests())
        self._thread.start()
        return self

    def add(self, call: Callable[[], object], what: str) -> None:
        """Queue a call; never waits, and never raises because of MLflow.

        Parameters
        ----------
        call
            Raises `TrackingAway` if it is to be tried again. It may be made more than once.
        what
            What it brings, as a message names it.
        """
        with self._changed:
            assert not self._closing, "an outbox that is closed takes nothing"
            self._queue.append((call, what))
            self._changed.notify_all()

    def ask(self, call: Callable[[], Answer], what: str) -> Answer:
        """Make a call after those in the queue, and wait for what it returns.

        Raises
        ------
        TrackingError
            If MLflow stays away for longer than ``patience_s``.
        Exception
            What the call raised.
        """
        assert threading.current_thread() is not self._thread, "a call in the queue cannot wait for another"
        answers: list[Answer] = []
        errors: list[Exception] = []
        given_up = False

        def keep() -> None:
            if given_up:
                return
            try:
                answers.append(call())
            except TrackingAway:
                raise
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        self.add(keep, what)
        self._wait(lambda: bool(answers or errors), self._patience_s)
        if errors:
            raise errors[0]
        if not answers:
            given_up = True
            raise TrackingError(f"{self._reason()}, and {what} cannot do without it: try again when it does")
        return answers[0]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Wait for what is still in the queue, and end the thread."""
        with self._stack:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            try:
                if error is None:
                    self._wait(lambda: not self._queue, self._patience_s)
                else:
                    self._wait(lambda: not self._queue, min(self._patience_s, HURRIED_S), hurried=True)
            finally:
                undelivered = self._abandon()
        if not undelivered:
            # It may still have to say that all is delivered.
            self._thread.join()
            return
        lost = (
            f"{self._reason()}, and lacks {_entries(len(undelivered))} of {self._what}, from {undelivered[0]} on: "
            f"{self._remedy}"
        )
        if error is None:
            raise TrackingError(lost)
        logger.warning("%s", lost)

    def _wait(self, done: Callable[[], bool], patience_s: float, hurried: bool = False) -> None:
        """Wait until something is done, or until MLflow was away for so long; ``hurried``, whatever MLflow does."""
        waited, last, reminded = 0.0, self._clock.now(), -REMIND_S
        with contextlib.ExitStack() as stack:
            advance: Callable[[int, str], None] | None = None
            shown = 0
            while True:
                with self._changed:
                    away, waiting = self._away is not None, len(self._queue)
                    now = self._clock.now()
                    if away or hurried:
                        waited += now - last
                    last = now
                    if done() or ((away or hurried) and waited >= patience_s):
                        return
                if away and waited - reminded >= REMIND_S:
                    reminded = waited
                    logger.warning("waiting up to %.0f s for MLflow, %s", patience_s - waited, _entries(waiting))
                if away and advance is None:
                    advance = stack.enter_context(progress("waiting for MLflow (s)", round(patience_s)))
                if advance is not None:
                    advance(int(waited) - shown, _entries(waiting))
                    shown = int(waited)
                with self._changed:
                    if not done():
                        self._clock.wait(self._changed, min(1.0, patience_s - waited) if away or hurried else 1.0)

    def _abandon(self) -> list[str]:
        """Let the thread end after the call that it is making; return what is not delivered."""
        with self._changed:
            self._abandoned = True
            undelivered = [what for _, what in self._queue]
            self._queue.clear()
            self._changed.notify_all()
        return undelivered

    def _reason(self) -> str:
        return str(self._away) if self._away else "MLflow did not answer in time"

    def _work(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            with self._changed:
                while not self._queue and not self._closing and not self._abandoned:
                    self._changed.wait()
                if self._abandoned or not self._queue:
                    return
                call, what = self._queue[0]
            try:
                call()
            except TrackingAway as error:
                self._lost_sight(error)
                self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            except Exception as error:  # noqa: BLE001
                # Refused, or wrong in itself: the same call would fail again, and the next ones may well succeed.
                logger.warning("%s of %s is not in MLflow: %s", what, self._what, error)
            pause = FIRST_PAUSE_S
            self._done()

    def _pause(self, seconds: float) -> None:
        """Wait before the next try, however much is added meanwhile."""
        with self._changed:
            end = self._clock.now() + seconds
            while not self._abandoned and (left := end - self._clock.now()) > 0:
                self._clock.wait(self._changed, left)

    def _lost_sight(self, error: TrackingAway) -> None:
        with self._changed:
            begins = self._late is None
            self._late = self._late or 0
            self._away = error
            waiting = len(self._queue)
            self._changed.notify_all()
        if begins:
            wait = "waits" if waiting == 1 else "wait"
            logger.warning("%s; %s goes on, and %s %s for it", error, self._what, _entries(waiting), wait)

    def _done(self) -> None:
        """Take the first call out of the queue, which was made."""
        with self._changed:
            if self._abandoned:
                return
            self._queue.popleft()
            self._away = None
            late = None if self._late is None else self._late + 1
            caught_up = late is not None and not self._queue
            self._late = None if caught_up else late
            if caught_up:
                # Said while the lock is held: whoever waits for an empty queue then finds the line written.
                logger.warning(
                    "MLflow answers again and has what waited for it: %s of %s", _entries(late or 0), self._what
                )
            self._changed.notify_all()


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


@contextlib.contextmanager
def _brief_requests() -> Iterator[None]:
    """Let MLflow give up soon, unless the user has set how long it tries."""
    unset = [name for name in _BRIEF_REQUESTS if name not in os.environ]
    os.environ.update({name: _BRIEF_REQUESTS[name] for name in unset})
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)
