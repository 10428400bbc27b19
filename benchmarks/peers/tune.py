"""What a trial of a search costs beside its training: `raygenex tune` with one trial at a time, against Optuna."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from peers.rows import Row, named
from raygenex.config.data import SimulateConfig
from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.data.opening import open_splits
from raygenex.data.simulate.run import simulate
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.inputs import open_inputs
from raygenex.train.network.epochs import NetworkFit
from raygenex.train.shard import GeneBatch, WorkerShard
from raygenex.train.worker import Worker
from raygenex.tune.records import Ledger

KEY = "train.learning_rate"
JOB = """
name: search
output: {folder}/runs
data: {{train: {folder}/data/train.h5, valid: {folder}/data/valid.h5}}
backbone: {{kind: onehot}}
model: {{kind: cnn_dna_only, width: 8, channels: [8], dense: [8]}}
train: {{epochs: 1, workers: 1, global_batch_size: 64}}
tune: {{space: {{train.learning_rate: {{log_uniform: [1.0e-4, 1.0e-2]}}}}, trials: {trials}, seeds: []}}
"""
SAME = "median of {trials} trials; best valid AUROC {ours:.3f}, {theirs:.3f}; raygenex trains in a process apart"


def compare(small: bool) -> Iterator[Row]:
    """Yield rows for Optuna that forgets, that remembers its study, and that also writes a run of MLflow a trial."""
    trials = 5 if small else 50
    with tempfile.TemporaryDirectory() as folder:
        simulate(SimulateConfig(train=64, valid=64, test=8, window=100), Path(folder, "data"))
        job = Path(folder, "job.yaml")
        job.write_text(JOB.format(folder=folder, trials=trials), encoding="utf-8")
        command = [sys.executable, "-m", "raygenex", "tune", str(job)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-1500:]
        ledger = Ledger(Path(load_config(job, ()).folder, "tune"))
        ledger.read()
        records = ledger.ended
        assert len(records) == trials, "every trial ended"
        ours = statistics.median(record.wall_s - record.training_s for record in records[1:])
        best = max(record.score for record in records)
        sides = {
            "optuna in memory": (None, lambda *_: None),
            "optuna in SQLite": (f"sqlite:///{folder}/study.db", lambda *_: None),
            "optuna in SQLite, with MLflow's runs": (f"sqlite:///{folder}/tracked.db", mlflow_track(folder)),
        }
        for name, (storage, track) in sides.items():
            theirs, other = with_optuna(load_config(job, ()), trials, storage, track)
            same = SAME.format(trials=trials, ours=best, theirs=other)
            shown = (f"{seconds:.3g} s" for seconds in (ours, theirs))
            yield Row("a trial beside its training", named(name), *shown, f"{theirs / ours:.2f}", same)


def with_optuna(
    config: RunConfig, trials: int, storage: str | None, track: Callable[[float, float], None]
) -> tuple[float, float]:
    """Search in this process; return the seconds of a trial beside its training, and the best valid AUROC."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    inputs = open_inputs(config, open_splits(config.data, ("train", "valid")))
    info = CheckpointInfo(config={}, config_hash="", inputs=inputs.info)
    shards = {}
    for name in ("train", "valid"):
        table = inputs.tables[name]
        columns = table.piece(0, table.count).read()
        parts = (torch.from_numpy(np.array(columns[column])) for column in ("sequence", "halflife", "label"))
        sequence, halflife, label = parts
        shards[name] = WorkerShard.of(GeneBatch(sequence, halflife.float(), label.float()))
    sizes = {name: [shard.count] for name, shard in shards.items()}
    trained, ended = [], []

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float(KEY, 1e-4, 1e-2, log=True)
        started = time.monotonic()
        options = config.model_copy(update={"train": config.train.model_copy(update={"learning_rate": rate})})
        fit = NetworkFit(Worker(options, info, 0, torch.device("cpu"), sizes, shards), None)
        fit.epoch()
        trained.append(time.monotonic() - started)
        auroc = fit.progress.history[-1]["valid_auroc"]
        track(rate, auroc)
        return auroc

    study = optuna.create_study(
        storage=storage, direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed)
    )
    began = time.monotonic()
    study.optimize(objective, trials, callbacks=[lambda *_: ended.append(time.monotonic())])
    walls = np.diff([began, *ended])
    return float(np.median((walls - trained)[1:])), study.best_value


def mlflow_track(folder: str) -> Callable[[float, float], None]:
    """Return what writes a trial as a run of MLflow, as scripts do."""

    def track(rate: float, auroc: float) -> None:
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{folder}/plain_mlflow.db")
        with mlflow.start_run():
            mlflow.log_params({KEY: rate})
            mlflow.log_metric("valid_auroc", auroc, step=0)

    return track
