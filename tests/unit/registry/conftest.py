"""A model of six versions in one MLflow store, scored without Ray."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toy_models import build_toy, columns, small_config, write_promoters
from toy_registry import forget_champion

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.files.fingerprint import fingerprint
from raygenex.predict.predictor import Predictor
from raygenex.registry import scoring
from raygenex.registry.register import CANDIDATE, register
from raygenex.registry.versions import Registry
from raygenex.train.checkpoint import BACKBONE, CheckpointInfo, InputInfo, save_checkpoint, scaler_values

WINDOW = 20
INPUTS = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
# The middle 16 bases in two bins of eight.
BINS = InputInfo(kind="embedding", length=2, channels=8, window=16)


def make_run(
    base: RunConfig,
    name: str,
    seed: int,
    valid: list[str],
    threshold: float = 0.5,
    inputs: InputInfo = INPUTS,
    **changes,
) -> RunConfig:
    """Write a finished run of random weights and return its configuration."""
    config = parse_config(base.dump() | {"name": name} | changes, "test")
    model = build_toy(config, inputs, seed)
    folder = Path(config.folder, "checkpoint")
    info = CheckpointInfo(
        config=config.dump(),
        config_hash=config.hash(),
        inputs=inputs,
        feature_scaler=scaler_values(model),
        threshold=threshold,
        metrics={"auroc": 0.5 + seed / 10, "f1": 0.25},
        fingerprints={"train": ["a" * 64, "b" * 64], "valid": valid},
    )
    folder.mkdir(parents=True)
    if inputs.kind == "embedding":
        backbone = random_hyenadna(inputs.channels, 1, inputs.window + 2, seed=seed).eval()
        save_backbone(backbone, folder / BACKBONE)
        info.backbone_sha256 = weights_sha256(backbone)
    save_checkpoint(folder, model, info)
    return config


def score_here(rows, checkpoint, config, what):
    """Score as `score_rows` does, in this process."""
    genes = rows.piece(0, rows.count).read()
    return genes | {"probability": Predictor(checkpoint).score(genes["sequence"], genes["halflife"])}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the configuration of six registered versions.

    1 is random; 2 made the labels, so that its AUROC is 1; 3 has the weights of 2; 4 is 1 chosen on other data; 5 is
    random too; 6 reads embeddings of fewer bases. Train and test are not there.
    """
    root = tmp_path_factory.mktemp("registry")
    genes = columns(60, WINDOW, prefix="V")
    with torch.inference_mode():
        best = build_toy(small_config(), INPUTS, seed=2)
        scores = best(torch.from_numpy(genes["sequence"]), torch.from_numpy(genes["halflife"])).numpy()
    genes["label"] = (scores > np.median(scores)).astype(np.uint8)
    write_promoters(root / "valid.h5", genes)
    write_promoters(root / "other.h5", columns(30, WINDOW, seed=9, prefix="W"))
    base = small_config(
        data={"valid": str(root / "valid.h5"), "train": str(root / "no.h5"), "test": str(root / "no.h5")},
        evaluate={"bootstrap": 400},
        tracking={"model_name": "toy"},
    )
    base = parse_config(base.dump() | {"output": str(root / "runs")}, "test")
    valid, other = [fingerprint(str(root / "valid.h5"))], [fingerprint(str(root / "other.h5"))]
    runs = [
        make_run(base, "random", 1, valid),
        make_run(base, "best", 2, valid, train={**base.dump()["train"], "epochs": 7}),
        make_run(base, "twin", 2, valid, threshold=0.25),
        make_run(base, "elsewhere", 1, other),
        make_run(base, "third", 3, valid),
        make_run(base, "embedded", 4, valid, inputs=BINS, backbone={"kind": "hyenadna"}),
    ]
    assert [register(config).version for config in runs] == ["1", "2", "3", "4", "5", "6"]
    return SimpleNamespace(config=base, runs=runs, root=root, genes=genes, valid=valid[0], other=other[0])


@pytest.fixture
def toy(made, monkeypatch):
    """Return the same versions without a champion or a history, version 1 being the candidate."""
    monkeypatch.setattr(scoring, "score_rows", score_here)
    monkeypatch.setattr(scoring, "open_cluster", lambda config, cpus: contextlib.nullcontext())
    forget_champion(made.config)
    client = Registry(made.config).client
    client.set_registered_model_alias("toy", CANDIDATE, "1")

    def champion():
        return Registry(made.config).champion().version

    return SimpleNamespace(
        **vars(made), client=client, champion=champion, history=lambda: Registry(made.config).history()
    )
