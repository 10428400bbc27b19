"""A study that may begin or go on: its space, its data, what it needs of the cluster, and what is left to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raygenex.cluster.connect import Request
from raygenex.config.base import canonical_hash
from raygenex.config.model import KmerConfig
from raygenex.config.run import RunConfig
from raygenex.data.opening import SplitData, open_run
from raygenex.errors import CheckpointError
from raygenex.train.inputs import Inputs, check_targets, open_inputs
from raygenex.train.needs import check_workers, uses_gpu
from raygenex.tune.records import Ledger, StudyState
from raygenex.tune.space import Space


@dataclass(frozen=True)
class Study:
    """A study that may begin: its space, its data, and what earlier processes left of it."""

    config: RunConfig
    space: Space
    first: list[dict[str, Any]]
    splits: dict[str, SplitData]
    inputs: Inputs
    ledger: Ledger
    state: StudyState | None
    identity: str

    @property
    def left(self) -> int:
        """Trials that are still to run."""
        return max(0, self.config.tune.trials - len(self.ledger.ended))


def open_study(config: RunConfig, force: bool) -> Study:
    """Check the space and the data, and read what earlier processes left.

    Raises
    ------
    CheckpointError
        If the folder holds another study.
    """
    space = Space(config)
    config = space.config
    for one in space.of_each_kind():
        check_targets(one)
    splits = open_run(config, ("train", "valid"))
    inputs = open_inputs(config, splits)
    check_workers(config, inputs)
    ledger = Ledger(Path(config.folder, "tune"))
    identity = _identity(config, inputs)
    state = None if force else ledger.read()
    if state is not None and state.identity != identity:
        raise CheckpointError(
            f"{ledger.folder} holds a study of other data, another space or other settings: give this one another "
            "name, or pass --force to replace it"
        )
    return Study(config, space, space.first(), splits, inputs, ledger, state, identity)


def _identity(config: RunConfig, inputs: Inputs) -> str:
    """Return a hash of everything that decides what trials give; how many there are and how fast may change."""
    incidental = {"trials", "parallel", "gpus_per_trial", "max_failures", "seeds", "tolerance", "sampler"}
    options = config.tune.model_dump(mode="json", exclude=incidental)
    timed = config.predict.batch_size if "latency_ms" in config.tune.objectives else None
    return canonical_hash({"inputs": inputs.identity, "tune": options, "timed": timed})


def request(config: RunConfig, inputs: Inputs | None) -> Request:
    """Return what the trials that run beside each other need; ``inputs`` may be None while they are not made."""
    options, each = config.tune, config.train
    below = nested(config, inputs)
    gpus = (1.0 if below else options.gpus_per_trial) if uses_gpu(config) else 0.0
    workers = each.workers if below else 1
    keys = "tune.parallel, train.workers or train.cpus_per_worker"
    fewest = options.parallel * each.fewest_workers if below else None
    return Request("the search", options.parallel * workers, each.cpus_per_worker, gpus, keys, fewest)


def nested(config: RunConfig, inputs: Inputs | None) -> bool:
    """Whether each trial is trained by Ray Train's workers, below its own process.

    One worker is enough for that where a training would stream its genes: they would not come in the same order from
    memory.
    """
    if isinstance(config.model, KmerConfig):
        return False
    if config.train.workers > 1:
        return True
    limit = config.train.memory_gib * 2**30
    return inputs is not None and any(rows.count * rows.row_bytes > limit for rows in inputs.tables.values())
