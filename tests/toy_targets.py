"""A run of `toy_models.four_targets` with data, a checkpoint and its evaluation, made without Ray."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from toy_models import SMALL, columns, save_targets, write_promoters

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.explain import run as explain_run
from raygenex.files.fingerprint import fingerprint
from raygenex.train.checkpoint import InputInfo

GENES, WINDOW = 40, 20
HISTORY = [
    {"epoch": float(epoch), "train_loss": 1.0 - epoch / 10, "valid_loss": 0.9, "valid_score": 0.1 + epoch / 10}
    for epoch in range(3)
]


def make_target_run(root: Path, **explain: Any) -> RunConfig:
    """Write the data, the table of values and the checkpoint of a run; some genes of valid have no value."""
    files, tables = {}, []
    for number, split in enumerate(("train", "valid")):
        genes = columns(GENES, WINDOW, seed=number, prefix=f"{split}-")
        files[split] = write_promoters(root / f"{split}.h5", genes)
        rng = np.random.default_rng(number)
        signal = genes["halflife"][:, 0] + 0.3 * rng.normal(size=GENES)
        values = {"level": 2.0 ** (signal + 4), "reads": rng.poisson(np.exp(signal)), "life": signal}
        tables.append(pd.DataFrame({"gene_id": genes["gene_id"]} | values))
    table = pd.concat(tables)
    table.loc[table.gene_id.isin(["valid-3", "valid-17"]), ["level", "life"]] = np.nan
    path = str(root / "levels.tsv")
    table.to_csv(path, sep="\t", index=False)
    targets = [
        {"name": "level", "table": path, "unit": "TPM", "transform": "log2p1"},
        {"name": "high", "column": "label"},
        {"name": "reads", "table": path, "kind": "counts"},
        {"name": "life", "table": path, "unit": "hours", "loss": "gaussian"},
    ]
    values = SMALL | {"name": "toy", "output": str(root / "runs"), "data": files, "targets": targets}
    config = parse_config(values | {"evaluate": {"bootstrap": 100}, "explain": explain}, "test")
    (root / "runs" / "toy").mkdir(parents=True)
    inputs = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW)
    prints = {name: [fingerprint(file)] for name, file in files.items()}
    save_targets(
        Path(config.checkpoint), config, inputs, history=HISTORY, fingerprints=prints, versions={"raygenex": "0.1.0"}
    )
    return config


def explain_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `explain` compute in this process; no figure and no layout is made, which takes most of the time."""

    def by_actors(pieces: Any, _: Any, actor: Any, arguments: Any, *__: Any) -> Iterator[Any]:
        made = actor(*arguments)
        for piece in pieces:
            yield made(piece.read())

    monkeypatch.setattr("raygenex.data.source.by_actors", by_actors)
    monkeypatch.setattr(explain_run, "connect", lambda *_: nullcontext())
    monkeypatch.setattr("raygenex.explain.actors.prepare_process", lambda cpus: None)
    monkeypatch.setattr("raygenex.explain.results.projection.embed", lambda dense, *_: dense[:, :2].astype(float))
    for module in ("draw", "explained"):
        monkeypatch.setattr(f"raygenex.explain.results.{module}.save_figure", lambda *_: None)
