"""The chain of `raygenex run`: simulate or build, check, embed, train, evaluate, register; what is done is reused."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from raygenex.cluster import SPARE_CPUS, open_cluster
from raygenex.config import SPLITS, RunConfig
from raygenex.data.build import BuildResult, build
from raygenex.data.check import check
from raygenex.data.guard import keep_verdict
from raygenex.data.locate import is_url
from raygenex.data.simulate import SimulationResult, simulate
from raygenex.embed.run import EmbedResult, embed
from raygenex.errors import ConfigError
from raygenex.evaluate import EvaluateResult, evaluate
from raygenex.progress import steps
from raygenex.registry import RegisterResult, register
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


def simulate_data(config: RunConfig, force: bool) -> SimulationResult:
    """Make the data set of the ``simulate`` section in the folder of ``data.train``.

    Raises
    ------
    ConfigError
        If there is no such section, or the data section does not name the files that simulation writes.
    """
    folder = made_folder(config, "simulate")
    assert config.simulate is not None, "checked with the folder"
    return simulate(config.simulate, folder, force)


def build_data(config: RunConfig, force: bool) -> BuildResult:
    """Build the data set of the ``build`` section in the folder of ``data.train``.

    Raises
    ------
    ConfigError
        If there is no such section, or the data section does not name the files that are built.
    """
    return build(config, made_folder(config, "build"), force)


def made_folder(config: RunConfig, verb: str) -> Path:
    """Return the folder that ``simulate`` or ``build`` writes into: that of the splits, named as it names them.

    Raises
    ------
    ConfigError
        If there is no section of that name, or the data section names other files.
    """
    if getattr(config, verb) is None:
        raise ConfigError(f"the config has no {verb} section: add one, or use data of your own")
    paths = {name: config.data.split(name) for name in SPLITS}
    if any(len(found) > 1 for found in paths.values()) or not paths["train"]:
        raise ConfigError(f"{verb} writes one file a split: set data.train, data.valid and data.test to one path each")
    if url := next((found[0] for found in paths.values() if found and is_url(found[0])), None):
        raise ConfigError(
            f"{verb} writes local files, but {url} is a URL: name a local path, then copy the files there"
        )
    folder = Path(paths["train"][0]).expanduser().absolute().parent
    for name, found in paths.items():
        if found and Path(found[0]).expanduser().absolute() != folder / f"{name}.h5":
            raise ConfigError(f"{verb} writes {folder / name}.h5, but data.{name} is {found[0]}: make them agree")
    return folder


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
    if config.reads_embeddings:
        embeddings = embed(config)
        logger.info("%s", embed_text(embeddings))
    training = train(config, force)
    evaluation = evaluate(config, "valid", force)
    registered = register(config)
    return RunResult(simulation, built, embeddings, training, evaluation, registered, time.monotonic() - started)
