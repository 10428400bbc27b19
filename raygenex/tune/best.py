"""The best settings of a study, trained again: several seeds on the full number of epochs, measured once on test."""

import logging
from dataclasses import dataclass

from raygenex.benchmark.jobs import SeedTraining, finished_jobs, job_config, job_metrics, requests, run_jobs
from raygenex.cluster.connect import Request
from raygenex.config.benchmark import BenchmarkConfig, BenchmarkModel
from raygenex.config.model import KmerConfig
from raygenex.config.run import RunConfig
from raygenex.data.opening import open_run
from raygenex.errors import RaygenexError
from raygenex.registry.register import register
from raygenex.stats.compare import Summary, seed_summary
from raygenex.train.checkpoint import read_info
from raygenex.train.needs import uses_gpu
from raygenex.train.targets import joint_score, score_names
from raygenex.tune.records import TrialRecord
from raygenex.tune.space import Space

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Best:
    """The trainings of the best settings."""

    seeds: tuple[int, ...]
    split: str
    """What they were measured on beside valid: test, where the configuration has one."""
    valid: dict[str, list[float]]
    """Metrics on valid, one value per seed."""
    test: dict[str, list[float]]
    """Metrics on ``split``, one value per seed."""
    registered: str
    """URI of the seed of the median valid AUROC, or score of targets."""
    shown: tuple[str, ...]
    """The metrics that say most."""

    def summary(self, split: str, metric: str) -> Summary:
        """Return mean and spread of a metric over the seeds, on ``valid`` or ``test``."""
        return seed_summary((self.valid if split == "valid" else self.test)[metric])

    def numbers(self) -> dict[str, float]:
        """Return the means, as MLflow is told of them."""
        means = {f"best_valid_{name}": self.summary("valid", name).mean for name in self.valid}
        if self.split != "valid":
            means |= {f"best_{self.split}_{name}": self.summary("test", name).mean for name in self.test}
        return means


def train_best(config: RunConfig, space: Space, best: TrialRecord, parent: str, force: bool) -> Best:
    """Train the settings of a trial with every seed of ``tune.seeds``; what is there is reused, unless ``force``.

    Raises
    ------
    RaygenexError
        If a training fails.
    """
    options = config.tune
    # Another trial may be the best when the study has grown: its trainings have folders of their own.
    row = BenchmarkModel(name=f"trial{best.number}", set=space.decoded(best.params))
    config, jobs = _plan(config, row)
    split = config.benchmark.split
    splits = open_run(config, config.data.configured)
    done = set() if force else finished_jobs(jobs, split, splits)
    logger.info("training the best settings, those of trial %d, again: seeds %s", best.number, list(options.seeds))
    for number, outcome in run_jobs(config, jobs, done, parent, force):
        if outcome.get("error"):
            raise RaygenexError(f"the best settings failed with seed {jobs[number].seed}: {outcome['error']}")
    valid, test = ([job_metrics(job, name) for job in jobs] for name in ("valid", split))
    targets = read_info(jobs[0].config.checkpoint).targets

    def score(number: int) -> float:
        return joint_score(targets, valid[number], config.train.monitor) if targets else valid[number]["auroc"]

    median = sorted(range(len(jobs)), key=score)[(len(jobs) - 1) // 2]
    shown = tuple(score_names(targets)) or ("auroc", "auprc", "f1")
    registered = register(jobs[median].config)
    return Best(options.seeds, split, _columns(valid), _columns(test), registered.uri, shown)


def best_requests(config: RunConfig) -> tuple[Request, ...]:
    """Return what the trainings of the best settings, and their scoring, will need of the cluster."""
    if not config.tune.seeds:
        return ()
    return requests(*_plan(config, BenchmarkModel(name="best")), what="the training of the best settings")


def _plan(config: RunConfig, row: BenchmarkModel) -> tuple[RunConfig, list[SeedTraining]]:
    """Return the comparison, and its jobs, that trains one row with every seed."""
    options = config.tune
    # A trial may take less than a training does: a share of a GPU, or one process where there are several workers.
    as_trials = not uses_gpu(config) and (config.train.workers == 1 or not isinstance(config.model, KmerConfig))
    comparison = BenchmarkConfig(
        seeds=options.seeds,
        split="test" if config.data.test else "valid",
        parallel=min(options.parallel, len(options.seeds)) if as_trials else 1,
        models=(row,),
    )
    config = config.model_copy(update={"benchmark": comparison})
    return config, [SeedTraining(row.name, seed, job_config(config, row, seed)) for seed in options.seeds]


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
