"""The trainings of a comparison: which there are, and their running side by side on the cluster."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raygenex.cluster.connect import Request, open_cluster, preflight, user_errors
from raygenex.config.benchmark import BenchmarkModel
from raygenex.config.embed import HyenaBackbone
from raygenex.config.load import change_keys, parse_config
from raygenex.config.run import RunConfig
from raygenex.data.opening import SplitData
from raygenex.errors import CheckpointError, ConfigError, RaygenexError, first_line
from raygenex.files.json_file import load_json
from raygenex.files.whole import replace_text
from raygenex.redact import redact
from raygenex.terminal.progress import duration, progress
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import read_info
from raygenex.train.inputs import check_targets, open_inputs
from raygenex.train.needs import uses_gpu
from raygenex.train.state import known_state, read_state
from raygenex.train.targets import joint_score

logger = logging.getLogger(__name__)

COST = "cost.json"
ROW_SECTIONS = ("model", "halflife", "train", "predict")
"""What may differ between the models that are compared: everything else decides what they are compared on."""


@dataclass(frozen=True)
class SeedTraining:
    """One training of the comparison."""

    model: str
    """Name of the row."""
    seed: int
    config: RunConfig
    """What is trained: the benchmark's configuration with the row's changes, in a folder of its own."""

    @property
    def cost(self) -> Path:
        """The file that says what the training took."""
        return Path(self.config.folder, COST)


def plan_jobs(config: RunConfig) -> list[SeedTraining]:
    """Return every training of a comparison, seed by seed, so that a first table is complete early.

    Raises
    ------
    ConfigError
        If a row changes a key that does not exist, a value does not fit, or its model cannot learn the targets.
    """
    jobs = [
        SeedTraining(model.name, seed, job_config(config, model, seed))
        for seed in config.benchmark.seeds
        for model in config.benchmark.models
    ]
    for job in jobs:
        check_targets(job.config)
    return jobs


def job_config(config: RunConfig, model: BenchmarkModel, seed: int) -> RunConfig:
    """Return the configuration of one training: the changed keys, the seed, and a folder below the benchmark's own."""
    values = config.dump()
    where = f"{config.said('benchmark.models')}, {model.name}"
    for key in model.set:
        if (section := key.split(".")[0]) not in ROW_SECTIONS:
            raise ConfigError(
                f"{where}: {section} is common to all models, and a row sets keys of {', '.join(ROW_SECTIONS)} alone"
            )
    change_keys(values, [(key, value, f"{where}: {key}") for key, value in model.set.items()])
    values["seed"] = seed
    values["name"] = f"{model.name}-{seed}"
    values["output"] = config.folder
    values["tracking"]["uri"] = tracking_uri(config)
    if isinstance(config.backbone, HyenaBackbone) and config.backbone.route == "cached":
        # All models read one store; it does not depend on the model or its seed.
        values["embed"]["store"] = config.store
    # Beside each other, trainings share nothing but the data.
    values["benchmark"], values["tune"] = {}, {}
    return parse_config(values, where)


def finished_jobs(jobs: list[SeedTraining], split: str, splits: dict[str, SplitData]) -> set[int]:
    """Return the numbers of the jobs that are trained and measured already.

    Raises
    ------
    CheckpointError
        If the folder of a job holds a run of something else.
    """
    done = set()
    for number, job in enumerate(jobs):
        folder = Path(job.config.folder)
        if read_state(folder) is None:
            continue
        inputs = open_inputs(job.config, {name: splits[name] for name in ("train", "valid")})
        try:
            state = known_state(folder, inputs.identity)
        except CheckpointError:
            raise CheckpointError(
                f"{folder} holds a run with other settings or data: rename the row {job.model}, remove that folder, or "
                "pass --force to train all rows again"
            ) from None
        measured = all((folder / "evaluation" / name / "metrics.json").exists() for name in ("valid", split))
        if state is not None and state.finished and measured and job.cost.exists():
            done.add(number)
    return done


def run_jobs(
    config: RunConfig, jobs: list[SeedTraining], done: set[int], parent: str, force: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run jobs side by side, each in a fresh process of the cluster; yield the number of each and what it gave.

    Those that are done (`finished_jobs`) need no process: what they left is read here. ``parent`` is MLflow's run above
    them, and with ``force`` finished trainings are repeated.

    Raises
    ------
    ClusterError
        If the cluster has no room for ``benchmark.parallel`` trainings at a time.
    """
    import ray

    options = config.benchmark
    for number in sorted(done):
        yield number, run_job(jobs[number].config.dump(), options.split, parent, force=False)
    if len(done) == len(jobs):
        return
    training, scoring = requests(config, jobs)
    with (
        open_cluster(config.cluster, max(training.total_cpus, scoring.total_cpus)),
        user_errors(),
        progress("training models", len(jobs), len(done)) as advance,
    ):
        for request in (training, scoring):
            preflight(request, config.cluster.wait_s)
        # A new process for every job: its peak memory is then its own.
        task = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(run_job)
        todo = [number for number in range(len(jobs)) if number not in done]
        remaining = Remaining([jobs[number].model for number in todo], options.parallel)
        waiting = iter(todo)
        running: dict[ray.ObjectRef, tuple[int, float]] = {}
        while True:
            while len(running) < options.parallel and (following := next(waiting, None)) is not None:
                job = jobs[following]
                logger.info("%d of %d: %s, seed %d", following + 1, len(jobs), job.model, job.seed)
                running[task.remote(job.config.dump(), options.split, parent, force)] = following, time.monotonic()
            if not running:
                return
            ready, _ = ray.wait(list(running), num_returns=1)
            number, started = running.pop(ready[0])
            outcome = _outcome(ready[0])
            # What was reused says nothing of what is still to train.
            seconds = None if outcome.get("reused") else time.monotonic() - started
            left = remaining.after(jobs[number].model, seconds)
            _say(jobs[number], outcome, left)
            advance(1, left)
            yield number, outcome


class Remaining:
    """How long the trainings that are not done may take, ``parallel`` at a time, judged by those that are.

    ``models`` names the model of every training.
    """

    def __init__(self, models: list[str], parallel: int) -> None:
        self.todo = list(models)
        self.parallel = parallel
        self.seconds: dict[str, list[float]] = {}

    def after(self, model: str, seconds: float | None) -> str:
        """Take note of a training that ended after ``seconds`` (None: it was there already); return what remains.

        A model that was trained before is taken to last as long again, another as long as the mean of all.
        """
        self.todo.remove(model)
        if seconds is not None:
            self.seconds.setdefault(model, []).append(seconds)
        if not self.todo:
            return "all done"
        known = [value for values in self.seconds.values() for value in values]
        if not known:
            return f"{len(self.todo)} to go"
        mean = sum(known) / len(known)
        each = {name: sum(values) / len(values) for name, values in self.seconds.items()}
        total = sum(each.get(name, mean) for name in self.todo) / min(self.parallel, len(self.todo))
        return f"{len(self.todo)} to go, about {duration(total)}"


def requests(config: RunConfig, jobs: list[SeedTraining], what: str = "the benchmark") -> tuple[Request, Request]:
    """Return what the trainings that run beside each other need of the cluster, and then their scoring.

    ``what`` names them in messages.
    """
    trains, scores = [job.config.train for job in jobs], [job.config.predict for job in jobs]
    parallel = config.benchmark.parallel
    training = Request(
        what,
        parallel * max(train.workers for train in trains),
        max(train.cpus_per_worker for train in trains),
        1.0 if any(uses_gpu(job.config) for job in jobs) else 0.0,
        "benchmark.parallel or train.workers",
        parallel * max(train.fewest_workers for train in trains),
    )
    scoring = Request(
        f"{what}'s evaluation",
        parallel * max(score.workers for score in scores),
        max(score.cpus_per_worker for score in scores),
        max(score.gpus_per_worker for score in scores),
        "benchmark.parallel or predict.workers",
    )
    return training, scoring


def _outcome(ready: Any) -> dict[str, Any]:
    import ray
    from ray.exceptions import RayError

    try:
        outcome: dict[str, Any] = ray.get(ready)
    except RayError as error:
        return {"error": f"its process died ({first_line(error)})"}
    return outcome


def _say(job: SeedTraining, outcome: dict[str, Any], left: str) -> None:
    if outcome.get("error"):
        logger.warning("%s, seed %d failed: %s; %s", job.model, job.seed, outcome["error"], left)
    else:
        note = "reused" if outcome["reused"] else f"{outcome['wall_s']:.0f} s"
        what = "score" if job.config.targets else "AUROC"
        logger.info("%s, seed %d: valid %s %.4f (%s); %s", job.model, job.seed, what, outcome["score"], note, left)


def run_job(values: dict[str, Any], split: str, parent: str, force: bool) -> dict[str, Any]:
    """Train and measure one model, on ``split`` beside valid, in a process of the cluster; an error becomes a sentence.

    Returns
    -------
    ``seconds`` (None if it was interrupted) and ``peak_mb`` of the training, as it was, if it is reused; ``reused``,
    ``score`` on valid, the AUROC of a label, and ``wall_s``, the seconds with both evaluations; or ``error``.
    """
    import resource

    from raygenex.evaluate import evaluate
    from raygenex.train.run import train

    started = time.monotonic()
    config = parse_config(values, "the benchmark")
    cost = Path(config.folder, COST)
    try:
        trained = train(config, force, parent=parent)
        if not trained.reused or not cost.exists():
            peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, trained.worker_peak_mb)
            # Of a training that was interrupted, this process knows the last part alone.
            seconds = None if trained.reused or trained.continued else trained.seconds
            replace_text(cost, json.dumps({"seconds": seconds, "peak_mb": peak}))
        evaluate(config, "valid", force)
        if split != "valid":
            evaluate(config, split, force)
    except RaygenexError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001
        # One model's fault, whatever it is, must not sink the others; it is in the table.
        return {"error": redact(first_line(error, named=True))}
    return {
        **load_json(cost),
        "reused": trained.reused,
        "wall_s": time.monotonic() - started,
        "score": _score(config, trained.metrics),
    }


def _score(config: RunConfig, metrics: dict[str, float]) -> float:
    if not config.targets:
        return metrics["auroc"]
    return joint_score(read_info(config.checkpoint).targets, metrics, config.train.monitor)


def job_metrics(job: SeedTraining, split: str) -> dict[str, float]:
    """Return what the evaluation of a finished job measured on a split, without the intervals."""
    path = Path(job.config.folder, "evaluation", split, "metrics.json")
    report: dict[str, Any] = load_json(path)
    return {name: interval["value"] for name, interval in report["metrics"].items()}
