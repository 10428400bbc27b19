"""What MLflow gets of an explanation: the manifest, tables and figures, as files of the run that trained the model."""

import logging
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from raygenex.config.run import RunConfig
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker
from raygenex.train import checkpoint
from raygenex.train.state import read_state

logger = logging.getLogger(__name__)


class ExplainTrack:
    """The way of an explanation into the MLflow run that trained its model.

    A model of another run, or of none, has no run here that its explanation could be logged to. A file beside the
    folder says that MLflow lacks something; the next call completes it.

    Parameters
    ----------
    config
        Names the run and the MLflow store.
    checkpoint_sha256
        Of the model; it is the run's own if its checkpoint has the same, wherever it was read from.
    folder
        The explanation.

    Raises
    ------
    TrackingError
        If the store cannot be reached.
    """

    def __init__(self, config: RunConfig, checkpoint_sha256: str, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._owed = folder.with_name(f".{folder.name}.untracked")
        own = _sha256(Path(config.checkpoint)) == checkpoint_sha256
        self._state = read_state(Path(config.folder)) if own else None
        # Opened before anything is computed, so that an address that is wrong is said at once.
        self._tracker = Tracker(config) if self._state is not None else None

    def owe(self) -> None:
        """Remember that MLflow lacks what is about to be written."""
        if self._tracker is not None:
            self._owed.touch()

    def settle(self, parts: Iterable[str]) -> None:
        """Log the folder but for its ``parts``, waiting for an MLflow that is away, if MLflow lacks it."""
        if self._tracker is None or not self._owed.exists():
            return
        with tempfile.TemporaryDirectory() as aside:
            shown = Path(aside, "explain")
            shutil.copytree(self._folder, shown, ignore=shutil.ignore_patterns(*parts, ".*"))
            self._log(self._tracker, shown)
        self._owed.unlink()

    def _log(self, tracker: Tracker, shown: Path) -> None:
        assert self._state is not None, "comes with the tracker"
        run_id, split = self._state.run_id, self._folder.name
        remedy = f"its files are in {self._folder}, and the same command completes MLflow"
        with Outbox(f"the explanation of {split}", self._config.tracking.patience_s, remedy) as outbox:
            if not outbox.ask(lambda: tracker.exists(run_id), "the explanation"):
                logger.warning(
                    "the run is not in MLflow at %s any more: its explanation is only in %s", tracker.uri, self._folder
                )
                return
            outbox.add(lambda: tracker.log_folder(run_id, shown, f"explain/{split}"), "the tables and figures")


def _sha256(folder: Path) -> str | None:
    """Return the sha256 of a run's checkpoint, None where it has none."""
    try:
        return checkpoint.checkpoint_sha256(folder)
    except FileNotFoundError:
        return None
