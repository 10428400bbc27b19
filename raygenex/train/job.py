"""A training that has begun, and how its epochs are shown and kept."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raygenex.config import RunConfig
from raygenex.data.opening import SplitData
from raygenex.tracking import Tracker
from raygenex.train.checkpoint import CheckpointInfo, package_versions
from raygenex.train.inputs import Inputs

logger = logging.getLogger(__name__)

EPOCH_METRICS = ("train_loss", "valid_loss", "valid_auroc")


@dataclass(frozen=True)
class Job:
    """What is trained on what, in which folder, and the MLflow run that records it."""

    config: RunConfig
    inputs: Inputs
    splits: dict[str, SplitData]
    tracker: Tracker
    run_id: str
    folder: Path

    def new_info(self) -> CheckpointInfo:
        """Return the description of a model of this training, to be completed when it is fitted."""
        return CheckpointInfo(
            config=self.config.dump(),
            config_hash=self.config.hash(),
            inputs=self.inputs.info,
            backbone_sha256=self.inputs.backbone_sha256,
            fingerprints=self.inputs.fingerprints,
            versions=package_versions(),
        )

    def epoch_shower(self, advance: Callable[[int, str], None]) -> Callable[[dict[str, float]], None]:
        """Return what an epoch's numbers are given to: the log, the progress bar and MLflow."""

        def show(metrics: dict[str, float]) -> None:
            logger.info("epoch %d: %s", int(metrics["epoch"]), describe(metrics))
            advance(1, f"valid AUROC {metrics['valid_auroc']:.4f}")
            self.tracker.log_metrics(self.run_id, epoch_numbers(metrics), int(metrics["epoch"]))

        return show

    def tree_shower(self, advance: Callable[[int, str], None]) -> Callable[[dict[str, float]], None]:
        """Return what the numbers of some trees, not all, are given to: the log and the progress bar."""
        shown = 0

        def show(metrics: dict[str, float]) -> None:
            nonlocal shown
            trees = int(metrics["epoch"]) + 1
            logger.info("%d trees: %s", trees, describe(metrics))
            advance(trees - shown, f"valid AUROC {metrics['valid_auroc']:.4f}")
            shown = trees

        return show

    def complete_series(self, history: list[dict[str, float]]) -> None:
        """Log the epochs that MLflow lacks, since a driver or a server was away when they ended."""
        logged = self.tracker.logged_steps(self.run_id, f"epoch_{EPOCH_METRICS[0]}")
        missing = {int(metrics["epoch"]): epoch_numbers(metrics) for metrics in history}
        self.tracker.log_series(self.run_id, {step: missing[step] for step in missing if step not in logged})


def describe(metrics: dict[str, float]) -> str:
    """Return an epoch's numbers as text."""
    return "  ".join(f"{name} {metrics[name]:.4f}" for name in EPOCH_METRICS)


def epoch_numbers(metrics: dict[str, float]) -> dict[str, float]:
    """Give an epoch's numbers names of their own: ``valid_auroc`` is what `evaluate` measures."""
    return {f"epoch_{name}": metrics[name] for name in EPOCH_METRICS}
