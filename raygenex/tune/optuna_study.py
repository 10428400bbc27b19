"""Trials that ended, as a study of Optuna's: what a search goes on from, and what plots are drawn of."""

from collections.abc import Iterable
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from raygenex.config.tune import OBJECTIVES
from raygenex.tune.records import TrialRecord

STUDY = "study"
"""Its name in a storage."""


def optuna_study(
    objectives: tuple[str, ...],
    distributions: dict[str, Any],
    records: Iterable[TrialRecord],
    queue: Iterable[dict[str, Any]] = (),
    storage: BaseStorage | None = None,
) -> optuna.Study:
    """Return a new study of Optuna's, which proposes what is in ``queue`` before any other settings.

    ``records`` are trials that ended; without a storage it is in memory of its own.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = ["minimize" if OBJECTIVES[objective] == "min" else "maximize" for objective in objectives]
    study = optuna.create_study(directions=directions, study_name=STUDY, storage=storage)
    for params in queue:
        study.enqueue_trial(params)
    study.add_trials([_frozen(record, distributions, objectives) for record in records])
    return study


def _frozen(record: TrialRecord, distributions: dict[str, Any], objectives: tuple[str, ...]) -> FrozenTrial:
    """Return a trial that ended, as Optuna keeps it."""
    return create_trial(
        state=TrialState.COMPLETE if record.scored else TrialState.FAIL,
        values=[record.values[name] for name in objectives] if record.scored else None,
        params=record.params,
        distributions=distributions,
        user_attrs={"number": record.number, "state": record.state},
    )
