"""What the driver does when Ray Tune tells it of a trial: write it down, track it, and say how far the study is."""

import heapq
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.exceptions import RayActorError

from raygenex.cluster.connect import find_cause
from raygenex.config.tune import TuneConfig
from raygenex.errors import first_line
from raygenex.terminal.progress import duration
from raygenex.tune.fit_workers import RUNNING, STOP
from raygenex.tune.mlflow_runs import StudyTrack
from raygenex.tune.ray_private import OutOfMemory, trial_error
from raygenex.tune.records import Ledger, TrialRecord
from raygenex.tune.search import ENDED, EPOCHS, FAILED

logger = logging.getLogger(__name__)

# An epoch may be long; a training that hangs is left to Ray Tune.
STOP_S = 1800.0


class StudyCallback(tune.Callback):
    """Keeps the ledger of a study while Ray Tune runs it."""

    def __init__(
        self,
        ledger: Ledger,
        track: StudyTrack,
        options: TuneConfig,
        advance: Callable[[int, str], None],
        title: str = "valid AUROC",
    ) -> None:
        self._metric = options.metric
        self._title = title
        self._ledger = ledger
        self._track = track
        self._trials = options.trials
        self._parallel = options.parallel
        self._max_failures = options.max_failures
        self._advance = advance
        self._free = [time.monotonic()] * options.parallel
        """Since when the places of trials have been free."""
        self._began: dict[int, float] = {}
        self._earlier_s: dict[int, float] = {}
        """Seconds of trials in earlier processes."""
        self._seconds: list[float] = []
        self._results: dict[int, dict[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything out: Ray Tune wants to write callbacks to its restore points, which nobody reads."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write down a trial that begins, or begins again after its process or node was lost."""
        number = trial.config["number"]
        if number in self._began:
            self._lose(self._ledger.records[number])
            return
        known = self._ledger.records.get(number)
        self._earlier_s[number] = known.wall_s if known else 0.0
        self._began[number] = heapq.heappop(self._free) if self._free else time.monotonic()
        record = known or TrialRecord(number=number, params=trial.config["params"])
        self._ledger.keep(record)
        self._track.begin(record)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write down an epoch; one that was written down before comes again after a loss, with the same numbers."""
        record = self._ledger.records[trial.config["number"]]
        self._results[record.number] = result
        record.training_s += result["training_s"]
        if result[FAILED]:
            return
        metrics = result["metrics"]
        if len(record.history) < result[EPOCHS]:
            record.history.append(metrics)
            self._track.epoch(record, metrics)
        record.values = {self._metric: max(entry[self._metric] for entry in record.history)}
        record.wall_s = self._wall_s(record.number)
        self._ledger.keep(record)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write down why a trial is over."""
        record = self._ledger.records[trial.config["number"]]
        result = self._results[record.number]
        if result[FAILED]:
            record.state, record.reason = "failed", result[FAILED]
        elif result[ENDED]:
            record.state, record.reason = "finished", result[ENDED]
            judged = ("latency_ms", "size_mb")
            record.values |= {name: result[name] for name in judged if not math.isnan(result.get(name, math.nan))}
        else:
            # An earlier process may have trained it further than ASHA lets it come now.
            record.history = record.history[: result[EPOCHS]]
            record.values = {self._metric: max(entry[self._metric] for entry in record.history)}
            self._stop_workers(record)
            record.state, record.reason = "stopped", f"poorer than others after {_plural(len(record.history), 'epoch')}"
        self._close(record)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write down a trial that Ray Tune gave up, unless it may come again."""
        number = trial.config["number"]
        record = self._ledger.records.get(number) or TrialRecord(number=number, params=trial.config["params"])
        self._began.setdefault(number, time.monotonic())
        if isinstance(trial_error(trial), RayActorError) and record.lost < self._max_failures:
            self._lose(record)
            heapq.heappush(self._free, time.monotonic())
            return
        record.state = "failed"
        record.reason = _why(trial, record.lost + 1)
        self._close(record)

    def _lose(self, record: TrialRecord) -> None:
        record.lost += 1
        logger.warning("trial %d lost its process or its node; it begins again", record.number)
        self._ledger.keep(record)

    def _stop_workers(self, record: TrialRecord) -> None:
        """Let the workers of a stopped trial end their epoch, and wait for it: killed ones would keep their places."""
        folder = self._ledger.trial_folder(record.number)
        if not (folder / RUNNING).exists():
            return
        (folder / STOP).touch()
        deadline = time.monotonic() + STOP_S
        while (folder / RUNNING).exists() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _close(self, record: TrialRecord) -> None:
        now = time.monotonic()
        record.wall_s = self._wall_s(record.number)
        heapq.heappush(self._free, now)
        self._ledger.keep(record)
        scored = self._ledger.scored
        best = max(scored, key=lambda other: other.score) if scored else None
        self._track.end(record, best)
        self._seconds.append(record.wall_s)
        done = len(self._ledger.ended)
        left = self._left(done)
        best_note = f"best {best.score:.4f} (trial {best.number})" if best else "none finished yet"
        if record.state == "failed":
            logger.warning("trial %d failed: %s; %d of %d, %s", record.number, record.reason, done, self._trials, left)
        else:
            logger.info(
                "trial %d: %s %.4f, %s; %s; %d of %d, %s",
                record.number,
                self._title,
                record.score,
                record.reason,
                best_note,
                done,
                self._trials,
                left,
            )
        self._advance(1, best_note)

    def _wall_s(self, number: int) -> float:
        return self._earlier_s.get(number, 0.0) + time.monotonic() - self._began[number]

    def _left(self, done: int) -> str:
        todo = self._trials - done
        if todo <= 0:
            return "the search is done"
        seconds = sum(self._seconds) / len(self._seconds) * math.ceil(todo / self._parallel)
        return f"about {duration(seconds)} left"


def _why(trial: Any, losses: int) -> str:
    """Say why Ray Tune gave a trial up, from the error that it wrote down."""
    error = trial_error(trial)
    if error is None:
        return "Ray Tune gave it up"
    if isinstance(error, OutOfMemory):
        return f"its process was ended {_times(losses)} because its node had no memory left: lower tune.parallel"
    if isinstance(error, RayActorError):
        return f"its process or its node was lost {_times(losses)}, perhaps for want of memory"
    cause = find_cause(error)
    if cause:
        return first_line(cause)
    origin = getattr(error, "cause", error)
    return first_line(origin, named=True)


def _plural(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
