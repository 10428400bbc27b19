"""A training that has begun, and how its epochs are shown and kept."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from raygenex.config.run import RunConfig
from raygenex.data.opening import SplitData
from raygenex.files.json_file import load_json
from raygenex.files.whole import replace_text
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker
from raygenex.train.checkpoint import CheckpointInfo, package_versions
from raygenex.train.inputs import Inputs
from raygenex.train.stopping import ENDED, SCORE

logger = logging.getLogger(__name__)

LOSSES = ("train_loss", "valid_loss")
UNTRACKED = "untracked.json"
"""The numbers of a training whose checkpoint is in place, until MLflow has them all."""


@dataclass(frozen=True)
class Training:
    """What is trained on what, in which folder."""

    config: RunConfig
    inputs: Inputs
    folder: Path

    def new_info(self) -> CheckpointInfo:
        """Return the description of a model of this training, to be completed when it is fitted."""
        return CheckpointInfo(
            config=self.config.dump(),
            config_hash=self.config.hash(),
            inputs=self.inputs.info,
            feature_range=self.inputs.feature_range,
            backbone_sha256=self.inputs.backbone_sha256,
            targets=self.inputs.targets,
            fingerprints=self.inputs.fingerprints,
            versions=package_versions(),
        )


@dataclass(frozen=True)
class TrackedTraining(Training):
    """A training, and the MLflow run that records it."""

    splits: dict[str, SplitData]
    tracker: Tracker
    run_id: str
    outbox: Outbox
    """Takes what goes to MLflow, so that no epoch waits for it."""
    series: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    """All numbers of this training, by MLflow run and step."""

    def epoch_shower(self, advance: Callable[[int, str], None]) -> Callable[[dict[str, float]], None]:
        """Return what an epoch's numbers are given to: the log, the progress bar and MLflow."""

        def show(metrics: dict[str, float]) -> None:
            logger.info("epoch %d: %s", int(metrics["epoch"]), describe(metrics))
            advance(1, shown_score(metrics))
            self.log(self.run_id, int(metrics["epoch"]), epoch_numbers(metrics), metrics.get(ENDED))

        return show

    def tree_shower(self, advance: Callable[[int, str], None]) -> Callable[[dict[str, float]], None]:
        """Return what the numbers of some trees, not all, are given to: the log and the progress bar."""
        shown = 0

        def show(metrics: dict[str, float]) -> None:
            nonlocal shown
            trees = int(metrics["epoch"]) + 1
            logger.info("%d trees: %s", trees, describe(metrics))
            advance(trees - shown, shown_score(metrics))
            shown = trees

        return show

    def log(self, run_id: str, step: int, numbers: dict[str, float], ended: float | None = None) -> None:
        """Remember numbers of one step, and let the outbox log them at the time they were ``ended``, or now."""
        self._remember(run_id, step, numbers)
        measured_ms = int(1000 * (ended or time.time()))
        self.outbox.add(lambda: self.tracker.log_series(run_id, {step: numbers}, measured_ms), f"epoch {step}")

    def remember_epochs(self, history: list[dict[str, float]]) -> None:
        """Remember the epochs of a checkpoint, some of which another process may have trained."""
        for metrics in history:
            self._remember(self.run_id, int(metrics["epoch"]), epoch_numbers(metrics))

    def remember(self, steps: dict[int, dict[str, float]]) -> None:
        """Remember other numbers of the training's own run, by step."""
        for step, numbers in steps.items():
            self._remember(self.run_id, step, numbers)

    def _remember(self, run_id: str, step: int, numbers: dict[str, float]) -> None:
        self.series.setdefault(run_id, {}).setdefault(step, {}).update(numbers)

    def complete_series(self) -> None:
        """Log the numbers that MLflow lacks, since a driver or a server was away; end the runs of finished stages."""
        for run_id, steps in self.series.items():
            if not self.tracker.exists(run_id):
                continue
            names = sorted({name for numbers in steps.values() for name in numbers})
            logged = {name: self.tracker.logged_steps(run_id, name) for name in names}
            missing = {
                step: {name: value for name, value in numbers.items() if step not in logged[name]}
                for step, numbers in steps.items()
            }
            self.tracker.log_series(run_id, missing)
            if run_id != self.run_id:
                self.tracker.end(run_id, "FINISHED")

    def save_series(self) -> None:
        """Keep all numbers in the run's folder, for a process that has to complete MLflow."""
        replace_text(self.folder / UNTRACKED, json.dumps(self.series) + "\n")

    def load_series(self) -> None:
        """Remember the numbers that an earlier process kept."""
        kept = load_json(self.folder / UNTRACKED)
        for run_id, steps in kept.items():
            for step, numbers in steps.items():
                self._remember(run_id, int(step), numbers)


def shown_score(metrics: dict[str, float]) -> str:
    """Return the number that chooses the epoch as text."""
    what = "valid AUROC" if SCORE not in metrics else "valid score"
    return f"{what} {metrics.get(SCORE, metrics.get('valid_auroc', math.nan)):.4f}"


SHOWN_TARGETS = 4
"""Targets that are told one by one."""


def describe(metrics: dict[str, float]) -> str:
    """Return an epoch's numbers as text; of many targets, their range."""
    numbers = _measured(metrics)
    each = [name for name in numbers if name not in (*LOSSES, SCORE)]
    shown = {name: value for name, value in numbers.items() if len(each) <= SHOWN_TARGETS or name not in each}
    text = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
    if len(each) <= SHOWN_TARGETS:
        return text
    values = [numbers[name] for name in each]
    return f"{text}  of {len(each)} targets {min(values):.4f} to {max(values):.4f}"


def epoch_numbers(metrics: dict[str, float]) -> dict[str, float]:
    """Give an epoch's numbers names of their own: ``valid_auroc`` is what `evaluate` measures."""
    return {f"epoch_{name}": value for name, value in _measured(metrics).items()}


def _measured(metrics: dict[str, float]) -> dict[str, float]:
    """Return what was measured of an epoch: its losses, then what else valid gave."""
    losses = {name: metrics[name] for name in LOSSES}
    return losses | {name: value for name, value in metrics.items() if name.startswith("valid_")}
