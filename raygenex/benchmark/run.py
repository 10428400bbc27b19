"""Training every model of a comparison over several seeds, and the tables that come of it."""

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.benchmark.cells import plain
from raygenex.benchmark.jobs import SeedTraining, finished_jobs, job_metrics, plan_jobs, run_jobs
from raygenex.benchmark.results import ModelResult, S, SeedResult, best_model
from raygenex.benchmark.table_files import to_csv, to_json, to_markdown
from raygenex.benchmark.tables import BenchmarkTable, benchmark_table
from raygenex.benchmark.target_files import targets_markdown, write_files
from raygenex.benchmark.target_results import TargetSeed, read_target_seed
from raygenex.benchmark.target_tables import TargetBenchmark, target_benchmark
from raygenex.cluster.embedded import workers_ahead
from raygenex.config.run import RunConfig
from raygenex.data.check.guard import guard
from raygenex.data.make import plan_data
from raygenex.data.opening import SplitData, open_run
from raygenex.data.targets import read_target_values
from raygenex.embed.run import make_inputs, plan_embed
from raygenex.embed.store import read_manifest
from raygenex.errors import ConfigError, RaygenexError
from raygenex.files.json_file import load_json
from raygenex.files.locate import short_path
from raygenex.files.lock import exclusive
from raygenex.files.whole import replace_text
from raygenex.registry.register import register
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker, training_params
from raygenex.train.checkpoint import read_info
from raygenex.train.inputs import open_inputs
from raygenex.train.needs import check_workers

PARENT = "benchmark.json"


@dataclass(frozen=True)
class BenchmarkResult:
    """What came of a comparison."""

    folder: str
    """Folder of the tables and figures."""
    table: BenchmarkTable | TargetBenchmark
    """All rows, and what failed."""
    winner: str | None
    """The model of the highest mean valid AUROC, or score of targets; None if all failed."""
    registered: str | None
    """URI of the winner in the registry."""
    run_id: str
    """MLflow's parent run."""
    seconds: float

    def text(self) -> str:
        """Return the tables, where they are, and which model won."""
        table = self.table
        text = targets_markdown(table) if isinstance(table, TargetBenchmark) else to_markdown(table)
        lines = [text, f"tables and figures: {short_path(self.folder)}"]
        if self.winner is None:
            lines.append("every training failed, see the table")
        else:
            lines.append(f"best on valid: {self.winner}, registered as {self.registered}")
        return "\n".join([*lines, f"done in {self.seconds:.0f} s"])

    def values(self) -> dict[str, Any]:
        """Return the result as plain values."""
        values = {name: getattr(self, name) for name in ("folder", "winner", "registered", "run_id", "seconds")}
        return values | {"table": plain(self.table)}


def benchmark(config: RunConfig, force: bool = False) -> BenchmarkResult:
    """Train every model with every seed, measure them on one split, and write the tables.

    The data set is made and the promoters are embedded first, where the configuration says how and they are not there
    yet. What is finished is not trained again. A training that fails is a row of the tables and sinks no other. The
    winner is the model of the highest mean valid AUROC; its seed of the median valid AUROC is registered. With targets,
    the number of ``train.monitor`` takes the place of AUROC, or the mean over targets of their main metrics.

    Parameters
    ----------
    config
        Its section benchmark says what is compared; everything else is common to all rows.
    force
        Whether everything is trained again.

    Raises
    ------
    ConfigError, DataError, TrackingError, ClusterError
        If the rows, the data, MLflow or the cluster do not allow the comparison; nothing is trained then.
    """
    started = time.monotonic()
    jobs = plan_jobs(config)
    if not config.data.split(config.benchmark.split):
        split = config.benchmark.split
        raise ConfigError(f"{config.said('benchmark.split')} is {split}, but data.{split} is not set: set one of them")
    make_inputs(config, any(job.config.reads_store for job in jobs))
    splits = open_run(config, config.data.configured)
    data = splits[config.benchmark.split]
    measured = _measured(config, data)
    done = set() if force else finished_jobs(jobs, config.benchmark.split, splits)
    guard(config, strict=False)
    folder = Path(config.folder, "benchmark")
    with ExitStack() as stack:
        if len(done) < len(jobs):
            stack.enter_context(workers_ahead(config.cluster))
        tracker = Tracker(config)
        stack.enter_context(exclusive(config.folder, "a benchmark"))
        folder.mkdir(parents=True, exist_ok=True)
        parent = _open_parent(tracker, config, folder)
        with (
            Outbox(f"the benchmark {config.name}", config.tracking.patience_s) as outbox,
            tracker.ending(parent, outbox),
        ):
            found = dict(run_jobs(config, jobs, done, parent, force))
            table, winner, median = (
                _compare_labels(config, folder, jobs, data, found)
                if measured is None
                else _compare_targets(config, folder, jobs, measured, found)
            )
            outbox.add(lambda: tracker.log_metrics(parent, table.numbers(), 0), "the table")
            outbox.add(lambda: tracker.log_folder(parent, folder, "benchmark"), "the figures")
            registered = None
            if winner is not None:
                chosen = next(job for job in jobs if job.model == winner and job.seed == median)
                registered = outbox.ask(lambda: register(chosen.config).uri, "the winner")
    return BenchmarkResult(str(folder), table, winner, registered, parent, time.monotonic() - started)


Compared = tuple[BenchmarkTable | TargetBenchmark, str | None, int | None]
"""The tables, the best model, and its seed whose score on valid is the median; None if every training failed."""


def _compare_labels(
    config: RunConfig, folder: Path, jobs: list[SeedTraining], data: SplitData, found: dict[int, dict[str, Any]]
) -> Compared:
    truth = dict(zip(data.gene_id.tolist(), data.label.tolist(), strict=True))
    models = _collect(
        jobs,
        found,
        lambda job, outcome: _read_result(job, config.benchmark.split, outcome, truth),
        lambda seed, error: SeedResult(seed, error=error),
    )
    return _write(folder, models, config), best_model(models), _median_seed(models)


def _measured(config: RunConfig, data: SplitData) -> dict[str, NDArray[np.float32]] | None:
    """Return the values of all targets ``(T,)`` by gene; None for the label."""
    if not config.targets:
        return None
    values = read_target_values(config.targets, {data.name: data}).values[data.name]
    return dict(zip(data.gene_id.tolist(), values, strict=True))


def _compare_targets(
    config: RunConfig,
    folder: Path,
    jobs: list[SeedTraining],
    measured: dict[str, NDArray[np.float32]],
    found: dict[int, dict[str, Any]],
) -> Compared:
    """Do as `_compare_labels` for targets, whose values are as `_measured` gives them."""
    split, monitor = config.benchmark.split, config.train.monitor
    models = _collect(
        jobs,
        found,
        lambda job, outcome: read_target_seed(job, split, outcome, measured, monitor),
        lambda seed, error: TargetSeed(seed, error=error),
    )
    table = target_benchmark(models, split, monitor, config.evaluate, config.seed)
    write_files(folder, models, table)
    return table, table.best, _median_seed(models)


def _median_seed(models: list[ModelResult[S]]) -> int | None:
    """Return the seed of the best model whose score on valid is the median."""
    best = best_model(models)
    median = next((model.median_seed for model in models if model.name == best), None)
    return None if median is None else median.seed


def _collect(
    jobs: list[SeedTraining],
    found: dict[int, dict[str, Any]],
    read: Callable[[SeedTraining, dict[str, Any]], S],
    failed: Callable[[int, str], S],
) -> list[ModelResult[S]]:
    """Read what every job left in its folder, model by model."""
    seeds: dict[str, list[S]] = {}
    kinds: dict[str, str] = {}
    for number, job in enumerate(jobs):
        kinds[job.model] = job.config.model.kind
        outcome = found[number]
        result = failed(job.seed, outcome["error"]) if outcome.get("error") else read(job, outcome)
        seeds.setdefault(job.model, []).append(result)
    return [ModelResult(name, kinds[name], tuple(results)) for name, results in seeds.items()]


def _read_result(job: SeedTraining, split: str, outcome: dict[str, Any], truth: dict[str, int]) -> SeedResult:
    import pyarrow.parquet as pq

    info = read_info(Path(job.config.checkpoint))
    assert info.threshold is not None, "a run's checkpoint is final"
    scored = pq.read_table(Path(job.config.folder, "evaluation", split, "predictions.parquet"))
    genes = scored["gene_id"].to_pylist()
    return SeedResult(
        seed=job.seed,
        valid=job_metrics(job, "valid"),
        test=job_metrics(job, split),
        gene_ids=np.array(genes, dtype=np.str_),
        labels=np.array([truth[gene] for gene in genes], dtype=np.int64),
        probability=scored["probability"].to_numpy(),
        threshold=info.threshold,
        seconds=math.nan if outcome["seconds"] is None else outcome["seconds"],
        peak_mb=outcome["peak_mb"],
        epochs=tuple(entry["valid_auroc"] for entry in info.history),
    )


def _write(folder: Path, models: list[ModelResult[SeedResult]], config: RunConfig) -> BenchmarkTable:
    """Write tables and figures, and return the table."""
    options = config.evaluate
    table = benchmark_table(
        models, config.benchmark.split, None, options.bootstrap, options.confidence, seed=config.seed
    )
    replace_text(folder / "tables.md", to_markdown(table))
    replace_text(folder / "tables.json", to_json(table))
    to_csv(table, folder / "tables.csv")
    if table.rows:
        _draw(folder, models, table)
    return table


def _draw(folder: Path, models: list[ModelResult[SeedResult]], table: BenchmarkTable) -> None:
    from raygenex.benchmark.figures import forest, learning_curves, precision_recall_curves, roc_curves
    from raygenex.drawing.style import save

    drawn = {
        "roc": roc_curves(models, table.split),
        "precision_recall": precision_recall_curves(models, table.split),
        "auroc": forest(table),
    }
    if any(result.epochs for model in models for result in model.finished):
        drawn["learning"] = learning_curves(models)
    for name, figure in drawn.items():
        for suffix in ("svg", "pdf", "png"):
            save(figure, folder / f"{name}.{suffix}")


def _open_parent(tracker: Tracker, config: RunConfig, folder: Path) -> str:
    """Return MLflow's parent run of this comparison, the same one when it is continued."""
    path = folder / PARENT
    if path.exists():
        run_id = str(load_json(path)["run_id"])
        if tracker.exists(run_id):
            tracker.reopen(run_id)
            return run_id
    tags = {"raygenex.stage": "benchmark", "raygenex.config_hash": config.hash()}
    run_id = tracker.start(
        f"{config.name} benchmark", training_params(config.dump(), "benchmark", "embed", "evaluate", "halflife"), tags
    )
    replace_text(path, json.dumps({"run_id": run_id}) + "\n")
    return run_id


def plan_benchmark(config: RunConfig, force: bool) -> list[str]:
    """Say which models would be trained, and which are trained already."""
    jobs = plan_jobs(config)
    steps, made = plan_data(config)
    embedded = True
    done: set[int] = set()
    if made:
        splits = open_run(config, tuple(dict.fromkeys(("train", "valid", config.benchmark.split))))
        counts = ", ".join(f"{name} {split.rows}" for name, split in splits.items())
        steps.append(f"check: {counts} genes")
    if any(job.config.reads_store for job in jobs):
        manifest = read_manifest(config.store)
        embedded = manifest is not None and manifest.complete
        steps.append(plan_embed(config, force=False) if made else f"embed: into {short_path(config.store)}")
    if made and embedded and not force:
        done = finished_jobs(jobs, config.benchmark.split, splits)
    for number, job in enumerate(jobs):
        status = "finished" if number in done else "to do"
        if made and (embedded or not job.config.reads_store) and number not in done:
            try:
                check_workers(job.config, open_inputs(job.config, {name: splits[name] for name in ("train", "valid")}))
            except RaygenexError as error:
                status = f"will fail: {error}"
        steps.append(f"train: {job.model} ({job.config.model.kind}), seed {job.seed} ({status})")
    return [*steps, f"compare: on {config.benchmark.split}, into {short_path(config.folder)}/benchmark"]
