"""The paper's training by `raygenex train`, against a plain script, each as a process."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray_cost import ended_epochs

from peers.rows import Row, beside, close
from raygenex.config.data import SimulateConfig
from raygenex.data.simulate.run import simulate

HERE = Path(__file__).parent
JOB = """
output: {folder}/runs
data: {{train: {folder}/data/train.h5, valid: {folder}/data/valid.h5}}
backbone: {{kind: onehot}}
halflife: {{epochs: {pretraining}}}
model: {{kind: cnn_halflife_encoded, width: 32, channels: [32, 16, 8, 4], dense: [64]}}
train: {{epochs: {epochs}, global_batch_size: 32, learning_rate: 1.0e-4, workers: 1, cpus_per_worker: {cpus}}}
"""


def compare(small: bool) -> Iterator[Row]:
    """Yield a row of whole commands, and one of an epoch within them."""
    genes, window, epochs, pretraining, repeats = (128, 1000, 2, 2, 1) if small else (2000, 20_000, 3, 20, 3)
    with tempfile.TemporaryDirectory() as folder:
        simulate(SimulateConfig(train=genes, valid=genes // 8, test=8, window=window), Path(folder, "data"))
        job = Path(folder, "job.yaml")
        sizes = {"epochs": epochs, "pretraining": pretraining, "cpus": os.cpu_count()}
        job.write_text(JOB.format(folder=folder, **sizes), encoding="utf-8")
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}

        def ours() -> list[float]:
            run(["-m", "raygenex", "train", str(job), "--force"])
            seconds["ours"] += ended_epochs(Path(folder, "runs"), epochs)
            checkpoint = next(Path(folder, "runs").glob("*/checkpoint/*.json"))
            return [epoch["train_loss"] for epoch in json.loads(checkpoint.read_text())["history"]]

        def theirs() -> list[float]:
            found: dict[str, Any] = json.loads(run([str(HERE / "plain_paper.py"), str(job)]))
            seconds["theirs"] += found["seconds"][1:]
            return found["train_loss"]

        what = f"the paper's training, {genes:,} genes of {window:,} bases"
        peer = "plain PyTorch script"
        for row in beside(
            f"{what}, whole command, {epochs} epochs", ours, {peer: lambda: theirs}, close(1e-3), repeats
        ):
            yield row
        mine, plain = (statistics.median(times) for times in seconds.values())
        yield Row(f"{what}, an epoch", peer, f"{mine:.3g} s", f"{plain:.3g} s", f"{plain / mine:.2f}", row.same)


def run(arguments: list[str]) -> str:
    """Run Python in a process of its own, and return the last line that it prints."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]
    return (done.stdout.splitlines() or [""])[-1]
