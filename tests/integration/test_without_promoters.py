"""Half-life features without DNA, end to end: build, train, evaluate, predict."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_features import toy_features, write_features

from raygenex.config.run import RunConfig
from raygenex.data.make import build_data
from raygenex.evaluate import evaluate
from raygenex.predict.run import predict
from raygenex.train.checkpoint import read_info
from raygenex.train.run import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


def test_from_a_table_to_predictions(make_config: Callable[..., RunConfig], tmp_path: Path):
    table = write_features(tmp_path / "table.tsv", toy_features(200))
    config = make_config(
        data={name: str(tmp_path / "data" / f"{name}.h5") for name in ("train", "valid", "test")},
        build={"features": table, "promoters": False},
        split={"rule": "chromosome", "valid": [3], "test": [4]},
        model={"kind": "cnn_halflife_only"},
        # Too little memory to keep the genes: they stream from Ray Data and are shuffled within its buffer.
        train={"epochs": 2, "workers": 1, "memory_gib": 1e-6},
        predict={"cpus_per_worker": 0.5},
    )
    built = build_data(config, force=False)
    assert built.rows == {"train": 100, "valid": 50, "test": 50}
    trained = train(config)
    info = read_info(trained.checkpoint)
    assert (info.inputs.window, info.reads_dna, len(info.history)) == (0, False, 2)

    measured = evaluate(config, "valid")
    for name, interval in measured.metrics.items():
        assert interval.value == pytest.approx(trained.metrics[name], abs=1e-6), name
    output = tmp_path / "scores.csv"
    assert predict(config, [built.files["valid"]], trained.checkpoint, str(output)).genes == 50
    scores = pd.read_csv(output)
    before = pd.read_parquet(Path(measured.folder, "predictions.parquet"))
    np.testing.assert_allclose(scores["probability"], before["probability"], atol=1e-6)
