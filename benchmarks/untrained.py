"""Checkpoints of models whose weights are random, for benchmarks whose numbers do not depend on them."""

from pathlib import Path
from typing import Any

import torch

from raygenex.config.load import parse_config
from raygenex.models import build_model
from raygenex.train.checkpoint import CheckpointInfo, InputInfo, save_checkpoint, scaler_values


def save_untrained(folder: Path, values: dict[str, Any], inputs: InputInfo, backbone_sha256: str | None = None) -> None:
    """Write the checkpoint of a network into a folder, which must exist.

    Parameters
    ----------
    folder
        Where to write; the weights of a backbone are the caller's to put beside it.
    values
        The configuration.
    inputs
        What the network reads.
    backbone_sha256
        Of the weights of its backbone, if it has one.
    """
    config = parse_config(values, "the benchmark")
    torch.manual_seed(0)
    network = build_model(config.model, config.halflife, inputs.shape)
    if network.scaler is not None:
        network.scaler.fit(torch.randn(50, 8))
    info = CheckpointInfo(
        config=config.dump(),
        config_hash=config.hash(),
        inputs=inputs,
        threshold=0.5,
        feature_scaler=scaler_values(network),
        backbone_sha256=backbone_sha256,
    )
    save_checkpoint(folder, network, info)
