"""A write that fails in the middle leaves what was there, nothing else, and one sentence that names the file.

The disk is full by a limit on the size of files, which every user may set for a process.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from toy_disk import room
from toy_embed import store_manifest
from toy_models import columns, small_config

from raygenex.data.hdf5.write import PromoterWriter
from raygenex.data.splits.file import SplitTable, write_split
from raygenex.drawing import html
from raygenex.drawing.style import save
from raygenex.embed.shards import write_shard
from raygenex.errors import RaygenexError
from raygenex.explain.parts import write_part
from raygenex.explain.results.saving import save_figure, write_table
from raygenex.files.errors import file_error
from raygenex.files.parts import write_manifest
from raygenex.files.whole import replace_text
from raygenex.predict.table import open_predictions
from raygenex.train.network.halflife_stage import keep_start
from raygenex.train.network.halflife_start import Start
from raygenex.train.state import RunState, write_state
from raygenex.train.targets import LABEL_TYPES
from raygenex.tune.records import Ledger, TrialRecord

ROOM = 64
"""Bytes that fit."""


def _shard(path: Path, seed: int) -> None:
    genes = columns(4, 8, seed) | {"row": np.arange(4)}
    write_shard(str(path.parent.parent), "train", genes, np.ones((4, 2, 3), np.float32))


def _manifest(path: Path, seed: int) -> None:
    write_manifest(str(path.parent), store_manifest(package_version=str(seed)))


def _predictions(path: Path, seed: int) -> None:
    genes = np.array([f"G{number}" for number in range(20)])
    with open_predictions(path, LABEL_TYPES) as add:
        add(genes, {"probability": np.random.default_rng(seed).random(20), "prediction": np.ones(20, np.int8)})


def _promoters(path: Path, seed: int) -> None:
    genes = columns(4, 8, seed)
    with PromoterWriter(path, 8, overwrite=True) as writer:
        writer.append(genes["gene_id"], genes["sequence"], genes["halflife"], genes["label"])


def _split(path: Path, seed: int) -> None:
    genes = np.array([f"G{number}" for number in range(20)], dtype=object)
    table = SplitTable(genes, np.full(20, "1", object), genes, np.full(20, "train", object), {"seed": seed})
    write_split(table, path, overwrite=True)


def _start(path: Path, seed: int) -> None:
    keep_start(Start({"mean": torch.full((100,), seed)}, None), path.parent, str(seed), small_config(), [])


def _trial(path: Path, seed: int) -> None:
    ledger = Ledger(path.parent.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    ledger.keep(TrialRecord(number=0, params={"model.dropout": seed}, reason="a reason of some length"))


def _figure(path: Path, seed: int) -> None:
    save(Figure(), path)


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "text.txt": lambda path, seed: replace_text(path, f"{seed}" * 100),
    "split=train/rows-00000000-00000004.parquet": _shard,
    "manifest.json": _manifest,
    "scores.parquet": _predictions,
    "scores.csv": _predictions,
    "loss.png": _figure,
    "roc.svg": _figure,
    "bars.svg": lambda path, seed: save_figure(path.parent, "bars", (2, 2), lambda axes: axes),
    "table.csv": lambda path, seed: write_table(path, ("a", "b"), [(seed, seed)] * 40),
    "part-00000000-00000004.npz": lambda path, seed: write_part(path.parent, 0, columns(4, 8, seed)) and None,
    "page.html": lambda path, seed: html.write_page(path, f"{seed}" * 100) and None,
    "train.h5": _promoters,
    "split.tsv": _split,
    "encoder/scaler.safetensors": _start,
    "run.json": lambda path, seed: write_state(path.parent, RunState(identity=f"{seed}", run_id="a", finished=True)),
    "trials/0000.json": _trial,
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_what_does_not_fit_leaves_what_was_there(tmp_path: Path, name: str):
    path, write = tmp_path / name, WRITERS[name]
    write(path, 1)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert path in before
    assert len(before[path]) > ROOM
    with pytest.raises((OSError, RaygenexError)) as found, room(ROOM):
        write(path, 2)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    told = str(found.value if isinstance(found.value, RaygenexError) else file_error(found.value))
    target = path.parent if name.startswith("encoder") else path
    assert str(target) in told
    assert os.strerror(errno.EFBIG) in told
    assert "\n" not in told
    write(path, 2)
    assert path.exists()
