"""Who proposes settings and who stops poor trials: Optuna and ASHA, both rebuilt from the trials of a study."""

import warnings
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from raygenex.config.tune import OBJECTIVES, TuneConfig
from raygenex.train.shard import derive_seed
from raygenex.tune.optuna_study import STUDY, optuna_study
from raygenex.tune.records import TrialRecord

EPOCHS = "epochs"
"""Key of a result: the epochs that the trial has had."""
ENDED = "ended"
"""Key of a result: why the training is over; empty while it is not."""
FAILED = "failed"
"""Key of a result: why the trial failed; empty if it did not."""


class StudySearch(OptunaSearch):
    """Optuna's search over the space of a study, which knows the trials of earlier processes.

    Parameters
    ----------
    config
        The section tune.
    distributions
        Optuna's distribution of every key.
    records
        Trials that ended, and trials that were interrupted, which are proposed again first, under their numbers.
    first
        Settings to propose before any other, unless trials took their numbers already.
    seed
        Of the sampler.

    Attributes
    ----------
    study
        Optuna's study.
    """

    def __init__(
        self,
        config: TuneConfig,
        distributions: dict[str, Any],
        records: list[TrialRecord],
        first: list[dict[str, Any]],
        seed: int,
    ) -> None:
        interrupted = [record for record in records if not record.ended]
        known = {record.number for record in records}
        missing = [number for number in range(len(first)) if number not in known]
        # What ended is part of the seed: a sampler that began alike would propose again what it proposed before.
        drawn = derive_seed(seed, len(records) - len(interrupted)) % 2**32
        several = len(config.objectives) > 1
        # The search opens the study that it finds in the storage; it can take trials with one objective alone itself.
        storage = InMemoryStorage()
        self.study = optuna_study(
            config.objectives,
            distributions,
            [record for record in records if record.ended],
            [record.params for record in interrupted] + [first[number] for number in missing],
            storage,
        )
        super().__init__(
            space=distributions,
            metric=list(config.objectives) if several else config.objectives[0],
            mode=[OBJECTIVES[name] for name in config.objectives] if several else "max",
            sampler=sampler(config.sampler, drawn),
            study_name=STUDY,
            storage=storage,
        )
        self._queued = [record.number for record in interrupted] + missing
        self._next = max([-1, *known, *self._queued]) + 1

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Return the number of the next trial, and its settings."""
        params = super().suggest(trial_id)
        if self._queued:
            return {"number": self._queued.pop(0), "params": params}
        self._next += 1
        return {"number": self._next - 1, "params": params}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take nothing from a trial under way: ASHA stops it, and its best counts in the end."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take note of what a trial gave; a failed one gave nothing."""
        failed = error or not result or bool(result.get(FAILED))
        super().on_trial_complete(trial_id, None if failed else result, error=failed)


def sampler(name: str, seed: int) -> BaseSampler:
    """Return one of Optuna's samplers."""
    if name == "tpe":
        # Trials that run side by side are taken to be poor, so that they are not all proposed in one place (the
        # constant liar of Ginsbourger et al. 2010).
        return TPESampler(seed=seed, multivariate=True, constant_liar=True)
    if name == "qmc":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return QMCSampler(seed=seed, scramble=True)
    kinds: dict[str, type[Any]] = {"gp": GPSampler, "random": RandomSampler, "nsga2": NSGAIISampler}
    proposer: BaseSampler = kinds[name](seed=seed)
    return proposer


def scheduler(config: TuneConfig, epochs: int, records: list[TrialRecord]) -> TrialScheduler:
    """Return what stops poor trials: ASHA (Li et al. 2020), which knows the epochs of earlier trials, or nothing.

    ``epochs`` are those of a trial that is not stopped.
    """
    if not config.stops_early or config.grace_epochs >= epochs:
        return FIFOScheduler()
    asha = ASHAScheduler(
        time_attr=EPOCHS,
        metric=config.metric,
        mode="max",
        max_t=epochs,
        grace_period=config.grace_epochs,
        reduction_factor=config.reduction,
    )
    for record in records:
        trial = SimpleNamespace(trial_id=f"earlier-{record.number}")
        asha.on_trial_add(None, trial)
        best = float("-inf")
        for done, metrics in enumerate(record.history, start=1):
            best = max(best, metrics[config.metric])
            asha.on_trial_result(None, trial, {EPOCHS: done, config.metric: best})
        asha.on_trial_remove(None, trial)
    return asha
