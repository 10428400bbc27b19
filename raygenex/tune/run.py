"""A study, from the driver: what trials share, the search, and what is made of its best trial."""

import shutil
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from raygenex.cluster.connect import Request, open_cluster, preflight, user_errors
from raygenex.cluster.embedded import workers_ahead
from raygenex.config.run import RunConfig
from raygenex.data.check.guard import guard
from raygenex.data.make import plan_data
from raygenex.embed.run import make_inputs, plan_embed
from raygenex.embed.store import read_manifest
from raygenex.errors import CheckpointError, ConfigError, RaygenexError
from raygenex.extras import check_installed
from raygenex.files.locate import short_path
from raygenex.files.lock import exclusive
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker, training_params
from raygenex.train.needs import import_torch
from raygenex.train.run import backbone_phrase, length_phrase
from raygenex.tune.best import Best, best_requests, train_best
from raygenex.tune.records import Ledger, StudyState
from raygenex.tune.report import FOLDER, choose, write_report
from raygenex.tune.space import Space
from raygenex.tune.study import Study, open_study, request
from raygenex.tune.study import request as study_request


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
    metric: str
    """Name of what trials are compared by: ``valid_auroc``, or ``valid_score`` of targets."""
    title: str
    """The same in words."""
    score: float
    """Of the best trial; chosen as the best of many, so it is too high."""
    first_score: float | None
    """Of the first trial, if it was scored."""
    trained: Best | None
    """The best settings, trained again with several seeds."""
    overhead_s: float
    """Seconds per trial beside its training, over the whole search."""
    run_id: str
    """MLflow's run of the study."""
    seconds: float

    def text(self) -> str:
        """Return what came of a study, on a few lines."""
        states = ", ".join(f"{count} {name}" for name, count in self.states.items() if count)
        lines = [
            f"trials: {self.trials} ({states}), {self.overhead_s:.2f} s each beside their training, the start of "
            "processes included",
            f"best: trial {self.best}, {self.title} {self.score:.4f} (the best of many, so rather high)",
        ]
        if self.first_score is not None:
            lines.append(f"first: trial 0, {self.title} {self.first_score:.4f}")
        width = max(map(len, self.params))
        lines += ["", *(f"  {key:<{width}}  {_short(value)}" for key, value in self.params.items()), ""]
        if self.trained is not None:
            lines += _trained_lines(self.trained, self.title)
        lines.append(f"table, plots, best.yaml: {short_path(self.folder)}")
        minutes, seconds = divmod(round(self.seconds), 60)
        lines.append(f"done in {minutes} min {seconds} s" if minutes else f"done in {seconds} s")
        return "\n".join(lines)

    def values(self) -> dict[str, Any]:
        """Return what came of a study, as plain values."""
        trained = self.trained
        renamed = {"score": self.metric, "first_score": self.metric.replace("valid", "first")}
        return {
            **{
                renamed.get(name, name): value
                for name, value in vars(self).items()
                if name not in ("trained", "metric", "title")
            },
            "trained": trained
            and {
                "seeds": trained.seeds,
                "split": trained.split,
                "valid": trained.valid,
                trained.split: trained.test,
                "registered": trained.registered,
            },
        }


def tune(config: RunConfig, resume: bool = False, force: bool = False) -> TuneResult:
    """Search the space of a configuration, and train, measure and register the best settings.

    Trials are compared on valid. The best settings are trained on the full number of epochs with several seeds, then
    measured once on test, and the seed of the median valid AUROC is registered. With targets, the number of
    ``train.monitor`` takes the place of AUROC, or the mean over targets of their main metrics.

    Parameters
    ----------
    config
        Its section tune says what is searched and how.
    resume
        Whether to go on with a study that was interrupted, or that is to have more trials.
    force
        Whether to begin again, whatever is there.

    Raises
    ------
    ConfigError, DataError, CheckpointError, TrackingError, ClusterError
        If the space, the data, an earlier study, MLflow or the cluster do not allow the search.
    """
    started = time.monotonic()
    space = Space(config)
    space.first()
    check_installed({"optuna": "optuna", "plotly": "plotly"}, "tune", "raygenex tune")
    make_inputs(config, config.reads_store)
    study = open_study(config, force)
    if study.state is not None and study.left and not resume:
        raise ConfigError(
            f"{study.ledger.folder} holds a study with {len(study.ledger.ended)} of {config.tune.trials} trials: pass "
            "--resume to go on with it, or --force to begin again"
        )
    if study.left:
        guard(config, strict=False)
    folder = study.ledger.folder
    with ExitStack() as stack:
        if study.left:
            stack.enter_context(workers_ahead(config.cluster))
        tracker = Tracker(config)
        stack.enter_context(exclusive(folder, "searching"))
        # Another process may have worked on it while this one checked the data.
        study = open_study(config, force)
        if force:
            _abandon(Ledger(folder), tracker)
        state = _begin(study, tracker)
        remedy = "run the same command again with --resume, it completes them"
        with (
            Outbox(f"the study {config.name}", config.tracking.patience_s, remedy) as outbox,
            tracker.ending(state.run_id, outbox),
            _cluster(study),
            user_errors(),
        ):
            state = _search(study, state, tracker, outbox)
            return _conclude(study, state, tracker, outbox, force, started)


def _cluster(study: Study) -> AbstractContextManager[None]:
    """Open one cluster for the search and what follows, with room for all of it; none if nothing is to be searched."""
    if not study.left:
        return nullcontext()
    wanted = max(one.total_cpus for one in _requests(study))
    return open_cluster(study.config.cluster, wanted, _import_next)


def _import_next() -> None:
    """Import what the search needs, which takes seconds."""
    import optuna  # noqa: F401

    import_torch()


def _requests(study: Study) -> tuple[Request, ...]:
    return request(study.config, study.inputs), *best_requests(study.config)


def _conclude(
    study: Study, state: StudyState, tracker: Tracker, outbox: Outbox, force: bool, started: float
) -> TuneResult:
    """Write what came of the trials, and train the best settings."""
    config, ledger, run_id = study.config, study.ledger, state.run_id
    report = write_report(study.space, ledger, state.wall_s)
    outbox.add(lambda: tracker.log_folder(run_id, report, "tune"), "the table and the plots")
    if not ledger.scored:
        reason = ledger.ended[0].reason
        raise RaygenexError(f"all trials failed, the first one because {reason}: fix that, and pass --force")
    trained = None
    if config.tune.seeds:
        trained = train_best(config, study.space, choose(ledger.scored, config.tune), run_id, force)
        numbers = trained.numbers()
        outbox.add(lambda: tracker.log_metrics(run_id, numbers, 0), "the best settings' metrics")
    return _result(study, state, trained, started)


def _abandon(ledger: Ledger, tracker: Tracker) -> None:
    """Remove an earlier study; what of it seems to run in MLflow is ended."""
    if ledger.folder.exists():
        # A damaged study is removed as well, but its runs are not known then.
        with suppress(CheckpointError):
            old = ledger.read()
            if old is not None and tracker.exists(old.run_id):
                for run_id in [*(run.info.run_id for run in tracker.children(old.run_id, "trial")), old.run_id]:
                    if tracker.is_running(run_id):
                        tracker.end(run_id, "KILLED")
        shutil.rmtree(ledger.folder)


def _begin(study: Study, tracker: Tracker) -> StudyState:
    """Open the run of the study in MLflow, or the one that it has already."""
    state = study.state
    if state is not None and tracker.exists(state.run_id):
        tracker.reopen(state.run_id)
        return state
    config = study.config
    tags = {"raygenex.stage": "tune", "raygenex.config_hash": config.hash()}
    run_id = tracker.start(f"{config.name}-tune", training_params(config.dump(), "tune"), tags)
    for name, split in study.splits.items():
        paths = [file.path for file in split.files]
        tracker.log_dataset(run_id, name, paths, study.inputs.fingerprints[name], split.rows)
    state = StudyState(identity=study.identity, run_id=run_id, wall_s=state.wall_s if state else 0.0)
    study.ledger.begin(state)
    return state


def _search(study: Study, state: StudyState, tracker: Tracker, outbox: Outbox) -> StudyState:
    """Complete MLflow, and run the trials that are left; return the state with the time that it took."""
    # Ray Tune and Optuna are imported with them, which takes seconds.
    from raygenex.tune.mlflow_runs import StudyTrack
    from raygenex.tune.tuner import run_trials

    track = StudyTrack(tracker, outbox, state.run_id, study.space)
    track.adopt(list(study.ledger.records.values()))
    if not study.left:
        return state
    for wanted in _requests(study):
        preflight(wanted, study.config.cluster.wait_s)
    began = time.monotonic()
    try:
        run_trials(study, track)
    finally:
        track.close(list(study.ledger.records.values()))
        state = state.model_copy(update={"wall_s": state.wall_s + time.monotonic() - began})
        study.ledger.begin(state)
    if study.left:
        raise RaygenexError(f"{study.left} trials did not end: run the same command with --resume")
    return state


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
        config.tune.metric,
        study.space.title,
        best.score,
        first.score if first is not None and first.scored and study.first else None,
        trained,
        sum(record.wall_s - record.training_s for record in ended) / len(ended),
        state.run_id,
        time.monotonic() - started,
    )


def plan_tune(config: RunConfig, force: bool) -> list[str]:
    """Say how many trials would be run over which space, and what would be trained then."""
    options = config.tune
    space = Space(config)
    space.first()
    steps, made = plan_data(config)
    if config.reads_store:
        steps.append(plan_embed(config, force=False) if made else f"embed: into {short_path(config.store)}")
        manifest = read_manifest(config.store)
        made = made and manifest is not None and manifest.complete
    left, inputs, begun = options.trials, None, ""
    if made:
        study = open_study(config, force)
        left, inputs = study.left, study.inputs
        begun = " (a study to go on with: pass --resume)" if study.state is not None and left else ""
    trial = (
        config
        if options.epochs is None
        else config.model_copy(update={"train": config.train.model_copy(update={"epochs": options.epochs})})
    )
    request = study_request(config, inputs)
    each = f"{request.cpus:g} CPU" + (f" + {request.gpus:g} GPU" if request.gpus else "")
    steps.append(
        f"search: {', '.join(space.keys)}, {left} of {options.trials} trials to do, {request.count} x {each}, "
        f"{length_phrase(trial)}{backbone_phrase(config)}{begun}"
    )
    if options.seeds:
        split = "test" if config.data.test else "valid"
        steps.append(f"train: the best settings with seeds {', '.join(map(str, options.seeds))}, measured on {split}")
        steps.append(f"register: as {config.tracking.model_name}@candidate")
    return steps


def _trained_lines(trained: Best, title: str) -> list[str]:
    noun = "seed" if len(trained.seeds) == 1 else "seeds"
    lines = [f"trained again with {noun} {', '.join(map(str, trained.seeds))}:"]
    splits = ["valid"] if trained.split == "valid" else ["valid", "test"]
    for split in splits:
        parts = []
        for metric in trained.shown:
            summary = trained.summary(split, metric)
            spread = f" +- {summary.sd:.4f}" if summary.n > 1 else ""
            parts.append(f"{metric} {summary.mean:.4f}{spread}")
        lines.append(f"  {split:<6} {', '.join(parts)}")
    return [*lines, f"registered: the seed of the median {title}, as {trained.registered}"]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
