"""What Ray costs a training: ``raygenex train`` against the same loop in plain PyTorch on tensors in memory.

``python benchmarks/ray_cost.py [core60 | embeddings] [--epochs 6] [--rounds 3]``. ``core60`` trains jobs/core60.yaml on
the human promoters in ``RAYGENEX_SHARED_DATA/core60``; ``embeddings`` trains a narrower network of the kind of
jobs/paper.yaml on 4,000 simulated genes with random embeddings of 157 bins and 128 channels. Both sides have one
process and one thread, and take turns: plain, Ray, plain, plain, Ray, plain, ... Seconds of an epoch are the times
between the ends of epochs, from the second epoch on; those of ``train`` are what MLflow has.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import print_ratio, print_table
from mlflow import MlflowClient

from raygenex.config.data import SimulateConfig
from raygenex.config.embed import HyenaBackbone
from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.data.opening import open_splits
from raygenex.data.simulate.run import simulate
from raygenex.embed.hyenadna.weights import build_backbone, save_backbone, weights_sha256
from raygenex.embed.run import store_identity
from raygenex.embed.shards import write_shard
from raygenex.embed.store import BACKBONE_FOLDER
from raygenex.files.parts import write_manifest

HERE = Path(__file__).parent
JOBS = HERE.parent / "jobs"
BINS, BIN, CHANNELS = 157, 16, 128
ONE_WORKER = ["train.workers=1", "train.cpus_per_worker=1", "train.use_gpu=false", "train.patience=null"]


def core60(folder: Path) -> tuple[Path, list[str]]:
    """Return the job of the human core promoters, and what is changed of it."""
    assert os.environ.get("RAYGENEX_SHARED_DATA"), "set RAYGENEX_SHARED_DATA to the folder that holds core60"
    return JOBS / "core60.yaml", [*ONE_WORKER, "halflife.epochs=1", f"output={folder / 'core60'}"]


def embeddings(folder: Path, genes: int = 4000) -> tuple[Path, list[str]]:
    """Simulate genes, write a store of random embeddings of them, and return the job that trains on it."""
    window = BINS * BIN
    made = simulate(SimulateConfig(train=genes, valid=genes // 10, test=10, window=window), folder / "data")
    assert made, "simulated"
    changed = [
        *ONE_WORKER,
        *(f"data.{name}={folder}/data/{name}.h5" for name in ("train", "valid")),
        "data.test=[]",
        "backbone.weights=null",
        "backbone.revision=null",
        f"backbone.d_model={CHANNELS}",
        "backbone.n_layer=1",
        f"embed.bin_size={BIN}",
        "embed.gpus_per_actor=0",
        "halflife.epochs=1",
        "model.width=64",
        "model.channels=[64,32,16]",
        "train.global_batch_size=64",
        f"output={folder / 'embeddings'}",
    ]
    os.environ.setdefault("RAYGENEX_DATA", str(folder))
    config = load_config(JOBS / "paper.yaml", changed)
    write_random_store(config)
    return JOBS / "paper.yaml", changed


def write_random_store(config: RunConfig) -> None:
    """Write a complete store of normally distributed embeddings for the splits of a configuration."""
    assert isinstance(config.backbone, HyenaBackbone), "a store belongs to a backbone"
    splits = open_splits(config.data, config.data.configured)
    window = next(iter(splits.values())).window
    backbone = build_backbone(config.backbone, window)
    digest, width = weights_sha256(backbone), backbone.config.d_model
    manifest = store_identity(config, window, splits, digest, width)
    manifest.complete = True
    rng, step = np.random.default_rng(0), config.embed.rows_per_file
    for name, split in splits.items():
        for start in range(0, split.rows, step):
            rows = np.arange(start, min(start + step, split.rows))
            columns = {"gene_id": split.gene_id[rows], "row": rows, "halflife": split.halflife[rows]}
            columns["label"] = split.label[rows]
            drawn = rng.standard_normal((len(rows), *manifest.shape), dtype=np.float32)
            write_shard(config.store, name, columns, drawn.astype(config.embed.dtype))
    save_backbone(backbone, Path(config.store, BACKBONE_FOLDER))
    write_manifest(config.store, manifest)


def plain_seconds(job: Path, changed: list[str], epochs: int) -> list[float]:
    """Train without Ray; return the seconds of the epochs after the first."""
    command = [sys.executable, str(HERE / "plain_loop.py"), str(job), str(epochs), *changed]
    found = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return json.loads(found.stdout)[1:]


def ray_seconds(job: Path, changed: list[str], epochs: int) -> list[float]:
    """Train with ``raygenex train``; return the seconds of the epochs after the first."""
    options = [part for change in (*changed, f"train.epochs={epochs}") for part in ("-o", change)]
    subprocess.run(
        [sys.executable, "-m", "raygenex", "train", str(job), *options, "--force"], check=True, capture_output=True
    )
    output = next(change for change in changed if change.startswith("output="))
    return ended_epochs(Path(output.removeprefix("output=")), epochs)


def ended_epochs(output: Path, epochs: int) -> list[float]:
    """Return the seconds between the ends of epochs, which MLflow has, of the training that was begun last."""
    client = MlflowClient(f"sqlite:///{output}/mlflow.db")
    experiment = client.get_experiment_by_name("raygenex")
    runs = client.search_runs(
        [experiment.experiment_id], "tags.`raygenex.stage` = 'train'", order_by=["start_time DESC"]
    )
    ended = client.get_metric_history(runs[0].info.run_id, "epoch_train_loss")
    assert len(ended) == epochs, "every epoch is in MLflow"
    return list(np.diff(sorted(metric.timestamp / 1000 for metric in ended)))


def compare(name: str, job: Path, changed: list[str], epochs: int, rounds: int) -> list[object]:
    """Let both sides train in turns; return a row of the table."""
    config = load_config(job, changed)
    genes = open_splits(config.data, ("train",))["train"].rows
    plain, ray, ratios = [], [], []
    for turn in range(rounds):
        before = plain_seconds(job, changed, (epochs + 1) // 2)
        mine = ray_seconds(job, changed, epochs)
        # The other side before and after: what else the machine does meets both.
        around = [*before, *plain_seconds(job, changed, (epochs + 1) // 2)]
        plain, ray = [*plain, *around], [*ray, *mine]
        ratios.append(statistics.median(around) / statistics.median(mine))
        print(f"{name}, turn {turn + 1} of {rounds}: {ratios[-1]:.3f}", file=sys.stderr, flush=True)
    plain_s, ray_s = statistics.median(plain), statistics.median(ray)
    shown = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    return [
        name,
        f"{genes:,}",
        f"{plain_s:.2f}",
        f"{genes / plain_s:,.0f}",
        f"{ray_s:.2f}",
        f"{genes / ray_s:,.0f}",
        shown,
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", choices=["core60", "embeddings"], default="core60", help="the data")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of each training, the first not counted")
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    given = parser.parse_args()
    cases = {"core60": core60, "embeddings": embeddings}
    with tempfile.TemporaryDirectory() as folder:
        row = compare(given.case, *cases[given.case](Path(folder)), given.epochs, given.rounds)
    header = ["data", "genes", "plain s/epoch", "plain genes/s", "Ray s/epoch", "Ray genes/s", "Ray over plain (range)"]
    print_table(header, [row])
    print_ratio(f"ray_cost_{given.case}", float(str(row[-1]).split()[0]))


if __name__ == "__main__":
    main()
