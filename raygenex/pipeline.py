"""The chain of `raygenex run`: simulate, check, embed, train, evaluate, register; what is done already is reused."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raygenex.cluster import SPARE_CPUS, open_cluster
from raygenex.config import SPLITS, HyenaBackbone, RunConfig
from raygenex.data.check import check, open_splits
from raygenex.data.simulate import SimulationResult, simulate
from raygenex.embed.run import EmbedResult, check_backbone, embed
from raygenex.embed.store import missing_ranges, read_manifest
from raygenex.errors import ConfigError
from raygenex.evaluate import EvaluateResult, evaluate
from raygenex.progress import steps
from raygenex.registry import RegisterResult, register
from raygenex.text import embed_text, simulation_text
from raygenex.train.inputs import open_inputs
from raygenex.train.run import TrainResult, check_workers, known_state, train
from raygenex.train.state import read_state

logger = logging.getLogger(__name__)

CHAIN = ("simulate", "check", "embed", "train", "evaluate", "register")


@dataclass(frozen=True)
class RunResult:
    """What each stage of the chain gave; None for stages that the configuration leaves out."""

    simulation: SimulationResult | None
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
    if config.simulate is None:
        raise ConfigError("the config has no simulate section: add one, or use data of your own")
    return simulate(config.simulate, _simulation_folder(config), force)


def _simulation_folder(config: RunConfig) -> Path:
    paths = {name: config.data.split(name) for name in SPLITS}
    if any(len(found) > 1 for found in paths.values()) or not paths["train"]:
        raise ConfigError("simulate writes one file a split: set data.train, data.valid and data.test to one path each")
    folder = Path(paths["train"][0]).absolute().parent
    for name, found in paths.items():
        if found and Path(found[0]).absolute() != folder / f"{name}.h5":
            raise ConfigError(f"simulate writes {folder / name}.h5, but data.{name} is {found[0]}: make them agree")
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
        train.workers * train.cpus_per_worker,
        actors.min_actors * actors.cpus_per_actor,
        score.workers * score.cpus_per_worker,
    )
    return max(stages) + SPARE_CPUS


def _run_stages(config: RunConfig, force: bool, started: float) -> RunResult:
    simulation = simulate_data(config, force=False) if config.simulate else None
    if simulation:
        logger.info("%s", simulation_text(simulation))
    with steps("checking genes") as on_progress:
        report = check(config.data, on_progress)
    logger.info("data: %d genes pass every check", sum(split.rows for split in report.splits.values()))
    embeddings = None
    if isinstance(config.backbone, HyenaBackbone):
        embeddings = embed(config)
        logger.info("%s", embed_text(embeddings))
    training = train(config, force)
    evaluation = evaluate(config, "valid", force)
    registered = register(config)
    return RunResult(simulation, embeddings, training, evaluation, registered, time.monotonic() - started)


def plan(config: RunConfig, stages: tuple[str, ...]) -> dict[str, Any]:
    """Say what the stages would do, after the checks that need no cluster.

    Returns
    -------
    ``config_hash`` and ``steps``, a sentence each.
    """
    lines = []
    simulated = config.simulate is not None and "simulate" in stages
    missing_data = simulated and not all(Path(path).exists() for path in (*config.data.train, *config.data.valid))
    if simulated:
        action = "make" if missing_data else "reuse or refuse"
        lines.append(f"simulate: {action} the data set in {_simulation_folder(config)}")
    if missing_data:
        assert config.simulate is not None, "only simulated data may be missing here"
        counts = {name: getattr(config.simulate, name) for name in SPLITS}
        window = config.data.window or config.simulate.window
    else:
        needed = tuple(name for name in SPLITS if config.data.split(name) or name != "test")
        splits = open_splits(config.data, needed)
        counts = {name: split.rows for name, split in splits.items()}
        window = next(iter(splits.values())).window
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    lines.append(f"data: {shown} genes, {window} bases a promoter")
    if stages == ("embed",):
        check_backbone(config)
    if "embed" in stages and isinstance(config.backbone, HyenaBackbone):
        manifest = read_manifest(config.store)
        todo = sum(
            stop - start for name, count in counts.items() for start, stop in missing_ranges(config.store, name, count)
        )
        found = "no store yet" if manifest is None else "store found"
        lines.append(f"embed: {todo} of {sum(counts.values())} genes to do into {config.store} ({found})")
    if "train" in stages:
        if stages == ("train",):
            inputs = open_inputs(config, {name: splits[name] for name in ("train", "valid")})
            check_workers(config, inputs)
            state = known_state(Path(config.folder), inputs)
        else:
            state = read_state(Path(config.folder))
        status = (
            "new run" if state is None else "finished run there" if state.finished else "unfinished run to continue"
        )
        options = config.train
        lines.append(
            f"train: {config.model.kind}, {options.epochs} epochs at most, {options.workers} x "
            f"{'GPU' if options.use_gpu else f'{options.cpus_per_worker:g} CPU'} into {config.folder} ({status})"
        )
    if "evaluate" in stages:
        lines.append("evaluate: valid")
    if "register" in stages:
        lines.append(f"register: {config.tracking.model_name}@candidate")
    return {"config_hash": config.hash(), "steps": lines}
