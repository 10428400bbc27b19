"""The trials of a study, run by Ray Tune, and what they share."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.tune

from raygenex.files.locate import short_path
from raygenex.terminal.progress import progress
from raygenex.train.checkpoint import CheckpointInfo, package_versions
from raygenex.train.inputs import START_BACKBONE, prepare_backbone
from raygenex.tune.callback import StudyCallback
from raygenex.tune.mlflow_runs import StudyTrack
from raygenex.tune.ray_private import memory_losses_recovered
from raygenex.tune.search import StudySearch, scheduler
from raygenex.tune.shared import (
    Shared,
    common_start,
    fits_in_store,
    make_common,
    read_columns,
    read_sample,
    trial_halflife,
)
from raygenex.tune.study import Study, nested, request
from raygenex.tune.trial import TrialActor

logger = logging.getLogger(__name__)

RAY_FOLDER = "ray_tune"
WAITING_CPUS = 0.01
# Ray Tune writes logs, progress tables and restore points of its own; the ledger of the study is what is resumed.
_TUNE_DEFAULTS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_trials(study: Study, track: StudyTrack) -> None:
    """Let Ray Tune run the trials that are left, each written to the ledger of the study."""
    for name, value in _TUNE_DEFAULTS.items():
        os.environ.setdefault(name, value)
    config, options, ledger = study.config, study.config.tune, study.ledger
    records = list(ledger.records.values())
    if ledger.ended or records:
        where = short_path(str(ledger.folder))
        logger.info("going on with the study in %s: %d trials have ended", where, len(ledger.ended))
    shared = _share(study)
    needed = request(config, study.inputs)
    resources = {"cpu": needed.cpus} | ({"gpu": needed.gpus} if needed.gpus else {})
    if nested(config, study.inputs):
        # Its workers reserve what they need; the trial itself waits for them.
        resources = {"cpu": WAITING_CPUS}
    trainable = ray.tune.with_resources(ray.tune.with_parameters(TrialActor, shared=shared), resources)
    logger.info("searching %s with %d trials", ", ".join(study.space.keys), study.left)
    with progress("trials", options.trials, len(ledger.ended)) as advance:
        # Ray Tune gives up a trial whose process is lost before its first step; such a trial comes again in another
        # pass, `max_failures` times at most.
        before = -1
        while study.left and (done := len(ledger.ended) + sum(one.lost for one in ledger.records.values())) > before:
            before = done
            watch = StudyCallback(ledger, track, options, advance, study.space.title)
            with _quiet(), memory_losses_recovered():
                _tuner(study, trainable, watch).fit()
    for name in (RAY_FOLDER, START_BACKBONE):
        shutil.rmtree(ledger.folder / name, ignore_errors=True)
    for record in ledger.ended:
        shutil.rmtree(ledger.trial_folder(record.number), ignore_errors=True)


def _tuner(study: Study, trainable: Any, watch: StudyCallback) -> ray.tune.Tuner:
    """Return Ray Tune's run of the trials that are left; Optuna and ASHA know those that have ended."""
    config, options, ledger = study.config, study.config.tune, study.ledger
    records = list(ledger.records.values())
    return ray.tune.Tuner(
        trainable,
        tune_config=ray.tune.TuneConfig(
            search_alg=StudySearch(options, study.space.distributions(), records, study.first, config.seed),
            scheduler=scheduler(options, options.epochs or config.train.epochs, ledger.ended),
            num_samples=study.left,
            max_concurrent_trials=options.parallel,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"trial-{trial.config['number']:04d}",
        ),
        run_config=ray.tune.RunConfig(
            name=f"{time.time_ns()}-{os.getpid()}",
            storage_path=str(ledger.folder / RAY_FOLDER),
            callbacks=[watch],
            verbose=0,
            # Trials keep their own state, and need it only if they are lost.
            checkpoint_config=ray.tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=ray.tune.FailureConfig(max_failures=options.max_failures),
        ),
    )


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


def _share(study: Study) -> Shared:
    """Compute what no trial changes."""
    config, inputs = study.config, study.inputs
    if not nested(config, inputs):
        fits_in_store(inputs.tables, inputs.tables["train"].row_bytes)
    info = CheckpointInfo(
        config={},
        config_hash="",
        inputs=inputs.info,
        feature_range=inputs.feature_range,
        targets=inputs.targets,
        fingerprints=inputs.fingerprints,
        versions=package_versions(),
    )
    # Several workers read their shares through Ray Data.
    columns = {} if nested(config, inputs) else read_columns(inputs.tables)
    prepare_backbone(config.online, inputs.info.window, inputs.backbone_sha256, study.ledger.folder)
    sample = read_sample(inputs.tables["valid"], inputs.info if config.online else None)
    shared = Shared(study.space, info, columns, sample, inputs, study.splits, None, study.ledger.folder)
    if common_start(study.space, inputs.feature_sources) is None:
        return shared
    logger.info("making what the half-life branch of every trial starts from")
    needed = request(config, study.inputs)
    task = ray.remote(num_cpus=needed.cpus, num_gpus=needed.gpus)(make_common)
    return Shared(**{**vars(shared), "start": ray.get(task.remote(config, trial_halflife(shared)))})
