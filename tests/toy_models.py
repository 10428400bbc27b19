"""Small data, configurations and checkpoints that several tests make."""

from pathlib import Path

import numpy as np
import pytest
import torch

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.models import build_model
from raygenex.models.cnn import Cnn
from raygenex.train.checkpoint import CheckpointInfo, InputInfo, save_checkpoint, scaler_values
from raygenex.train.targets import TargetInfo

SMALL = {
    "model": {"width": 6, "stem_kernel": 5, "channels": (5, 4), "dense": (8,)},
    "halflife": {"channels": (3, 4)},
    "embed": {"bin_size": 8, "batch_size": 3},
}


def small_config(**sections: dict) -> RunConfig:
    """Return a configuration of tiny networks; a section's values go before those of `SMALL`."""
    return parse_config(SMALL | {name: SMALL.get(name, {}) | values for name, values in sections.items()}, "test")


def columns(n: int, window: int, seed: int = 0, prefix: str = "G") -> dict[str, np.ndarray]:
    """Return random genes: ``gene_id``, ``sequence``, ``halflife`` and ``label``."""
    rng = np.random.default_rng(seed)
    return {
        "gene_id": np.array([f"{prefix}{i}" for i in range(n)], dtype=object),
        "sequence": rng.integers(0, 5, (n, window)).astype(np.uint8),
        "halflife": rng.normal(size=(n, 8)).astype(np.float32),
        "label": (np.arange(n) % 2).astype(np.uint8),
    }


def write_promoters(path: Path, genes: dict[str, np.ndarray], chunk_rows: int = 64, label: bool = True) -> str:
    """Write genes as a promoter file and return its path."""
    with PromoterWriter(path, genes["sequence"].shape[1], chunk_rows) as writer:
        writer.append(genes["gene_id"], genes["sequence"], genes["halflife"], genes["label"] if label else None)
    return str(path)


def write_splits(folder: Path, window: int) -> dict[str, str]:
    """Write 32 and 21 random genes, some of their bases unknown, as train and valid; return the paths by split."""
    return {
        "train": write_promoters(folder / "train.h5", columns(32, window, 0, "T"), chunk_rows=7),
        "valid": write_promoters(folder / "valid.h5", columns(21, window, 1, "V")),
    }


def build_toy(config: RunConfig, inputs: InputInfo, seed: int = 0, outputs: int = 1) -> Cnn:
    """Return a model with random weights and a scaler that is not the identity, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(config.model, config.halflife, inputs.shape, outputs)
        if model.uses_halflife:
            model.scaler.fit(2 * torch.randn(50, inputs.shape.features) + 1)
    return model.eval()


def save_toy(folder: Path, config: RunConfig, inputs: InputInfo, threshold: float | None = 0.5, **info: object) -> Cnn:
    """Write a checkpoint into a new folder and return its model."""
    folder.mkdir(parents=True)
    described = CheckpointInfo(
        config=config.dump(), config_hash=config.hash(), inputs=inputs, threshold=threshold, **info
    )
    model = build_toy(config, inputs, outputs=described.outputs)
    save_checkpoint(folder, model, described.model_copy(update={"feature_scaler": scaler_values(model)}))
    return model


def four_targets() -> list[TargetInfo]:
    """Return a target of every kind of loss, scales far from those of outputs: five outputs together."""
    return [
        TargetInfo(
            name="level", kind="continuous", unit="TPM", loss="mse", transform="log2p1", mean=6.0, scale=2.5, measured=9
        ),
        TargetInfo(name="high", kind="binary", loss="bce", measured=9, threshold=0.55),
        TargetInfo(name="reads", kind="counts", loss="poisson", measured=9),
        TargetInfo(name="life", kind="continuous", unit="hours", loss="gaussian", mean=-3.0, scale=0.5, measured=9),
    ]


def save_targets(folder: Path, config: RunConfig, inputs: InputInfo, **info: object) -> Cnn:
    """Write a checkpoint of a model of `four_targets` into a new folder and return its model."""
    metrics = {"level_pearson": 0.5}
    return save_toy(folder, config, inputs, threshold=None, targets=four_targets(), metrics=metrics, **info)


def sentence(info: pytest.ExceptionInfo, *words: object) -> None:
    """Check that an error is one sentence that names what it must."""
    text = str(info.value)
    assert "\n" not in text
    assert ". " not in text
    for word in words:
        assert str(word) in text, text
