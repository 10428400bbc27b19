"""A study, from the driver: what trials share, the search, and what is made of its best trial."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raygenex.cluster import Request, open_cluster, preflight, user_errors
from raygenex.config import KmerConfig, RunConfig, canonical_hash
from raygenex.data.guard import guard
from raygenex.data.opening import SplitData, open_splits
from raygenex.errors import CheckpointError, ConfigError, RaygenexError
from raygenex.locking import exclusive
from raygenex.outbox import Outbox
from raygenex.progress import progress
from raygenex.ready import make_inputs
from raygenex.tracking import Tracker, flatten
from raygenex.train.checkpoint import CheckpointInfo, package_versions
from raygenex.train.inputs import Inputs, open_inputs
from raygenex.train.run import check_workers
from raygenex.tune.best import Best, train_best
from raygenex.tune.ledger import Ledger, StudyState
from raygenex.tune.packages import check_packages
from raygenex.tune.report import FOLDER, choose, write_report
from raygenex.tune.space import Space

logger = logging.getLogger(__name__)

RAY_FOLDER = "ray_tune"
# Ray Tune writes logs, progress tables and restore points of its own; the ledger of the study is what is resumed.
_TUNE_DEFAULTS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True)
class TuneResult:
    """What came of a study."""

    folder: str
    """Of the trials table, the plots and ``best.yaml``."""
    trials: int
    states: dict[str, int]
    """Trials by how they ended."""
    best: int
    """Number of the best trial."""
    params: dict[str, Any]
    """The searched keys, as the best trial had them."""
    valid_auroc: float
    """Of the best trial; chosen as the best of many, so it is too high."""
    first_auroc: float | None
    """Of the first trial, if it was scored."""
    trained: Best | None
    """The best settings, trained anew with several seeds."""
    overhead_s: float
    """Seconds a trial beside its training, over the whole search."""
    run_id: str
    """MLflow's run of the study."""
    seconds: float


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


def tune(config: RunConfig, resume: bool = False, force: bool = False) -> TuneResult:
    """Search the space of a configuration, and train, measure and register the best settings.

    Trials are compared on valid. The best settings are trained on the full number of epochs with several seeds, then
    measured once on test, and the seed of the median valid AUROC is registered.

    Parameters
    ----------
    config
        Its section tune says what is searched and how.
    resume
        Whether to go on with a study that was interrupted, or that is to have more trials.
    force
        Whether to begin anew, whatever is there.

    Raises
    ------
    ConfigError, DataError, CheckpointError, TrackingError, ClusterError
        If the space, the data, an earlier study, MLflow or the cluster do not allow the search.
    """
    started = time.monotonic()
    space = Space(config)
    space.first()
    check_packages()
    make_inputs(config, config.reads_embeddings)
    study = open_study(config, force)
    if study.state is not None and study.left and not resume:
        raise ConfigError(
            f"{study.ledger.folder} holds a study with {len(study.ledger.ended)} of {config.tune.trials} trials: pass "
            "--resume to go on with it, or --force to begin anew"
        )
    if study.left:
        guard(config, strict=False)
    tracker = Tracker(config)
    folder = study.ledger.folder
    with exclusive(folder, "searching"):
        if force and folder.exists():
            shutil.rmtree(folder)
        state = _begin(study, tracker)
        with tracker.ending(state.run_id):
            if study.left:
                with open_cluster(config.cluster, request(config).total_cpus), user_errors():
                    state = _search(study, state, tracker)
            best = choose(study.ledger.scored, config.tune)
            report = write_report(study.space, study.ledger, best, state.wall_s)
            tracker.log_folder(state.run_id, report, "tune")
            trained = train_best(config, space, best, state.run_id, force) if config.tune.seeds else None
            if trained is not None:
                tracker.log_metrics(state.run_id, trained.numbers(), 0)
    return _result(study, state, trained, started)


def open_study(config: RunConfig, force: bool) -> Study:
    """Check the space and the data, and read what earlier processes left.

    Raises
    ------
    CheckpointError
        If the folder holds another study.
    """
    space = Space(config)
    splits = open_splits(config.data, ("train", "valid"))
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
    return canonical_hash({"inputs": inputs.identity, "tune": options})


def request(config: RunConfig) -> Request:
    """Return what the trials that run beside each other need."""
    gpus = config.tune.gpus_per_trial if config.train.use_gpu and not isinstance(config.model, KmerConfig) else 0.0
    keys = "tune.parallel or train.cpus_per_worker"
    return Request("the search", config.tune.parallel, config.train.cpus_per_worker, gpus, keys)


def _begin(study: Study, tracker: Tracker) -> StudyState:
    """Open the run of the study in MLflow, or the one that it has already."""
    state = study.state
    if state is not None and tracker.exists(state.run_id):
        tracker.reopen(state.run_id)
        return state
    config = study.config
    tags = {"raygenex.stage": "tune", "raygenex.config_hash": config.hash()}
    run_id = tracker.start(f"{config.name}-tune", flatten(config.dump()), tags)
    for name, split in study.splits.items():
        paths = [file.path for file in split.files]
        tracker.log_dataset(run_id, name, paths, study.inputs.fingerprints[name], split.rows)
    state = StudyState(identity=study.identity, run_id=run_id, wall_s=state.wall_s if state else 0.0)
    study.ledger.begin(state)
    return state


def _search(study: Study, state: StudyState, tracker: Tracker) -> StudyState:
    """Run the trials that are left; return the state with the time that it took."""
    from raygenex.tune.track import StudyTrack

    config = study.config
    preflight(request(config), config.cluster.wait_s)
    patience = config.tracking.patience_s
    remedy = "run the same command again with --resume, it completes them"
    began = time.monotonic()
    with Outbox("the study", patience, remedy) as outbox:
        track = StudyTrack(tracker, outbox, state.run_id, study.space)
        records = list(study.ledger.records.values())
        track.adopt(records)
        try:
            _fit(study, track)
        finally:
            track.close(list(study.ledger.records.values()))
            state = state.model_copy(update={"wall_s": state.wall_s + time.monotonic() - began})
            study.ledger.begin(state)
    if study.left:
        raise RaygenexError(f"{study.left} trials did not end: run the same command with --resume")
    if not study.ledger.scored:
        reason = study.ledger.ended[0].reason
        raise RaygenexError(f"all trials failed, the first one because {reason}: mend that, and pass --force")
    return state


def _fit(study: Study, track: Any) -> None:
    """Let Ray Tune run the trials that are left."""
    for name, value in _TUNE_DEFAULTS.items():
        os.environ.setdefault(name, value)
    import ray.tune

    from raygenex.tune.search import StudySearch, scheduler
    from raygenex.tune.trial import Trial
    from raygenex.tune.watch import Watch

    config, options, ledger = study.config, study.config.tune, study.ledger
    records = list(ledger.records.values())
    if ledger.ended or records:
        logger.info("going on with the study in %s: %d trials have ended", ledger.folder, len(ledger.ended))
    epochs = options.epochs or config.train.epochs
    search = StudySearch(options, study.space.distributions(), records, study.first, config.seed)
    shared = _share(study)
    needed = request(config)
    resources = {"cpu": needed.cpus} | ({"gpu": needed.gpus} if needed.gpus else {})
    trainable = ray.tune.with_resources(ray.tune.with_parameters(Trial, shared=shared), resources)
    work = ledger.folder / RAY_FOLDER
    logger.info("searching %s with %d trials", ", ".join(study.space.keys), study.left)
    with progress("trials", options.trials, len(ledger.ended)) as advance:
        watch = Watch(ledger, track, options.trials, options.parallel, advance)
        tuner = ray.tune.Tuner(
            trainable,
            tune_config=ray.tune.TuneConfig(
                search_alg=search,
                scheduler=scheduler(options, epochs, ledger.ended),
                num_samples=study.left,
                max_concurrent_trials=options.parallel,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: f"trial-{trial.config['number']:04d}",
            ),
            run_config=ray.tune.RunConfig(
                name=f"{int(time.time())}-{os.getpid()}",
                storage_path=str(work),
                callbacks=[watch],
                verbose=0,
                # Trials keep their own state, and need it only if they are lost.
                checkpoint_config=ray.tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=ray.tune.FailureConfig(max_failures=options.max_failures),
            ),
        )
        with _quiet():
            tuner.fit()
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Tune's notes from the user's terminal: what becomes of a trial is said here, in one sentence."""
    names = ("ray.tune", "ray.air", "ray.train")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _share(study: Study) -> Any:
    """Compute what no trial changes."""
    import ray

    from raygenex.tune.shared import Shared, common_start, fits_in_store, make_common, read_columns, trial_halflife

    config, inputs = study.config, study.inputs
    fits_in_store(inputs.tables, inputs.tables["train"].row_bytes)
    info = CheckpointInfo(
        config={}, config_hash="", inputs=inputs.info, fingerprints=inputs.fingerprints, versions=package_versions()
    )
    columns = read_columns(inputs.tables)
    shared = Shared(study.space, info, columns, inputs, study.splits, None, study.ledger.folder)
    if common_start(study.space, inputs.fingerprints["train"]) is None:
        return shared
    logger.info("making what the half-life branch of every trial starts from")
    needed = request(config)
    task = ray.remote(num_cpus=needed.cpus, num_gpus=needed.gpus)(make_common)
    return Shared(**{**vars(shared), "start": ray.get(task.remote(config, trial_halflife(shared)))})


def _result(study: Study, state: StudyState, trained: Best | None, started: float) -> TuneResult:
    ledger, config = study.ledger, study.config
    best = choose(ledger.scored, config.tune)
    ended = ledger.ended
    first = ledger.records.get(0)
    return TuneResult(
        str(ledger.folder / FOLDER),
        len(ended),
        {name: sum(record.state == name for record in ended) for name in ("finished", "stopped", "failed")},
        best.number,
        best.params,
        best.auroc,
        first.auroc if first is not None and first.scored and study.first else None,
        trained,
        sum(record.wall_s - record.training_s for record in ended) / len(ended),
        state.run_id,
        time.monotonic() - started,
    )
