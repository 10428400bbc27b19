"""Training, from the driver: inputs, resume, the fit of the model's kind, MLflow, and the final checkpoint."""

import logging
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from raygenex.cluster.embedded import workers_ahead
from raygenex.config.model import AutoencoderXgboost, Logistic, XgboostKmer
from raygenex.config.run import RunConfig
from raygenex.data.check.guard import guard
from raygenex.data.opening import SplitData, open_run
from raygenex.errors import CheckpointError
from raygenex.files.locate import short_path
from raygenex.files.lock import exclusive
from raygenex.files.whole import whole_folder
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker, training_params
from raygenex.train.checkpoint import CheckpointInfo, check_epochs, read_info
from raygenex.train.complete import complete_checkpoint, track
from raygenex.train.inputs import Inputs, open_inputs, start_backbone
from raygenex.train.needs import check_workers, needs_ray, room_for_workers, uses_gpu
from raygenex.train.state import RunState, known_state, write_state
from raygenex.train.training import SHOWN_TARGETS, UNTRACKED, TrackedTraining

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """The trained model: its checkpoint folder, the best epoch, metrics on valid, and the MLflow run."""

    checkpoint: str
    epoch: int
    epochs: int
    metrics: dict[str, float]
    threshold: float | None
    """Of the label; None with targets, whose thresholds are in the checkpoint."""
    run_id: str
    reused: bool
    continued: bool
    """Whether it went on where an interrupted run had stopped; ``seconds`` are then those of the last part."""
    seconds: float
    worker_peak_mb: float

    def text(self) -> str:
        """Say which epoch was kept and how good it is on valid."""
        verb = "reusing" if self.reused else "trained"
        told = f"training: {verb} {short_path(self.checkpoint)}, epoch {self.epoch} of 0 to {self.epochs - 1} kept"
        if self.threshold is not None:
            return f"{told}, valid AUROC {self.metrics['auroc']:.4f}, threshold {self.threshold:.4f}"
        titles = {"_pearson": "Pearson r", "_auroc": "AUROC"}
        shown = [
            f"; {name.removesuffix(ending)}: valid {title} {value:.4f}"
            for name, value in self.metrics.items()
            for ending, title in titles.items()
            if name.endswith(ending)
        ]
        more = f"; and {len(shown) - SHOWN_TARGETS} more" if len(shown) > SHOWN_TARGETS else ""
        return "".join([told, *shown[:SHOWN_TARGETS], more])


def train(config: RunConfig, force: bool = False, strict: bool = False, parent: str | None = None) -> TrainResult:
    """Train the model of a configuration, as its kind is trained, and keep the best epoch.

    The same configuration and data continue an unfinished run and reuse a finished one; anything else in the same
    folder is refused unless ``force`` is given. Leaks between the splits beyond ``check.max_leaked`` are warned of, or
    refused if ``strict``. With ``parent``, the run is a child of that run in MLflow.

    Raises
    ------
    DataError, CheckpointError, TrackingError, ClusterError
        If data, embeddings, an earlier run, MLflow or the cluster do not allow the training.
    """
    started = time.monotonic()
    splits = open_run(config, ("train", "valid"))
    inputs = open_inputs(config, splits)
    check_workers(config, inputs)
    if isinstance(config.model, XgboostKmer | AutoencoderXgboost):
        from raygenex.models.booster import import_xgboost

        # A package that is installed and broken is found before a cluster is open.
        import_xgboost()
    folder = Path(config.folder)
    final = folder / "checkpoint"
    state = None if force else known_state(folder, inputs.identity)
    finished = state is not None and state.finished
    if strict or not finished:
        guard(config, strict)
    if state is not None and finished:
        return _reuse(final, state.run_id, started)
    trained = state is not None and state.trained
    on_ray = not trained and needs_ray(config)
    with ExitStack() as stack:
        if on_ray:
            stack.enter_context(workers_ahead(config.cluster))
        tracker = Tracker(config)
        # Whatever could refuse has been asked before anything is removed or begun.
        if on_ray:
            stack.enter_context(room_for_workers(config))
        stack.enter_context(exclusive(folder, "training"))
        # Another process may have finished this run while this one waited for the cluster.
        state = None if force else known_state(folder, inputs.identity)
        if state is not None and state.finished:
            return _reuse(final, state.run_id, started)
        if force:
            _clear(folder, start_backbone(config.online, folder))
        continued = state is not None
        state = _begin(tracker, config, splits, inputs, folder, state, parent)
        trained = state.trained
        what = f"the training of {config.name}"
        remedy = f"what is trained is in {folder}, and the same command completes MLflow without training it again"
        with Outbox(what, config.tracking.patience_s, remedy) as outbox:
            training = TrackedTraining(config, inputs, folder, splits, tracker, state.run_id, outbox)
            with tracker.ending(state.run_id, outbox):
                if trained:
                    info = _read_trained(training, final)
                else:
                    info = _train(training, final)
                    # From here on the training is safe, whatever MLflow does.
                    state = state.model_copy(update={"trained": True})
                    write_state(folder, state)
                track(training, final, info)
        write_state(folder, state.model_copy(update={"finished": True}))
        (folder / UNTRACKED).unlink(missing_ok=True)
        # What workers went on from is needed no more; the backbone is in the checkpoint.
        _remove(folder / "ray_train", start_backbone(config.online, folder))
    return _result(final, info, state.run_id, started, reused=trained, continued=continued)


def _fit(training: TrackedTraining, target: Path) -> None:
    """Fit the model as its kind is fitted; make ``target``, the checkpoint with the logits of valid next to it."""
    if not needs_ray(training.config):
        from raygenex.train.tables.inprocess import fit_in_process

        fit_in_process(training, target)
    elif isinstance(training.config.model, XgboostKmer):
        from raygenex.train.tables.tree_workers import fit_trees

        fit_trees(training, target)
    elif isinstance(training.config.model, AutoencoderXgboost):
        from raygenex.train.tables.autoencoder import fit_autoencoder

        fit_autoencoder(training, target)
    else:
        from raygenex.train.network.driver import fit_network

        fit_network(training, target)


def _clear(folder: Path, start: Path | None) -> None:
    """Remove what an earlier training left in a folder; ``start`` is what `start_backbone` returned."""
    _remove(*(folder / name for name in ("checkpoint", "ray_train", "halflife_encoder", "evaluation")), start)
    (folder / "run.json").unlink(missing_ok=True)
    (folder / UNTRACKED).unlink(missing_ok=True)


def _remove(*folders: Path | None) -> None:
    for folder in folders:
        if folder is not None and folder.exists():
            shutil.rmtree(folder)


def _reuse(final: Path, run_id: str, started: float) -> TrainResult:
    _refuse_lost(final)
    info = read_info(final)
    logger.info("%s is trained already: reusing it", short_path(str(final)))
    return _result(final, info, run_id, started, reused=True)


def _refuse_lost(final: Path) -> None:
    if not final.exists():
        raise CheckpointError(
            f"the run in {final.parent} finished, but its checkpoint is gone: pass --force to train again"
        )


def _result(
    final: Path, info: CheckpointInfo, run_id: str, started: float, reused: bool = False, continued: bool = False
) -> TrainResult:
    assert info.is_final, "a final checkpoint is measured"
    return TrainResult(
        str(final),
        info.epoch,
        len(info.history),
        info.metrics,
        info.threshold,
        run_id,
        reused,
        continued,
        time.monotonic() - started,
        info.peak_mb or 0.0,
    )


def _begin(
    tracker: Tracker,
    config: RunConfig,
    splits: dict[str, SplitData],
    inputs: Inputs,
    folder: Path,
    state: RunState | None,
    parent: str | None,
) -> RunState:
    if state is not None and tracker.exists(state.run_id):
        logger.info("continuing the unfinished run in %s", short_path(str(folder)))
        tracker.reopen(state.run_id)
        return state
    tags = {"raygenex.stage": "train", "raygenex.config_hash": config.hash()}
    run_id = tracker.start(config.name, training_params(config.dump()), tags, parent)
    for name, split in splits.items():
        paths = [file.path for file in split.files]
        tracker.log_dataset(run_id, name, paths, inputs.fingerprints[name], split.rows)
    trained = state is not None and state.trained
    state = RunState(identity=inputs.identity, run_id=run_id, finished=False, trained=trained)
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder, state)
    return state


def _train(training: TrackedTraining, final: Path) -> CheckpointInfo:
    """Fit the model and put its checkpoint, and the numbers that MLflow is to have, in place."""
    check_epochs(final.parent / "ray_train")
    with whole_folder(final) as aside:
        _fit(training, aside)
        info = complete_checkpoint(training, aside)
    training.remember_epochs(info.history)
    training.save_series()
    return info


def _read_trained(training: TrackedTraining, final: Path) -> CheckpointInfo:
    """Read what an earlier process trained and could not track."""
    _refuse_lost(final)
    logger.info("%s is trained already: completing MLflow", short_path(str(final)))
    training.load_series()
    info = read_info(final)
    training.remember_epochs(info.history)
    return info


def plan_train(config: RunConfig, force: bool) -> str:
    """Say what would be trained where, and whether it continues or reuses a run."""
    inputs = open_inputs(config, open_run(config, ("train", "valid")))
    check_workers(config, inputs)
    return train_step(config, None if force else known_state(Path(config.folder), inputs.identity))


def train_step(config: RunConfig, state: RunState | None) -> str:
    """Say what would be trained where, as a new run or on from a state; None for a new run."""
    status = "new run"
    if state is not None:
        status = "trained, to complete in MLflow" if state.trained else "unfinished run to continue"
        status = "finished run to reuse" if state.finished else status
    options = config.train
    each = "GPU" if uses_gpu(config) else f"{options.cpus_per_worker:g} CPU"
    where = f"{options.workers} x {each}" if needs_ray(config) else f"{options.cpus_per_worker:g} CPU of this process"
    what = f"{config.model.kind}{backbone_phrase(config)}, {length_phrase(config)}"
    return f"train: {what}, {where}, into {short_path(config.folder)} ({status})"


def backbone_phrase(config: RunConfig) -> str:
    """Say what the backbone does within a training, if anything."""
    if config.online is None:
        return ""
    return f" on a {config.backbone.kind} that is {'fine-tuned' if config.online.finetune else 'frozen'} in its workers"


def length_phrase(config: RunConfig) -> str:
    """Say how long a training may last."""
    model = config.model
    if isinstance(model, Logistic):
        return "up to its optimum"
    if isinstance(model, XgboostKmer):
        return f"{model.trees.trees} trees at most"
    if isinstance(model, AutoencoderXgboost):
        return f"{model.epochs} epochs and {model.trees.trees} trees at most"
    return f"{config.train.epochs} epochs at most"
