"""What the half-life branch of a network starts from: the features' scaler and, for some kinds, a pretrained code."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from raygenex.config.base import canonical_hash
from raygenex.config.model import PRETRAINED_KINDS
from raygenex.config.run import RunConfig
from raygenex.models.base import ExpressionModel
from raygenex.models.halflife import fitted_scaler
from raygenex.train.checkpoint import WEIGHTS, read_tensors
from raygenex.train.network.contrastive import pretrain_encoder

SCALER = "scaler.safetensors"


@dataclass(frozen=True)
class Start:
    """Weights of the scaler and, for the kinds that pretrain one, of the half-life encoder; on the CPU."""

    scaler: dict[str, Tensor]
    encoder: dict[str, Tensor] | None


def start_identity(config: RunConfig, sources: list[str]) -> str | None:
    """Return a hash of all that a start is made of, `Inputs.feature_sources` too; None for a model without features."""
    kind = config.model.kind
    if kind == "cnn_dna_only":
        return None
    return canonical_hash(
        {
            "seed": config.seed,
            "train": sources,
            "halflife": config.halflife.model_dump(mode="json", exclude={"finetune", "beside"})
            if kind in PRETRAINED_KINDS
            else config.halflife.bins,
        }
    )


def make_start(
    config: RunConfig,
    halflife: Tensor,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    device: str = "cpu",
) -> Start:
    """Fit the scaler and, for the kinds that have one, pretrain the encoder.

    Parameters
    ----------
    config
        Of the training.
    halflife
        Features of the training genes, shape ``(N, features)``, in their own units.
    on_epoch
        Told the numbers of each epoch of the pretraining.
    device
        Torch device.
    """
    if config.model.kind in PRETRAINED_KINDS:
        scaler, encoder = pretrain_encoder(halflife, config.halflife, config.seed, on_epoch, device)
        return Start(scaler.state_dict(), encoder.state_dict())
    return Start(fitted_scaler(halflife, config.halflife.bins).state_dict(), None)


def write_start(start: Start, folder: Path) -> None:
    """Write a start into a folder, which must exist."""
    save_file(start.scaler, folder / SCALER)
    if start.encoder is not None:
        save_file(start.encoder, folder / WEIGHTS)


def read_start(folder: Path) -> Start:
    """Read what `write_start` wrote.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged.
    """
    encoder = folder / WEIGHTS
    return Start(read_tensors(folder / SCALER), read_tensors(encoder) if encoder.exists() else None)


def begin(model: ExpressionModel, config: RunConfig, start: Start | None) -> None:
    """Load the scaler and the pretrained encoder, and freeze the encoder unless it is to be fine-tuned."""
    if model.scaler is None:
        return
    assert start is not None, "a model that standardises half-life features starts from their scaler"
    model.scaler.load_state_dict(start.scaler)
    if model.encoder is not None:
        assert start.encoder is not None, "a model with an encoder starts from a pretrained one"
        model.encoder.load_state_dict(start.encoder)
        model.encoder.requires_grad_(config.halflife.finetune)
