"""The chain of `raygenex run`: simulate or build, check, embed, train, evaluate, register; what is done is reused."""

import logging
import time
from dataclasses import dataclass

from raygenex.cluster.connect import SPARE_CPUS, open_cluster
from raygenex.config.run import RunConfig
from raygenex.data.build.run import BuildResult
from raygenex.data.check.check import check
from raygenex.data.check.guard import keep_verdict
from raygenex.data.make import build_data, simulate_data
from raygenex.data.simulate.run import SimulationResult
from raygenex.embed.run import EmbedResult, embed
from raygenex.evaluate import EvaluateResult, evaluate
from raygenex.registry.register import RegisterResult, register
from raygenex.terminal.progress import steps
from raygenex.text import build_text, embed_text, simulation_text
from raygenex.train.run import TrainResult, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What each stage of the chain gave; None for stages that the configuration leaves out."""

    simulation: SimulationResult | None
    built: BuildResult | None
    embeddings: EmbedResult | None
    training: TrainResult
    evaluation: EvaluateResult
    registered: RegisterResult
    seconds: float


def run(config: RunConfig, force: bool = False) -> RunResult:
    """Run every stage in order; a stage that is done already with the same inputs is reused.

    ``force`` trains, evaluates and registers anew; the data set and the embeddings are still reused, since they are the
    same numbers.
    """
    started = time.monotonic()
    with open_cluster(config.cluster, _most_cpus(config)):
        return _run_stages(config, force, started)


def _most_cpus(config: RunConfig) -> float:
    """Return the logical CPUs of the hungriest stage, for an embedded Ray that serves them all."""
    train, actors, score = config.train, config.embed, config.predict
    stages = (
        config.build.cpus_per_task if config.build else 0.0,
        train.workers * train.cpus_per_worker,
        actors.min_actors * actors.cpus_per_actor,
        score.workers * score.cpus_per_worker,
    )
    return max(stages) + SPARE_CPUS


def _run_stages(config: RunConfig, force: bool, started: float) -> RunResult:
    simulation = simulate_data(config, force=False) if config.simulate else None
    if simulation:
        logger.info("%s", simulation_text(simulation))
    built = build_data(config, force=False) if config.build else None
    if built:
        logger.info("%s", build_text(built))
    with steps("checking genes") as on_progress:
        report = check(config.data, config.check, on_progress)
    keep_verdict(config, report.leakage)
    logger.info("data: %d genes pass every check", sum(split.rows for split in report.splits.values()))
    embeddings = None
    if config.reads_store:
        embeddings = embed(config)
        logger.info("%s", embed_text(embeddings))
    training = train(config, force)
    evaluation = evaluate(config, "valid", force)
    registered = register(config)
    return RunResult(simulation, built, embeddings, training, evaluation, registered, time.monotonic() - started)
