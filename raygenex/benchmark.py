"""Training every model of a comparison over several seeds, and the tables that come of it."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygenex.cluster import Request, connect
from raygenex.comparison_figures import forest, learning_curves, precision_recall_curves, roc_curves, save
from raygenex.config import CNN_KINDS, BenchmarkModel, HyenaBackbone, RunConfig, parse_config
from raygenex.data.guard import guard
from raygenex.data.opening import open_splits
from raygenex.errors import ConfigError, RaygenexError
from raygenex.locking import exclusive
from raygenex.progress import progress
from raygenex.registry import register
from raygenex.results import ModelResult, SeedResult, best_model
from raygenex.table_text import to_csv, to_json, to_markdown
from raygenex.tables import BenchmarkTable, benchmark_table
from raygenex.tracking import Tracker, flatten, tracking_uri
from raygenex.train.checkpoint import read_info

logger = logging.getLogger(__name__)

PARENT = "benchmark.json"


@dataclass(frozen=True)
class Job:
    """One training of the comparison."""

    model: str
    """Name of the row."""
    seed: int
    config: RunConfig
    """What is trained: the benchmark's configuration with the row's changes, in a folder of its own."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What came of a comparison."""

    folder: str
    """Folder of the tables and figures."""
    table: BenchmarkTable
    """All rows, and what failed."""
    winner: str | None
    """The model of the highest mean valid AUROC; None if all failed."""
    registered: str | None
    """URI of the winner in the registry."""
    run_id: str
    """MLflow's parent run."""
    seconds: float


def plan_jobs(config: RunConfig) -> list[Job]:
    """Return every training of a comparison, seed by seed, so that a first table is complete early.

    Raises
    ------
    ConfigError
        If a row changes a key that does not exist, or a value does not fit.
    """
    return [
        Job(model.name, seed, job_config(config, model, seed))
        for seed in config.benchmark.seeds
        for model in config.benchmark.models
    ]


def job_config(config: RunConfig, model: BenchmarkModel, seed: int) -> RunConfig:
    """Return the configuration of one training: the changed keys, the seed, and a folder below the benchmark's own."""
    values = config.dump()
    for key, value in model.set.items():
        _change(values, key, value, model.name)
    values["seed"] = seed
    values["name"] = f"{model.name}-{seed}"
    values["output"] = config.folder
    values["tracking"]["uri"] = tracking_uri(config)
    if isinstance(config.backbone, HyenaBackbone):
        # All models read one store; it does not depend on the model or its seed.
        values["embed"]["store"] = config.store
    # Beside each other, trainings share nothing but the data.
    values["benchmark"] = {}
    return parse_config(values, f"benchmark.models, {model.name}")


def _change(values: dict[str, Any], key: str, value: Any, name: str) -> None:
    *parents, last = key.split(".")
    if parents and parents[0] in ("data", "benchmark", "tracking", "cluster"):
        raise ConfigError(f"benchmark.models, {name}: {key} is common to all models and cannot be set for one")
    section = values
    for parent in parents:
        section = section.setdefault(parent, {})
    if key == "model.kind" and not {section["kind"], value} <= set(CNN_KINDS):
        # Sizes of one kind mean nothing to another; the four kinds of the CNN share theirs.
        section.clear()
    section[last] = value


def benchmark(config: RunConfig, force: bool = False) -> BenchmarkResult:
    """Train every model with every seed, measure them on one split, and write the tables.

    What is finished is not trained again. A training that fails is a row of the tables and sinks no other. The winner
    is the model of the highest mean valid AUROC; its seed of the median valid AUROC is registered.

    Parameters
    ----------
    config
        Its section benchmark says what is compared; everything else is common to all rows.
    force
        Whether everything is trained anew.

    Raises
    ------
    ConfigError, DataError, TrackingError, ClusterError
        If the rows, the data, MLflow or the cluster do not allow the comparison; nothing is trained then.
    """
    started = time.monotonic()
    jobs = plan_jobs(config)
    if not config.data.split(config.benchmark.split):
        raise ConfigError(f"benchmark.split is {config.benchmark.split}, but data.{config.benchmark.split} is not set")
    guard(config, strict=False)
    tracker = Tracker(config)
    folder = Path(config.folder, "benchmark")
    with exclusive(config.folder, "a benchmark"):
        folder.mkdir(parents=True, exist_ok=True)
        parent = _open_parent(tracker, config, folder)
        with tracker.ending(parent):
            models = _collect(config, jobs, dict(_run_jobs(config, jobs, parent, force)))
            winner = best_model(models)
            table = _write(folder, models, config)
            _log_table(tracker, parent, table)
            tracker.log_folder(parent, folder, "benchmark")
            registered = _register_winner(config, jobs, models, winner) if winner else None
    return BenchmarkResult(str(folder), table, winner, registered, parent, time.monotonic() - started)


def _collect(config: RunConfig, jobs: list[Job], found: dict[int, dict[str, Any]]) -> list[ModelResult]:
    """Read what every job left in its folder, model by model."""
    data = open_splits(config.data, config.data.configured)[config.benchmark.split]
    truth = dict(zip(data.gene_id.tolist(), data.label.tolist(), strict=True))
    seeds: dict[str, list[SeedResult]] = {}
    kinds: dict[str, str] = {}
    for number, job in enumerate(jobs):
        kinds[job.model] = job.config.model.kind
        outcome = found[number]
        result = (
            SeedResult(job.seed, error=outcome["error"])
            if outcome.get("error")
            else _read_result(job, config.benchmark.split, outcome, truth)
        )
        seeds.setdefault(job.model, []).append(result)
    return [ModelResult(name, kinds[name], tuple(results)) for name, results in seeds.items()]


def _read_result(job: Job, split: str, outcome: dict[str, Any], truth: dict[str, int]) -> SeedResult:
    import pyarrow.parquet as pq

    info = read_info(Path(job.config.folder, "checkpoint"))
    assert info.threshold is not None, "a run's checkpoint is final"
    scored = pq.read_table(Path(job.config.folder, "evaluation", split, "predictions.parquet"))
    genes = scored["gene_id"].to_pylist()
    return SeedResult(
        seed=job.seed,
        valid=_metrics(job, "valid"),
        test=_metrics(job, split),
        gene_ids=np.array(genes, dtype=np.str_),
        labels=np.array([truth[gene] for gene in genes], dtype=np.int64),
        probability=scored["probability"].to_numpy(),
        threshold=info.threshold,
        seconds=outcome["seconds"],
        peak_mb=outcome["peak_mb"],
        epochs=tuple(entry["valid_auroc"] for entry in info.history),
    )


def _metrics(job: Job, split: str) -> dict[str, float]:
    path = Path(job.config.folder, "evaluation", split, "metrics.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    return {name: interval["value"] for name, interval in report["metrics"].items()}


def _write(folder: Path, models: list[ModelResult], config: RunConfig) -> BenchmarkTable:
    """Write tables and figures, and return the table."""
    options = config.evaluate
    table = benchmark_table(
        models, config.benchmark.split, None, options.bootstrap, options.confidence, seed=config.seed
    )
    (folder / "tables.md").write_text(to_markdown(table), encoding="utf-8")
    (folder / "tables.json").write_text(to_json(table) + "\n", encoding="utf-8")
    to_csv(table, folder / "tables.csv")
    if table.rows:
        save(roc_curves(models, config.benchmark.split), folder / "roc")
        save(precision_recall_curves(models, config.benchmark.split), folder / "precision_recall")
        if any(result.epochs for model in models for result in model.finished):
            save(learning_curves(models), folder / "learning")
        save(forest(table), folder / "auroc")
    return table


def _register_winner(config: RunConfig, jobs: list[Job], models: list[ModelResult], winner: str) -> str:
    """Register the training of the winner whose valid AUROC is the median over its seeds."""
    model = next(model for model in models if model.name == winner)
    median = model.median_seed
    assert median is not None, "the winner was trained"
    chosen = next(job for job in jobs if job.model == winner and job.seed == median.seed)
    return register(chosen.config).uri


def _log_table(tracker: Tracker, parent: str, table: BenchmarkTable) -> None:
    numbers: dict[str, float] = {}
    for row in table.rows:
        numbers |= {f"{row.name}_{table.split}_{name}": summary.mean for name, summary in row.test.items()}
        numbers |= {f"{row.name}_valid_{name}": summary.mean for name, summary in row.valid.items()}
    finite = {name: value for name, value in numbers.items() if np.isfinite(value)}
    tracker.log_metrics(parent, finite, 0)


def _open_parent(tracker: Tracker, config: RunConfig, folder: Path) -> str:
    """Return MLflow's parent run of this comparison, the same one when it is continued."""
    path = folder / PARENT
    if path.exists():
        run_id = str(json.loads(path.read_text(encoding="utf-8"))["run_id"])
        if tracker.exists(run_id):
            tracker.reopen(run_id)
            return run_id
    tags = {"raygenex.stage": "benchmark", "raygenex.config_hash": config.hash()}
    run_id = tracker.start(f"{config.name} benchmark", flatten(config.dump()), tags)
    path.write_text(json.dumps({"run_id": run_id}) + "\n", encoding="utf-8")
    return run_id


def _run_jobs(config: RunConfig, jobs: list[Job], parent: str, force: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run jobs side by side, each in a fresh process of the cluster; yield the number of each and what it gave."""
    import ray

    options = config.benchmark
    each = max(job.config.train.workers * job.config.train.cpus_per_worker for job in jobs)
    request = Request("the benchmark", options.parallel, each, 0.0, "benchmark.parallel or train.workers")
    # A new process for every job: its peak memory is then its own.
    task = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(run_job)
    with connect(config.cluster, request), progress("training models", len(jobs)) as advance:
        waiting = iter(enumerate(jobs))
        running: dict[ray.ObjectRef, int] = {}
        while True:
            while len(running) < options.parallel and (entry := next(waiting, None)) is not None:
                number, job = entry
                logger.info("%d of %d: %s, seed %d", number + 1, len(jobs), job.model, job.seed)
                running[task.remote(job.config.dump(), options.split, parent, force)] = number
            if not running:
                return
            ready, _ = ray.wait(list(running), num_returns=1)
            number = running.pop(ready[0])
            outcome = _outcome(ready[0])
            _say(jobs[number], outcome)
            advance(1, jobs[number].model)
            yield number, outcome


def _outcome(ready: Any) -> dict[str, Any]:
    import ray
    from ray.exceptions import RayError

    try:
        outcome: dict[str, Any] = ray.get(ready)
    except RayError as error:
        return {"error": f"its process died ({str(error).strip().splitlines()[0]})"}
    return outcome


def _say(job: Job, outcome: dict[str, Any]) -> None:
    if outcome.get("error"):
        logger.warning("%s, seed %d failed: %s", job.model, job.seed, outcome["error"])
    else:
        note = "reused" if outcome["reused"] else f"{outcome['seconds']:.0f} s"
        logger.info("%s, seed %d: valid AUROC %.4f (%s)", job.model, job.seed, outcome["valid_auroc"], note)


def run_job(values: dict[str, Any], split: str, parent: str, force: bool) -> dict[str, Any]:
    """Train and measure one model, in a process of the cluster; an error becomes a sentence.

    Parameters
    ----------
    values
        The job's configuration, plain.
    split
        Which split is measured beside valid.
    parent
        MLflow's parent run.
    force
        Whether a finished training is repeated.

    Returns
    -------
    ``seconds`` and ``peak_mb`` of the training (0 if reused), ``reused``, ``valid_auroc``; or ``error``.
    """
    import resource

    from raygenex.evaluate import evaluate
    from raygenex.train.run import train

    config = parse_config(values, "the benchmark")
    cost = Path(config.folder, "cost.json")
    try:
        trained = train(config, force, parent=parent)
        if not trained.reused or not cost.exists():
            peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, trained.worker_peak_mb)
            cost.write_text(json.dumps({"seconds": trained.seconds, "peak_mb": peak}), encoding="utf-8")
        evaluate(config, "valid", force)
        if split != "valid":
            evaluate(config, split, force)
    except RaygenexError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001
        # One model's fault, whatever it is, must not sink the others; it stands in the table.
        return {"error": f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0]}"}
    return {
        **json.loads(cost.read_text(encoding="utf-8")),
        "reused": trained.reused,
        "valid_auroc": trained.metrics["auroc"],
    }
