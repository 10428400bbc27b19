"""What a run's folder holds, gathered for its report: what is absent is None, what is damaged is an error."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError, TrackingAway, TrackingError
from raygenex.redact import redact_values
from raygenex.report.baseline import Baseline, measure_baselines
from raygenex.report.dataset import DataFacts, read_data
from raygenex.report.evaluation import Measured, read_measured
from raygenex.report.explanation import Explanation, read_explanations
from raygenex.report.studies import Benchmark, StudyTable, read_benchmark, read_study
from raygenex.report.target_comparison import TargetComparison, read_target_comparison
from raygenex.report.targets import (
    MeasuredTargets,
    TargetBaseline,
    measure_target_baselines,
    read_measured_targets,
)
from raygenex.train.checkpoint import INFO, CheckpointInfo, checkpoint_sha256, read_info
from raygenex.train.state import RunState, read_state

CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Trained:
    """The checkpoint of a run."""

    info: CheckpointInfo
    sha256: str
    written: str
    """Day of its file, UTC, ISO 8601."""
    state: RunState | None


@dataclass(frozen=True)
class Registered:
    """The checkpoint as a version of the registered model."""

    name: str
    version: str
    aliases: tuple[str, ...]

    @property
    def uri(self) -> str:
        """How MLflow loads this very version."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True)
class Facts:
    """Everything that a report says."""

    name: str
    folder: Path
    config: RunConfig
    """The one that was named, or that of the checkpoint in the folder that was."""
    trained: Trained | None
    data: DataFacts | None
    """None if no model was trained, so that nothing says which data it would be."""
    measured: dict[str, Measured]
    """Of the label, by split, valid before test."""
    baselines: dict[str, tuple[Baseline, ...]]
    """By split: simple models of the same genes, where the labels and the training data are here."""
    targets: dict[str, MeasuredTargets]
    """Of a model of targets, by split, valid before test."""
    target_baselines: dict[str, tuple[TargetBaseline, ...]]
    """By split: simple models of the same targets."""
    benchmark: Benchmark | None
    target_benchmark: TargetComparison | None
    """A comparison of models of targets."""
    study: StudyTable | None
    explained: dict[str, Explanation]
    """By split."""
    registered: Registered | None
    unregistered: str
    """Why there is no version, a sentence without its full stop; else empty."""
    notes: tuple[str, ...]
    """What the reader must know of the whole, a sentence each."""

    @property
    def described(self) -> RunConfig:
        """The configuration that trained the model; where there is none, the one that was named."""
        return self.config if self.trained is None else self.trained.info.run_config


def find_run(target: str | Path, overrides: list[str] | None = None) -> tuple[RunConfig, Path]:
    """Return the configuration and the folder of what a user named: a run's folder or a configuration.

    Raises
    ------
    ConfigError
        If it is neither, or a folder without a checkpoint.
    CheckpointError
        If the checkpoint is damaged.
    """
    path = Path(target)
    if not path.exists():
        raise ConfigError(f"{path} does not exist: name a run's folder, OUTPUT/NAME, or its configuration")
    if not path.is_dir():
        config = load_config(path, overrides or [])
        return config, Path(config.folder)
    if overrides:
        raise ConfigError(f"--override changes a configuration, and {path} is a run's folder: leave it out")
    if not (path / CHECKPOINT / INFO).exists():
        raise ConfigError(
            f"{path} holds no {CHECKPOINT}/{INFO}, which says what the run is: name the run's configuration instead"
        )
    folder = path.absolute()
    config = read_info(folder / CHECKPOINT).run_config
    # A folder may have been moved, and its name may have been given by the directory it is in alone.
    return config.model_copy(update={"output": str(folder.parent), "name": folder.name}), folder


def collect(target: str | Path, overrides: list[str] | None = None) -> Facts:
    """Gather what there is of a run, named as for `find_run`.

    Raises
    ------
    ConfigError
        If nothing can be reported: `find_run` finds no run, or the folder has neither a checkpoint nor a comparison nor
        a study.
    CheckpointError, DataError
        If a file is damaged.
    """
    named, folder = find_run(target, overrides)
    trained = _read_trained(folder)
    benchmark, compared, study = read_benchmark(folder), read_target_comparison(folder), read_study(folder)
    if trained is None and benchmark is None and compared is None and study is None:
        raise ConfigError(f"{folder} holds nothing to report: train a model with `raygenex run {target}`")
    notes: list[str] = []
    data: DataFacts | None = None
    measured: dict[str, Measured] = {}
    targets: dict[str, MeasuredTargets] = {}
    explained: dict[str, Explanation] = {}
    registered, unregistered = None, ""
    if trained is not None:
        if _settings(named) != _settings(trained.info.run_config):
            notes.append(f"{target} has other settings than those that trained this model, which the page shows")
        data = read_data(named, trained.info)
        learned = trained.info.targets
        if learned:
            targets, stale = read_measured_targets(folder, trained.sha256, learned, data)
        else:
            measured, stale = read_measured(folder, trained.sha256, data)
        known = {name: tuple(prints) for name, prints in trained.info.fingerprints.items()}
        known |= {name: truth.fingerprints for name, truth in data.truth.items()}
        explained, old = read_explanations(folder, trained.sha256, known)
        notes += stale + old
        registered, unregistered = _find_version(named, trained.sha256)
    baselines, target_baselines = {}, {}
    if data is not None and (train := data.truth.get("train")) is not None:
        for name, one in measured.items():
            if one.scores is not None and (
                found := measure_baselines(train, data.truth[name], one.scores, one.confidence)
            ):
                baselines[name] = found
        if trained is not None:
            target_baselines = {
                name: measure_target_baselines(trained.info.targets, train, data.truth[name], one)
                for name, one in targets.items()
                if one.scores
            }
    return Facts(
        name=named.name,
        folder=folder,
        config=named,
        trained=trained,
        data=data,
        measured=measured,
        baselines=baselines,
        targets=targets,
        target_baselines=target_baselines,
        benchmark=benchmark,
        target_benchmark=compared,
        study=study,
        explained=explained,
        registered=registered,
        unregistered=unregistered,
        notes=tuple(notes),
    )


def _settings(config: RunConfig) -> dict[str, Any]:
    """Return what makes the model of a run another one, beside the data, whose files are compared."""
    # As the checkpoint keeps them.
    values = redact_values(config.dump())
    return {name: values[name] for name in ("seed", "backbone", "embed", "halflife", "model", "train", "targets")}


def _read_trained(folder: Path) -> Trained | None:
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    info = read_info(path)
    written = datetime.fromtimestamp((path / INFO).stat().st_mtime, UTC).date().isoformat()
    return Trained(info, checkpoint_sha256(path), written, read_state(folder))


def _find_version(config: RunConfig, digest: str) -> tuple[Registered | None, str]:
    """Return the registered version of a checkpoint, or why there is none to name."""
    from raygenex.registry.versions import list_versions

    try:
        versions = list_versions(config).versions
    except TrackingAway as error:
        return None, f"it is not known whether the model is registered, since {error}"
    except TrackingError:
        versions = ()
    for version in versions:
        if version.checkpoint_sha256 == digest:
            return Registered(config.tracking.model_name, version.version, version.aliases), ""
    return None, "this model is not registered"
