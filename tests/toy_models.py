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


def build_toy(config: RunConfig, inputs: InputInfo, seed: int = 0) -> Cnn:
    """Return a model with random weights and a scaler that is not the identity, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(config.model, config.halflife, inputs.shape)
        if model.uses_halflife:
            model.scaler.fit(2 * torch.randn(50, 8) + 1)
    return model.eval()


def save_toy(folder: Path, config: RunConfig, inputs: InputInfo, threshold: float | None = 0.5, **info: object) -> Cnn:
    """Write a checkpoint into a new folder and return its model."""
    folder.mkdir(parents=True)
    model = build_toy(config, inputs)
    save_checkpoint(
        folder,
        model,
        CheckpointInfo(
            config=config.dump(),
            config_hash=config.hash(),
            inputs=inputs,
            feature_scaler=scaler_values(model),
            threshold=threshold,
            **info,
        ),
    )
    return model


def sentence(info: pytest.ExceptionInfo, *words: object) -> None:
    """Check that an error is one sentence that names what it must."""
    text = str(info.value)
    assert "\n" not in text
    assert ". " not in text
    for word in words:
        assert str(word) in text, text
