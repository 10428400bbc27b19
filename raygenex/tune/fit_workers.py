"""The training of a trial by several workers of Ray Train."""

import json
import logging
import queue
import threading
from pathlib import Path
from typing import Any

import torch

from raygenex.config.run import RunConfig
from raygenex.files.json_file import load_json
from raygenex.files.whole import replace_text
from raygenex.models.base import ExpressionModel
from raygenex.train.checkpoint import WEIGHTS, load_weights, new_model, read_info
from raygenex.train.epoch_log import follow, open_epoch_log
from raygenex.train.inputs import start_backbone
from raygenex.train.network.driver import network_trainer
from raygenex.train.ray_train import fit_until_done
from raygenex.train.stopping import SCORE, Progress
from raygenex.train.targets import score_names
from raygenex.train.training import LOSSES, Training
from raygenex.tune.fit import EpochFit
from raygenex.tune.shared import Shared, start_folder

logger = logging.getLogger(__name__)

STOP = "stop"
"""File in a trial's folder that lets its workers stop after the epoch that they are in."""
RUNNING = "running"
"""File in a trial's folder while its workers run."""


class NestedFit(EpochFit):
    """A network that several workers of Ray Train train, below this process."""

    def __init__(self, shared: Shared, config: RunConfig, folder: Path) -> None:
        super().__init__(config, folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._stop, self._running = folder / STOP, folder / RUNNING
        self._stop.unlink(missing_ok=True)
        self._history = _History(folder / "history.json")
        self._progress = Progress(
            self._history.entries,
            config.train.patience,
            config.train.epochs,
            SCORE if config.targets else "valid_auroc",
        )
        start = start_folder(shared, config, torch.device("cpu"))
        self._training = Training(config, shared.inputs, folder)
        scores = [*(f"valid_{name}" for name in score_names(shared.inputs.targets)), SCORE]
        self._names = ("epoch", *LOSSES, *(scores if config.targets else ["valid_auroc"]))
        """Numbers of an epoch, in its history."""
        self._arrived: queue.Queue[dict[str, float] | BaseException | None] = queue.Queue()
        self._result: Any = None
        backbone = start_backbone(config.online, shared.folder)
        settings = (start and str(start), backbone and str(backbone))
        self._thread = threading.Thread(target=self._run, args=settings, daemon=True)
        self._thread.start()

    def step(self) -> dict[str, float]:
        """Return the numbers of the next epoch, and end the workers' thread with the last."""
        metrics = super().step()
        if self.ended:
            self._join()
        return metrics

    def _advance(self) -> None:
        """Wait for the workers to end an epoch."""
        known = self._history.entries
        item = self._arrived.get()
        if isinstance(item, BaseException):
            raise item
        if item is None or int(item["epoch"]) > len(known):
            # Ray Train kept epochs that an earlier process did not live to see.
            self._history.extend(_kept_history(self._folder))
        if item is not None and int(item["epoch"]) == len(known):
            self._history.extend([*known, {name: item[name] for name in self._names}])
        assert item is not None or len(known) > self._reported, "training ended before its last epoch"

    def model(self) -> ExpressionModel:
        """Return the network of the best epoch."""
        model = new_model(self._config, self._training.new_info())
        with self._result.checkpoint.as_directory() as folder:
            load_weights(model, Path(folder, WEIGHTS))
        return model

    def close(self) -> None:
        """Let the workers stop after the epoch that they are in, so that nothing of them is left on the cluster."""
        self._stop.touch()
        self._thread.join()
        while not self._arrived.empty():
            if isinstance(error := self._arrived.get(), BaseException):
                logger.warning("a training that was to stop failed: %s", error)

    def _join(self) -> None:
        self._thread.join()
        while not self._arrived.empty():
            if isinstance(error := self._arrived.get(), BaseException):
                raise error

    def _run(self, start: str | None, backbone: str | None) -> None:
        self._running.touch()
        try:
            log = open_epoch_log()
            trainer = network_trainer(self._training, start, backbone, log, str(self._stop))
            with follow(log, self._arrived.put):
                self._result = fit_until_done(trainer)
        except BaseException as error:  # noqa: BLE001
            # Raised again in the thread that asks for epochs.
            self._arrived.put(error)
        else:
            self._arrived.put(None)
        finally:
            self._running.unlink(missing_ok=True)


def _kept_history(folder: Path) -> list[dict[str, float]]:
    """Return the numbers of all epochs up to the last checkpoint that Ray Train kept."""
    paths = sorted(folder.glob("ray_train/**/epoch_*/checkpoint.json"), key=lambda path: path.parent.name)
    return read_info(paths[-1].parent).history if paths else []


class _History:
    """Numbers of all epochs, in a file, since Ray Train tells each process of the new ones alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[dict[str, float]] = load_json(path) if path.exists() else []

    def extend(self, history: list[dict[str, float]]) -> None:
        """Add the epochs that are new, in place."""
        self.entries.extend(history[len(self.entries) :])
        replace_text(self._path, json.dumps(self.entries))
