"""Versions of a registered model: log a checkpoint as a model of code, register it, and find it again by name."""

import contextlib
import io
import logging
import re
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygenex import __version__
from raygenex.config.run import RunConfig
from raygenex.errors import CheckpointError, ConfigError
from raygenex.files.locate import short_path
from raygenex.files.lock import exclusive
from raygenex.files.whole import whole_folder
from raygenex.predict.table import prediction_types
from raygenex.redact import redact
from raygenex.tracking.provenance import source_tags
from raygenex.tracking.runs import Tracker, training_params
from raygenex.tracking.store import database_file, mlflow_errors
from raygenex.train.checkpoint import CheckpointInfo, checkpoint_sha256, read_info
from raygenex.train.state import read_state
from raygenex.train.targets import score_names

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

CANDIDATE = "candidate"
CHAMPION = "champion"
_PACKAGE = Path(__file__).parents[1]
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_WAIT_S = 600.0
"""Of patience with another registration on this machine."""
_GIVEN_UP_S = 3600.0
"""How long a registration elsewhere may take before its logged model is taken for that of a killed one."""
_SOURCE = "raygenex.zip"
"""The package beside a logged model, which `served_model.py` puts on the path by this name."""
_INSIDE = Path("artifacts", "checkpoint")
"""Where a logged model holds the checkpoint."""


@dataclass(frozen=True)
class RegisterResult:
    """A registered version and the ways to name it."""

    name: str
    version: str
    uri: str
    reused: bool
    removed: int = 0
    """Unfinished logged models of registrations that were interrupted, which were deleted."""

    def text(self) -> str:
        """Say which version the model is, how to load it, and what an interrupted registration had left."""
        state = "is already" if self.reused else "registered as"
        left = f", {self.removed} unfinished by an interrupted registration deleted" if self.removed else ""
        return f"model: {state} version {self.version} of {self.name}, loads as {self.uri}{left}"


def register(config: RunConfig) -> RegisterResult:
    """Register the run's checkpoint and let the alias ``candidate`` point at it.

    A checkpoint that is registered already keeps its version, also if another process registers it in the same moment.

    Raises
    ------
    CheckpointError, TrackingError
        If there is no finished checkpoint, or MLflow refuses.
    """
    checkpoint = Path(config.checkpoint)
    info = read_info(checkpoint)
    digest = checkpoint_sha256(checkpoint)
    tracker = Tracker(config)
    name = config.tracking.model_name
    uri = f"models:/{name}@{CANDIDATE}"
    with _one_at_a_time(tracker.uri), mlflow_errors(tracker.uri):
        if (version := _find_version(tracker.client, name, digest)) is not None:
            tracker.client.set_registered_model_alias(name, CANDIDATE, version)
            logger.info("this checkpoint is version %s of %s already", version, name)
            return RegisterResult(name, version, uri, reused=True)
        run_id = _run_of(tracker, config, checkpoint, info)
        removed = _delete_unfinished(tracker, run_id, digest)
        own = _log_and_register(tracker, config, checkpoint, info, run_id, digest)
        # Another machine may have registered the same checkpoint meanwhile: the first version of both is kept.
        version = _find_version(tracker.client, name, digest) or own
        if version != own:
            tracker.client.delete_model_version(name, own)
        tracker.client.set_registered_model_alias(name, CANDIDATE, version)
    return RegisterResult(name, version, uri, reused=version != own, removed=removed)


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Let registrations in a local store wait for one another; what a server has is compared before and after."""
    file = database_file(uri)
    with contextlib.ExitStack() as stack:
        if file is not None:
            stack.enter_context(
                exclusive(file.with_name(f"{file.name}.register"), "registering a model", patience_s=_WAIT_S)
            )
        yield


def _find_version(client: Any, name: str, digest: str) -> str | None:
    """Return the first version of a checkpoint."""
    versions = client.search_model_versions(name_filter(name))
    found = (int(entry.version) for entry in versions if entry.tags.get("raygenex.checkpoint_sha256") == digest)
    first = min(found, default=None)
    return None if first is None else str(first)


def name_filter(name: str) -> str:
    """Return MLflow's filter for a registered model's name, which may hold a quote of one kind.

    Raises
    ------
    ConfigError
        If it holds quotes of both kinds, which MLflow cannot search for.
    """
    if "'" in name and '"' in name:
        raise ConfigError(f"tracking.model_name {name} holds both kinds of quotes, which MLflow cannot find: rename it")
    quote = '"' if "'" in name else "'"
    return f"name = {quote}{name}{quote}"


def _run_of(tracker: Tracker, config: RunConfig, checkpoint: Path, info: CheckpointInfo) -> str:
    """Return the run that trained a checkpoint, or a new one where that is not in this store."""
    state = read_state(checkpoint.parent)
    if state and tracker.exists(state.run_id):
        return state.run_id
    tags = {"raygenex.stage": "register", "raygenex.config_hash": info.config_hash}
    run_id = tracker.start(f"{config.name}-register", training_params(info.config), tags)
    tracker.end(run_id, "FINISHED")
    return run_id


def _delete_unfinished(tracker: Tracker, run_id: str, digest: str) -> int:
    """Delete the logged models that killed registrations of a checkpoint left unfinished; return how many."""
    client: Any = tracker.client
    experiment = client.get_run(run_id).info.experiment_id
    # Where a lock lets one process at a time register, nobody works on them; elsewhere somebody may.
    before = time.time() - (0.0 if database_file(tracker.uri) else _GIVEN_UP_S)
    found = {
        model.model_id
        for wanted in (f"source_run_id = '{run_id}'", f"tags.`raygenex.checkpoint_sha256` = '{digest}'")
        for model in client.search_logged_models([experiment], wanted)
        if str(model.status) != "READY" and model.creation_timestamp <= 1000 * before
    }
    for model_id in found:
        logger.warning("deleting the logged model %s, which an interrupted registration left unfinished", model_id)
        client.delete_logged_model(model_id)
    return len(found)


def _log_and_register(
    tracker: Tracker, config: RunConfig, checkpoint: Path, info: CheckpointInfo, run_id: str, digest: str
) -> str:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    sequence = [ColSpec("string", "sequence")] if info.reads_dna else []
    columns = [*sequence, *(ColSpec("double", feature) for feature in info.inputs.features)]
    kinds = {"float64": "double", "int8": "long"}
    signature = ModelSignature(
        inputs=Schema(columns),
        outputs=Schema([ColSpec(kinds[kind], name) for name, kind in prediction_types(info).items()]),
    )
    mlflow.set_tracking_uri(tracker.uri)
    mlflow.set_registry_uri(tracker.uri)
    tags = _version_tags(info) | source_tags()
    if parent := tracker.client.get_run(run_id).data.tags.get("mlflow.parentRunId"):
        tags["raygenex.parent_run"] = parent
    tags["raygenex.checkpoint_sha256"] = digest
    tags = {key: redact(value) for key, value in tags.items()}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="raygenex-register-"))
        package = _zip_package(Path(folder))
        # Leaving the run's context marks it as finished again.
        stack.enter_context(mlflow.start_run(run_id=run_id))
        # MLflow's notices and bars go nowhere; what goes wrong is raised.
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_PACKAGE / "registry" / "served_model.py"),
            artifacts={"checkpoint": str(checkpoint)},
            code_paths=[str(package)],
            pip_requirements=_requirements(info),
            signature=signature,
            input_example=_example(info.inputs.window if info.reads_dna else 0, info.inputs.features),
            tags={"raygenex.checkpoint_sha256": digest},
        )
        # A version is there with all its tags, or not at all.
        made = mlflow.register_model(logged.model_uri, config.tracking.model_name, 60, tags=tags)
    return str(made.version)


def _zip_package(folder: Path) -> Path:
    """Write the package as one file that Python imports from, since a store of objects takes each file by itself."""
    target = folder / _SOURCE
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(_PACKAGE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(_PACKAGE.parent))
    return target


def _version_tags(info: CheckpointInfo) -> dict[str, str]:
    """Return what a checkpoint says of itself, as tags of its version."""
    train, valid = (",".join(info.fingerprints.get(split, ())) for split in ("train", "valid"))
    # Tags have no order, and the first target is the main one.
    main = {"raygenex.main_metric": score_names(info.targets)[0]} if info.targets else {}
    return (
        {
            "raygenex.run_name": info.config["name"],
            "raygenex.model_kind": info.config["model"]["kind"],
            "raygenex.config_hash": info.config_hash,
            "raygenex.data_fingerprint": train,
            "raygenex.train_fingerprint": train,
            "raygenex.valid_fingerprint": valid,
            "raygenex.version": __version__,
        }
        | main
        | {f"valid_{metric}": f"{value:.6f}" for metric, value in info.metrics.items()}
    )


def _example(window: int, features: Sequence[str]) -> "pd.DataFrame":
    """Return a table of one made-up gene, so that MLflow shows what the model takes."""
    import pandas as pd

    sequence = {"sequence": "ACGT" * (window // 4) + "ACGT"[: window % 4]} if window else {}
    return pd.DataFrame([sequence | dict.fromkeys(features, 0.5)])


def _requirements(info: CheckpointInfo) -> list[str]:
    """Return what scoring needs, at the versions at hand; neither Ray nor a GPU is among it."""
    packages = [
        "h5py",
        "mlflow",
        "numpy",
        "pandas",
        "pyarrow",
        "pydantic",
        "pyyaml",
        "safetensors",
        "torch",
        "transformers",
    ]
    if "xgboost" in info.versions:
        # One package under two names; the one without GPUs is enough, where it is what there is.
        packages += [name for name in ("xgboost", "xgboost-cpu") if _installed(name)][:1]
    # A local build's suffix, such as +cpu, is not on the package index.
    return [f"{package}=={metadata.version(package).split('+')[0]}" for package in packages]


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def fetch_checkpoint(config: RunConfig, model: str) -> str:
    """Return a local checkpoint folder for ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or a folder.

    A registered model is downloaded once, into the output folder, where every node can read it.

    Raises
    ------
    CheckpointError, TrackingError
        If the name cannot be resolved, or is not a model of raygenex.
    """
    if not model.startswith("models:/"):
        return model
    import mlflow

    tracker = Tracker(config)
    with mlflow_errors(tracker.uri):
        version = _resolve(tracker.client, model)
        digest = version.tags.get("raygenex.checkpoint_sha256")
        if digest is None:
            raise CheckpointError(f"{model} was not registered by raygenex: register a run with `raygenex register`")
        # All three become the name of a folder, and whoever may write to the registry chose them.
        plain = Path(version.name).name == version.name and _NUMBER.fullmatch(str(version.version))
        if not _DIGEST.fullmatch(digest) or not plain:
            raise CheckpointError(
                f"{model} has a name, a number or a tag that raygenex does not write: register its run again"
            )
        target = Path(config.output_root, "models", f"{version.name}-{version.version}-{digest[:12]}")
        if not target.exists():
            mlflow.set_tracking_uri(tracker.uri)
            mlflow.set_registry_uri(tracker.uri)
            uri = f"models:/{version.name}/{version.version}"
            with whole_folder(target) as aside:
                with contextlib.redirect_stderr(io.StringIO()):
                    mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(aside), tracking_uri=tracker.uri)
                if checkpoint_sha256(aside / _INSIDE) != digest:
                    raise CheckpointError(
                        f"the files of {uri} in MLflow are not those that were registered: delete that version and "
                        "register its run again"
                    )
    return str(target / _INSIDE)


def _resolve(client: Any, model: str) -> Any:
    name = model.removeprefix("models:/")
    if "@" in name:
        return client.get_model_version_by_alias(*name.split("@", 1))
    if "/" in name:
        return client.get_model_version(*name.split("/", 1))
    raise CheckpointError(f"{model} names no version: write models:/NAME@ALIAS or models:/NAME/VERSION")


def plan_register(config: RunConfig) -> str:
    """Say what would be registered under which name."""
    read_info(Path(config.checkpoint))
    return f"register: {short_path(config.folder)}/checkpoint as {config.tracking.model_name}@candidate"
