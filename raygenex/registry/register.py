"""Versions of a registered model: log a checkpoint as a model of code, register it, and find it again by name."""

import contextlib
import io
import logging
import os
import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygenex import __version__
from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import CheckpointError, ConfigError
from raygenex.files.locate import short_path
from raygenex.files.whole import whole_folder
from raygenex.redact import redact
from raygenex.tracking.runs import Tracker, flatten
from raygenex.tracking.store import mlflow_errors
from raygenex.train.checkpoint import CheckpointInfo, checkpoint_sha256, read_info
from raygenex.train.state import read_state

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

CANDIDATE = "candidate"
CHAMPION = "champion"
_PACKAGE = Path(__file__).parents[1]
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_SECONDS = 30
"""Of patience with git."""
_INSIDE = Path("artifacts", "checkpoint")
"""Where a logged model holds the checkpoint."""


@dataclass(frozen=True)
class RegisterResult:
    """A registered version and the ways to name it."""

    name: str
    version: str
    uri: str
    reused: bool

    def text(self) -> str:
        """Say which version the model is, and how to load it."""
        state = "is already" if self.reused else "registered as"
        return f"model: {state} version {self.version} of {self.name}, loads as {self.uri}"


def register(config: RunConfig) -> RegisterResult:
    """Register the run's checkpoint and let the alias ``candidate`` point at it.

    A checkpoint that is registered already keeps its version.

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
    with mlflow_errors(tracker.uri):
        if (version := _find_version(tracker.client, name, digest)) is not None:
            tracker.client.set_registered_model_alias(name, CANDIDATE, version)
            logger.info("this checkpoint is version %s of %s already", version, name)
            return RegisterResult(name, version, uri, reused=True)
        version = _log_and_register(tracker, config, checkpoint, info, digest)
        tracker.client.set_registered_model_alias(name, CANDIDATE, version)
    return RegisterResult(name, version, uri, reused=False)


def _find_version(client: Any, name: str, digest: str) -> str | None:
    for version in client.search_model_versions(name_filter(name)):
        if version.tags.get("raygenex.checkpoint_sha256") == digest:
            return str(version.version)
    return None


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


def _log_and_register(tracker: Tracker, config: RunConfig, checkpoint: Path, info: CheckpointInfo, digest: str) -> str:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    sequence = [ColSpec("string", "sequence")] if info.reads_dna else []
    columns = [*sequence, *(ColSpec("double", feature) for feature in HALFLIFE_FEATURES)]
    signature = ModelSignature(
        inputs=Schema(columns), outputs=Schema([ColSpec("double", "probability"), ColSpec("long", "prediction")])
    )
    state = read_state(checkpoint.parent)
    run_id = state.run_id if state and tracker.exists(state.run_id) else None
    if run_id is None:
        tags = {"raygenex.stage": "register", "raygenex.config_hash": info.config_hash}
        run_id = tracker.start(f"{config.name}-register", flatten(info.config), tags)
        tracker.end(run_id, "FINISHED")
    mlflow.set_tracking_uri(tracker.uri)
    mlflow.set_registry_uri(tracker.uri)
    # Leaving the run's context marks it as finished again. MLflow's notices and bars go nowhere; what goes wrong is
    # raised.
    with mlflow.start_run(run_id=run_id), contextlib.redirect_stderr(io.StringIO()):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_PACKAGE / "registry" / "served_model.py"),
            artifacts={"checkpoint": str(checkpoint)},
            code_paths=[str(_PACKAGE)],
            pip_requirements=_requirements(info),
            signature=signature,
            input_example=_example(info.inputs.window if info.reads_dna else 0),
            registered_model_name=config.tracking.model_name,
            await_registration_for=60,
        )
    version = str(logged.registered_model_version)
    tags = _version_tags(info) | git_tags()
    if parent := tracker.client.get_run(run_id).data.tags.get("mlflow.parentRunId"):
        tags["raygenex.parent_run"] = parent
    # The checkpoint's hash comes last: a version that has it has every tag.
    tags["raygenex.checkpoint_sha256"] = digest
    for key, value in tags.items():
        tracker.client.set_model_version_tag(config.tracking.model_name, version, key, redact(value))
    return version


def _version_tags(info: CheckpointInfo) -> dict[str, str]:
    """Return what a checkpoint says of itself, as tags of its version."""
    train, valid = (",".join(info.fingerprints.get(split, ())) for split in ("train", "valid"))
    return {
        "raygenex.run_name": info.config["name"],
        "raygenex.model_kind": info.config["model"]["kind"],
        "raygenex.config_hash": info.config_hash,
        "raygenex.data_fingerprint": train,
        "raygenex.train_fingerprint": train,
        "raygenex.valid_fingerprint": valid,
        "raygenex.version": __version__,
    } | {f"valid_{metric}": f"{value:.6f}" for metric, value in info.metrics.items()}


def _example(window: int) -> "pd.DataFrame":
    """Return a table of one made-up gene, so that MLflow shows what the model takes."""
    import pandas as pd

    sequence = {"sequence": "ACGT" * (window // 4) + "ACGT"[: window % 4]} if window else {}
    return pd.DataFrame([sequence | dict.fromkeys(HALFLIFE_FEATURES, 0.5)])


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


def git_tags(package: Path = _PACKAGE) -> dict[str, str]:
    """Return the commit of the code, or of the working directory's repository, as tags; none without git.

    The package's own repository counts if the package is tracked there; an installed package is not, and then the
    repository of the working directory, where configurations are kept, is what there is.

    Returns
    -------
    ``raygenex.git_commit``, with ``-dirty`` behind it if tracked files have changes, and ``raygenex.git_repository``,
    the name of the repository's folder; or nothing.
    """
    init = package / "__init__.py"
    folder = package if _git(package, "ls-files", "--error-unmatch", str(init)) is not None else Path.cwd()
    commit, top = _git(folder, "rev-parse", "HEAD"), _git(folder, "rev-parse", "--show-toplevel")
    if commit is None or top is None:
        return {}
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "raygenex.git_commit": commit + ("-dirty" if changes else ""),
        "raygenex.git_repository": Path(top).name,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where there is no git, no repository or no commit."""
    try:
        # Without locks, so that looking never gets in the way of someone's commit.
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
