"""The way an epoch's numbers take from workers to the driver, which prints them and logs them to MLflow."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import ray
import ray.train
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raygenex.cluster.repeated import repeated

logger = logging.getLogger(__name__)

POLL_S = 0.5


class EpochLog:
    """A mailbox for finished epochs, run as an actor; it lives as long as the driver."""

    def __init__(self) -> None:
        self._pending: list[dict[str, float]] = []

    def put(self, metrics: dict[str, float]) -> None:
        """Add the numbers of an epoch."""
        self._pending.append(metrics)

    def take(self) -> list[dict[str, float]]:
        """Return and forget what arrived since the last call."""
        taken, self._pending = self._pending, []
        return taken


def open_epoch_log() -> Any:
    """Start a mailbox on this node, so that it lives as long as the driver, and return its actor handle."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(EpochLog).remote()


class ReportToLog(ray.train.UserCallback):
    """Send rank 0's metrics of every report from Ray Train's controller to the mailbox."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """Forward one report, and how many workers made it."""
        self._log.put.remote(metrics[0] | {"workers": len(metrics)})

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Forward the ranks that failed, so that the driver can say so."""
        self._log.put.remote({"failed_ranks": sorted(worker_exceptions)})


@contextlib.contextmanager
def follow(log: Any, on_epoch: Callable[[dict[str, float]], None]) -> Iterator[None]:
    """Call ``on_epoch`` in a thread for every epoch that arrives in ``log``, and for the rest on leaving.

    An epoch that a restarted worker repeats is passed on once. A failing ``on_epoch`` is logged and does not stop the
    training.
    """
    seen: set[int] = set()
    workers = 0

    def show_workers(count: int) -> None:
        nonlocal workers
        if workers and count != workers:
            logger.warning("training goes on with %d worker%s", count, "s" if count != 1 else "")
        workers = count

    def deliver() -> None:
        for metrics in ray.get(log.take.remote()):
            if "failed_ranks" in metrics:
                logger.warning("worker %s failed; going on from the last checkpoint", metrics["failed_ranks"])
            elif int(metrics["epoch"]) not in seen:
                seen.add(int(metrics["epoch"]))
                show_workers(int(metrics.pop("workers", 1)))
                on_epoch(metrics)

    def try_to_deliver() -> None:
        try:
            deliver()
        except Exception as error:  # noqa: BLE001
            # Whatever happens here, the training is worth more; its history is logged at the end.
            logger.warning("an epoch could not be shown (%s); training goes on", error)

    try:
        with repeated(try_to_deliver, POLL_S, "epoch-log"):
            yield
    finally:
        try_to_deliver()
