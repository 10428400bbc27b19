"""The checkpoint folder: weights as safetensors, everything else as JSON, never a pickled module."""

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError

from raygenex import __version__
from raygenex.config.embed import EmbedConfig
from raygenex.config.load import parse_config
from raygenex.config.model import CnnHalflifeOnly
from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import CheckpointError, ConfigError
from raygenex.files.json_file import load_json
from raygenex.redact import change_texts, redact, redact_values
from raygenex.train.targets import TargetInfo

# What only reads descriptions, as `--dry-run` does, is not to wait for torch.
if TYPE_CHECKING:
    import torch
    from torch import nn

    from raygenex.models.base import ExpressionModel, InputShape

SCHEMA_VERSION = 2
WEIGHTS = "model.safetensors"
INFO = "checkpoint.json"
BACKBONE = "backbone"
# A name, or one of a few choices; addresses and paths are none.
_WORD = re.compile(r"[\w.-]*")
VALID_SCORES = "valid_scores.safetensors"
"""Beside the weights until training is finished: ``logits`` and ``labels`` of the valid genes, float32."""


class InputInfo(BaseModel):
    """What the model reads: the kind and shape of its DNA input, and the window of bases behind it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["bases", "embedding"]
    length: int
    channels: int
    window: int
    halflife_scale: str = "z-score"
    """How the lengths among the half-life features are scaled: see `raygenex.data.features`."""
    features: tuple[str, ...] = HALFLIFE_FEATURES
    """What the model reads beside the DNA, in order."""
    lacking: tuple[str, ...] = ()
    """Those of them that genes of train lack; what is missing is NaN."""
    first: int | None = None
    """Offset of the window's first base from the TSS, in bases on the gene's strand; None if the files did not say."""

    @property
    def shape(self) -> "InputShape":
        """The input shape that sizes the model."""
        from raygenex.models.base import InputShape

        places = tuple(self.features.index(name) for name in self.lacking)
        return InputShape(self.kind, self.length, self.channels, len(self.features), places)


class CheckpointInfo(BaseModel):
    """Everything about a trained model but its weights."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    config: dict[str, Any]
    config_hash: str
    inputs: InputInfo
    feature_scaler: dict[str, list[float]] | None = None
    feature_range: dict[str, tuple[float, float]] | None = None
    """The smallest and the largest value of each half-life feature in train; None in checkpoints of 0.1.0."""
    backbone_sha256: str | None = None
    targets: list[TargetInfo] = Field(default_factory=list)
    """What the model predicts; empty: the label, high or low."""
    epoch: int = 0
    threshold: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    history: list[dict[str, float]] = Field(default_factory=list)
    fingerprints: dict[str, list[str]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    peak_mb: float | None = None
    """Most memory that the first worker held, in MB; None for a model that was fitted without workers."""

    @model_validator(mode="before")
    @classmethod
    def _features_are_inputs(cls, values: Any) -> Any:
        """Leave out what checkpoints of 0.1.0 say of features beside their inputs, the eight."""
        return {name: value for name, value in values.items() if name != "features"}

    @property
    def outputs(self) -> int:
        """Numbers that the model gives per gene."""
        return sum(target.outputs for target in self.targets) or 1

    @property
    def is_final(self) -> bool:
        """Whether it describes a trained model, and not an epoch of a training."""
        return bool(self.metrics) if self.targets else self.threshold is not None

    @property
    def run_config(self) -> RunConfig:
        """The resolved configuration that trained the model."""
        return parse_config(self.config, "its configuration")

    @property
    def reads_other_features(self) -> bool:
        """Whether the model reads something else of a gene beside its DNA than the eight half-life features."""
        return self.inputs.features != HALFLIFE_FEATURES and self.run_config.reads_halflife

    @property
    def checked_range(self) -> dict[str, tuple[float, float]] | None:
        """The range of features in training; None if it is not known, or the model reads none."""
        return self.feature_range if self.run_config.reads_halflife else None

    @property
    def reads_dna(self) -> bool:
        """Whether scores depend on promoters: not if the model has no DNA branch, or was trained without promoters."""
        return self.inputs.window > 0 and not isinstance(self.run_config.model, CnnHalflifeOnly)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that make the numbers."""
    import numpy
    import ray
    import torch

    return {"raygenex": __version__, "torch": torch.__version__, "numpy": numpy.__version__, "ray": ray.__version__}


def scaler_values(model: "ExpressionModel") -> dict[str, list[float]] | None:
    """Return the mean and scale of each half-life feature, or None for a model that standardises none."""
    if model.scaler is None:
        return None
    return {"mean": model.scaler.mean.tolist(), "scale": model.scaler.scale.tolist()}


def save_checkpoint(folder: str | Path, model: "nn.Module", info: CheckpointInfo) -> None:
    """Write a checkpoint into ``folder``, which must exist."""
    from safetensors.torch import save_file
    from torch import nn

    assert not isinstance(model, nn.parallel.DistributedDataParallel), "save the model inside DDP"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, Path(folder, WEIGHTS), metadata={"format": "pt"})
    save_checkpoint_info(folder, info)


def save_checkpoint_info(folder: str | Path, info: CheckpointInfo) -> None:
    """Write the JSON part of a checkpoint; its configuration is without secrets there."""
    info = info.model_copy(update={"config": _without_secrets(info.config)})
    Path(folder, INFO).write_text(info.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _without_secrets(config: dict[str, Any]) -> dict[str, Any]:
    """Redact a configuration, and leave its words alone where a secret is one of them that it cannot do without."""
    redacted: dict[str, Any] = redact_values(config)
    if redacted == config:
        return redacted
    try:
        parse_config(redacted, "its configuration")
    except ConfigError:
        redacted = change_texts(config, lambda text: text if _WORD.fullmatch(text) else redact(text))
    return redacted


def read_info(folder: str | Path) -> CheckpointInfo:
    """Read the JSON part of a checkpoint.

    Raises
    ------
    CheckpointError
        If the folder is not a checkpoint, is damaged, or was written by a later version.
    """
    path = Path(folder, INFO)
    try:
        values = load_json(path)
        version = values["schema_version"]
        if version > SCHEMA_VERSION:
            raise CheckpointError(
                f"checkpoint {folder} has schema {version} and this raygenex reads up to {SCHEMA_VERSION}: upgrade it"
            )
        info = CheckpointInfo.model_validate(values)
        if version == 1 and info.inputs.kind == "embedding":
            _rename_pooling(info)
        return info
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{folder} is not a checkpoint: it has no {INFO}; train one with `raygenex train`"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValidationError):
        raise CheckpointError(f"{path} is damaged: train again or restore the file from a copy") from None


def _rename_pooling(info: CheckpointInfo) -> None:
    """Keep the bins that a checkpoint of schema 1 was trained on, under the name that they have today."""
    # A value that does not fit is refused where the configuration is parsed.
    embed = info.config.get("embed")
    if isinstance(embed, dict) and isinstance(bin_size := embed.get("bin_size"), int) and bin_size > 0:
        embed["pooling"] = EmbedConfig.pooling_of_schema_1(embed["pooling"], info.inputs.window, bin_size)


def read_usable_info(folder: str | Path) -> CheckpointInfo:
    """Read the JSON part of a checkpoint, whose configuration this raygenex must know.

    Raises
    ------
    CheckpointError
        As `read_info`, and if the configuration is of another raygenex.
    """
    info = read_info(folder)
    try:
        info.run_config  # noqa: B018
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {folder} is of another raygenex, and cannot be used: {error}") from None
    return info


def new_model(config: RunConfig, info: CheckpointInfo) -> "ExpressionModel":
    """Build the network that a description is of, before it is trained."""
    from raygenex.models import build_model

    model = build_model(config.model, config.halflife, info.inputs.shape, info.outputs)
    if info.targets and config.train.target_weights == "uncertainty":
        model.learn_weights(len(info.targets))
    return model


def load_checkpoint(folder: str | Path) -> tuple["ExpressionModel", CheckpointInfo]:
    """Load a model in evaluation mode, on the CPU, and its description.

    Raises
    ------
    CheckpointError
        If a part is missing or damaged, or the weights do not fit the configuration.
    """
    info = read_usable_info(folder)
    config = info.run_config
    _check_size(config, info, Path(folder, WEIGHTS))
    model = new_model(config, info)
    load_weights(model, Path(folder, WEIGHTS))
    return model.eval(), info


def _check_size(config: RunConfig, info: CheckpointInfo, path: Path) -> None:
    """Refuse a description of a model that is larger than its file of weights, before anything is allocated for it."""
    import torch

    try:
        size = path.stat().st_size
        with torch.device("meta"):
            model = new_model(config, info)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint is incomplete, train again") from None
    except (ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{path} does not fit its configuration: {error}") from None
    if sum(tensor.nbytes for tensor in model.state_dict().values()) > size:
        # A truncated file is reported as truncated.
        read_tensors(path)
        raise CheckpointError(f"{path} does not fit its configuration, which describes a larger model: train again")


def load_weights(model: "nn.Module", path: Path) -> None:
    """Load a safetensors file into a model, every tensor of it.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated or of another model.
    """
    tensors = read_tensors(path)
    for name, own in model.state_dict().items():
        if name in tensors and tensors[name].dtype != own.dtype:
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise CheckpointError(f"{path} does not fit its configuration: {name} is of type {kind}: train again")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(f"{path} does not fit its configuration: {reason}") from None


def read_tensors(path: Path) -> dict[str, "torch.Tensor"]:
    """Read a safetensors file onto the CPU.

    Raises
    ------
    CheckpointError
        If the file is missing or truncated.
    """
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint is incomplete, train again") from None
    except (SafetensorError, OSError):
        raise CheckpointError(f"{path} is damaged: train again or restore the file from a copy") from None


def check_epochs(folder: Path) -> None:
    """Check that an interrupted training can go on from the epochs that Ray Train kept; a loss of power cuts files.

    Raises
    ------
    CheckpointError
        If a file is cut or unreadable.
    """
    known = folder / "checkpoint_manager_snapshot.json"
    if not known.exists():
        return
    path = known
    try:
        kept = [entry["checkpoint_dir_name"] for entry in load_json(known)["checkpoint_results"]]
        for path in (path for name in kept for path in sorted((folder / name).rglob("*"))):
            if path.suffix == ".safetensors":
                read_tensors(path)
            elif path.suffix == ".json":
                load_json(path)
            elif path.suffix == ".pt" and not zipfile.is_zipfile(path):
                raise ValueError("no end")
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{path} is damaged, so the training that was interrupted cannot go on from there: remove {folder}, and "
            "the same command begins with the first epoch again"
        ) from None


def checkpoint_sha256(folder: str | Path) -> str:
    """Return a sha256 of a checkpoint: its weights and its description, the threshold among it."""
    return hashlib.sha256((file_sha256(Path(folder, WEIGHTS)) + file_sha256(Path(folder, INFO))).encode()).hexdigest()


def file_sha256(path: str | Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
