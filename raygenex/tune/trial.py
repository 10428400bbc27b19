"""A trial, as Ray Tune runs it: an actor that trains one set of settings after another, an epoch a step."""

import shutil
import time
from typing import Any

from ray import tune

from raygenex.cluster.torch_process import prepare_process
from raygenex.config.model import KmerConfig
from raygenex.config.run import RunConfig
from raygenex.errors import RaygenexError, first_line
from raygenex.redact import redact
from raygenex.train.tables.table import FeatureTable
from raygenex.tune.fit import Fit
from raygenex.tune.fit_local import LocalFit, TableFit, judge
from raygenex.tune.fit_workers import NestedFit
from raygenex.tune.records import TRIALS
from raygenex.tune.search import ENDED, EPOCHS, FAILED
from raygenex.tune.shared import Shared


class TrialActor(tune.Trainable):
    """Trains what the search proposes; one process serves many trials, one after another."""

    def setup(self, config: dict[str, Any], shared: Shared | None = None) -> None:
        """Begin the first trial of this process, of the ``number`` and ``params`` in ``config``."""
        assert shared is not None, "trials read what the study shares"
        self._shared = shared
        self._tables: dict[str, dict[str, FeatureTable]] = {}
        self._fit: Fit | None = None
        self._best, self._epochs = float("-inf"), 0
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in this process."""
        self.cleanup()
        # Whatever ended the last trial, it needs its state no more.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train an epoch; what goes wrong is the trial's result, so that this process serves the next one."""
        started = time.monotonic()
        try:
            if self._fit is None:
                self._fit = self._open()
            metrics = self._fit.step()
            self._best = max(self._best, metrics[self._metric])
            self._epochs += 1
            ended = self._fit.ended
            values = {self._metric: self._best}
            if ended and len(self._objectives) > 1:
                values |= judge(self._fit.model(), self._shared, self._config)
        except RaygenexError as error:
            return self._failed(str(error), started)
        except Exception as error:  # noqa: BLE001
            # One trial's fault, whatever it is, must not sink the others; it is in the table.
            return self._failed(redact(first_line(error, named=True)), started)
        result = {"metrics": metrics, EPOCHS: self._epochs, ENDED: ended, FAILED: "", "done": bool(ended)}
        return dict.fromkeys(self._objectives, 0.0) | values | result | {"training_s": time.monotonic() - started}

    def cleanup(self) -> None:
        """End the trial, wherever it stands."""
        if self._fit is not None:
            self._fit.close()
            self._fit = None

    def _begin(self, config: dict[str, Any]) -> None:
        """Take a trial; its inputs are made in its first step, where errors are its own."""
        self._folder = self._shared.folder / TRIALS / f"{config['number']:04d}"
        self._params: dict[str, Any] = config["params"]
        self._objectives = self._shared.space.config.tune.objectives
        self._metric = self._shared.space.config.tune.metric
        self._best, self._epochs = float("-inf"), 0

    def _open(self) -> Fit:
        self._config: RunConfig = self._shared.space.trial_config(self._params)
        prepare_process(self._config.train.cpus_per_worker)
        if isinstance(self._config.model, KmerConfig):
            return TableFit(self._shared, self._config, self._tables)
        kind = LocalFit if self._shared.columns else NestedFit
        return kind(self._shared, self._config, self._folder)

    def _failed(self, reason: str, started: float) -> dict[str, Any]:
        self.cleanup()
        nothing = dict.fromkeys(self._objectives, float("nan"))
        return nothing | {FAILED: reason, "done": True, "training_s": time.monotonic() - started}
