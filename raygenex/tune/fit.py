"""The training of a trial under way: what all kinds of it can do, wherever they train."""

from abc import ABC, abstractmethod
from pathlib import Path

from raygenex.config.run import RunConfig
from raygenex.models.base import ExpressionModel
from raygenex.train.stopping import Progress


class Fit(ABC):
    """A training under way."""

    @abstractmethod
    def step(self) -> dict[str, float]:
        """Train on, and return the numbers of the next epoch."""

    @property
    @abstractmethod
    def ended(self) -> str:
        """Why the training is over; empty while it is not."""

    @abstractmethod
    def model(self) -> ExpressionModel:
        """Return the model as it is, on its device."""

    def close(self) -> None:  # noqa: B027
        """End the training, wherever it stands; one that trains in `step` alone has nothing to end."""


class EpochFit(Fit):
    """A training epoch by epoch, of which an earlier process may have left the first in the trial's folder."""

    _progress: Progress
    """All epochs so far, those of earlier processes included."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._reported = 0

    @abstractmethod
    def _advance(self) -> None:
        """Train an epoch, or wait for something to happen."""

    def step(self) -> dict[str, float]:
        """Return the numbers of the next epoch; those of earlier processes come first, one by one."""
        while self._reported == len(self._progress.history):
            self._advance()
        self._reported += 1
        return self._progress.history[self._reported - 1]

    @property
    def ended(self) -> str:
        """Why the training is over; empty while it is not."""
        return "" if self._reported < len(self._progress.history) else self._progress.why_ended
