"""A study in MLflow: the run of the study, and below it one run per trial, written by the driver alone."""

import time
from functools import partial
from typing import Any

from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker, training_params
from raygenex.train.training import epoch_numbers
from raygenex.tune.records import TrialRecord
from raygenex.tune.space import Space

STAGE = "trial"
_ENDS = {"finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "running": "KILLED"}


class StudyTrack:
    """What MLflow gets of trials, below the run ``parent`` of the study; nothing here waits for MLflow."""

    def __init__(self, tracker: Tracker, outbox: Outbox, parent: str, space: Space) -> None:
        self._tracker = tracker
        self._outbox = outbox
        self._parent = parent
        self._space = space
        self._metric = space.config.tune.metric
        self._runs: dict[int, str] = {}

    def adopt(self, records: list[TrialRecord]) -> None:
        """Find the runs of earlier processes, log what they lack, and end those of trials that have ended.

        A trial that goes on keeps its run. Raises a TrackingError if MLflow does not answer.
        """
        ends: dict[int, str] = {}
        for run in self._tracker.children(self._parent, STAGE):
            number = int(run.data.tags["raygenex.trial"])
            if number in self._runs:
                # A process that died, or lost sight of MLflow, while it made the run made it twice.
                self._tracker.end(run.info.run_id, "KILLED")
                continue
            self._runs[number] = run.info.run_id
            ends[number] = run.info.status if run.data.tags.get("raygenex.state") else "RUNNING"
        for record in records:
            if record.ended and ends.get(record.number) == _ENDS[record.state]:
                continue
            self._begin(record)
            run_id = self._runs[record.number]
            logged = self._tracker.logged_steps(run_id, f"epoch_{self._metric}")
            self._epochs(record, [entry for entry in record.history if int(entry["epoch"]) not in logged])
            if record.ended:
                self._end(record)
        self._complete_parent(records)

    def _complete_parent(self, records: list[TrialRecord]) -> None:
        logged = self._tracker.logged_steps(self._parent, f"trial_{self._metric}")
        best, series = float("-inf"), {}
        for record in records:
            if record.scored:
                best = max(best, record.score)
                if record.number not in logged:
                    series[record.number] = self._numbers(record.score, best)
        self._tracker.log_series(self._parent, series)

    def _numbers(self, score: float, best: float) -> dict[str, float]:
        return {f"trial_{self._metric}": score, f"best_{self._metric}": best}

    def begin(self, record: TrialRecord) -> None:
        """Open the run of a trial, or the one that it has already."""
        self._outbox.add(lambda: self._begin(record), f"the run of trial {record.number}")

    def epoch(self, record: TrialRecord, metrics: dict[str, float]) -> None:
        """Log the numbers of an epoch."""
        at = _now_ms()
        what = f"epoch {int(metrics['epoch'])} of trial {record.number}"
        self._outbox.add(lambda: self._epochs(record, [metrics], at), what)

    def end(self, record: TrialRecord, best: TrialRecord | None) -> None:
        """End the run of a trial, and tell the run of the study how far the search is."""
        at = _now_ms()
        self._outbox.add(lambda: self._end(record, at), f"the end of trial {record.number}")
        if best is not None and record.scored:
            numbers = self._numbers(record.score, best.score)
            self._outbox.add(
                lambda: self._tracker.log_series(self._parent, {record.number: numbers}, at),
                f"the score of trial {record.number}",
            )

    def _begin(self, record: TrialRecord) -> None:
        values = self._space.plain(record.params)
        if (run_id := self._runs.get(record.number)) is not None:
            self._tracker.reopen(run_id)
        else:
            tags = {"raygenex.stage": STAGE, "raygenex.trial": str(record.number)}
            name = f"{values['name']}-trial-{record.number:02d}"
            # Known before anything else is logged: a call that is tried again makes no second run.
            run_id = self._runs[record.number] = self._tracker.start(name, {}, tags, self._parent)
        # The settings of the study are in its own run.
        self._tracker.log_params(run_id, training_params(values))

    def _epochs(self, record: TrialRecord, history: list[dict[str, float]], at: int | None = None) -> None:
        series = {int(metrics["epoch"]): epoch_numbers(metrics) for metrics in history}
        self._tracker.log_series(self._runs[record.number], series, at)

    def _end(self, record: TrialRecord, at: int | None = None) -> None:
        run_id = self._runs[record.number]
        self._tracker.tag(run_id, {"raygenex.state": record.state, "raygenex.reason": record.reason})
        numbers: dict[str, Any] = {f"trial_{name}": value for name, value in record.values.items()}
        numbers |= {"trial_epochs": float(len(record.history)), "trial_training_s": record.training_s}
        self._tracker.log_series(run_id, {0: numbers}, at)
        self._tracker.end(run_id, _ENDS[record.state])

    def close(self, records: list[TrialRecord]) -> None:
        """End what is still open as killed, of trials that another process is to finish."""
        for record in records:
            if not record.ended:
                self._outbox.add(partial(self._kill, record.number), f"the end of trial {record.number}")

    def _kill(self, number: int) -> None:
        if (run_id := self._runs.get(number)) is not None:
            self._tracker.end(run_id, "KILLED")


def _now_ms() -> int:
    """Return milliseconds since 1970: a number that is delivered twice with one time is kept once."""
    return int(time.time() * 1000)
