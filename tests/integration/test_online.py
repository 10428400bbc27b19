"""The route without an embedding store, by the command line on Ray, killed in the middle as well."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_commands import command, train_through_kills, write

from raygenex.config.run import RunConfig
from raygenex.embed.hyenadna.weights import load_backbone, weights_sha256
from raygenex.train.checkpoint import read_info
from raygenex.train.inputs import START_BACKBONE

pytestmark = pytest.mark.slow

FINETUNED = {"kind": "hyenadna", "d_model": 16, "n_layer": 1, "route": "online", "finetune": True}
TRAIN = {"epochs": 12, "global_batch_size": 16, "learning_rate": 1e-3, "workers": 2}


def online_config(make_config: Callable[..., RunConfig], name: str, **backbone: object) -> RunConfig:
    return make_config(name=name, backbone=FINETUNED | backbone, embed={"bin_size": 1, "batch_size": 4}, train=TRAIN)


def test_a_fine_tuned_backbone_survives_kills_and_serves_every_verb(
    make_config: Callable[..., RunConfig], promoters: Path, tmp_path: Path
):
    plain, killed = online_config(make_config, "plain"), online_config(make_config, "killed")
    with command("train", write(plain, tmp_path)) as process:
        process.finish()
    path = write(killed, tmp_path)
    assert "continuing the unfinished run" in train_through_kills(killed, path, epoch=1, more=1)
    infos = [read_info(Path(config.folder, "checkpoint")) for config in (plain, killed)]
    assert len(infos[0].history) == TRAIN["epochs"]
    assert json.dumps(infos[0].history) == json.dumps(infos[1].history)

    # The kept backbone is that of the best epoch, and nothing else of it is left in the folder of the run.
    assert infos[0].backbone_sha256 == infos[1].backbone_sha256
    for config, info in zip((plain, killed), infos, strict=True):
        backbone = load_backbone(str(Path(config.folder, "checkpoint", "backbone")), None)
        assert weights_sha256(backbone) == info.backbone_sha256
        assert not Path(config.folder, START_BACKBONE).exists()
        assert not Path(config.store).exists()

    with command("evaluate", path) as process:
        process.finish()
    folder = Path(killed.folder, "evaluation", "valid")
    measured = json.loads((folder / "metrics.json").read_text())
    assert measured["metrics"]["auroc"]["value"] == pytest.approx(infos[1].metrics["auroc"], abs=1e-6)
    output = tmp_path / "scores.csv"
    with command("predict", path, str(promoters / "valid.h5"), "--output", str(output)) as process:
        process.finish()
    before = pd.read_parquet(folder / "predictions.parquet")
    np.testing.assert_allclose(pd.read_csv(output)["probability"], before["probability"], atol=1e-6)


def test_a_frozen_backbone_gives_the_losses_of_the_store(make_config: Callable[..., RunConfig], tmp_path: Path):
    configs = [online_config(make_config, route, route=route, finetune=False) for route in ("cached", "online")]
    for config in configs:
        # `run` embeds first, where there is a store.
        with command("run", write(config, tmp_path)) as process:
            errors = process.finish()
        assert Path(config.store).exists() == (config.backbone.route == "cached")
        assert ("embedding" in errors) == (config.backbone.route == "cached")
    stored, online = (read_info(Path(config.folder, "checkpoint")) for config in configs)
    for mine, other in zip(online.history, stored.history, strict=True):
        assert mine == pytest.approx(other, abs=2e-6)
    assert online.backbone_sha256 == stored.backbone_sha256
