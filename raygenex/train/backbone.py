"""The weights of a backbone that embeds within a training: what they are, and where its workers read them."""

from pathlib import Path

from raygenex.config.run import HyenaBackbone
from raygenex.errors import CheckpointError

START_BACKBONE = "online_backbone"
"""Folder, of a training or a study, of the weights that a backbone within it starts from; gone when it has ended."""


def describe_backbone(backbone: HyenaBackbone, window: int) -> tuple[str, int]:
    """Load a backbone; return the sha256 of its weights and the width of its embeddings.

    Raises
    ------
    CheckpointError
        If the weights cannot be loaded or were made for sequences shorter than ``window``.
    """
    from raygenex.embed.hyenadna.weights import build_backbone, weights_sha256

    network = build_backbone(backbone, window)
    return weights_sha256(network), network.config.d_model


def start_backbone(backbone: HyenaBackbone | None, folder: Path) -> Path | None:
    """Return where `prepare_backbone` writes the weights to start from; None where no backbone embeds."""
    return None if backbone is None else folder / START_BACKBONE


def prepare_backbone(backbone: HyenaBackbone | None, window: int, sha256: str | None, folder: Path) -> str | None:
    """Write the weights that a backbone starts from where every worker reads them.

    Parameters
    ----------
    backbone
        The one that embeds within the training; None where none does.
    window
        Bases that it reads.
    sha256
        Of its weights, when the inputs were opened.
    folder
        Of the training, or of the study that it is a part of.

    Returns
    -------
    A folder below ``folder``, in the layout of a checkpoint's ``backbone``; None without a backbone.

    Raises
    ------
    CheckpointError
        If the weights changed since the inputs were opened.
    """
    from raygenex.embed.hyenadna.weights import build_backbone, save_backbone, weights_sha256

    if backbone is None:
        return None
    network = build_backbone(backbone, window)
    if weights_sha256(network) != sha256:
        raise CheckpointError(f"weights {backbone.weights} changed while the training began: run it again")
    target = str(folder / START_BACKBONE)
    save_backbone(network, target)
    return target
