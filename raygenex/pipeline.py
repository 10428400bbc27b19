"""The chain of `raygenex run`: simulate or build, check, embed, train, evaluate, register; what is done is reused."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from raygenex.cluster.connect import SPARE_CPUS, open_cluster
from raygenex.config.base import SPLITS
from raygenex.config.run import RunConfig
from raygenex.data.build.run import BuildResult
from raygenex.data.check.check import check_run
from raygenex.data.check.guard import keep_verdict
from raygenex.data.make import build_data, plan_data, simulate_data
from raygenex.data.opening import open_run
from raygenex.data.simulate.run import SimulationResult
from raygenex.embed.run import EmbedResult, embed, embed_step, plan_embed
from raygenex.embed.store import read_manifest
from raygenex.evaluate import EvaluateResult, evaluate
from raygenex.files.locate import short_path
from raygenex.registry.register import RegisterResult, register
from raygenex.terminal.progress import steps
from raygenex.tracking.store import import_mlflow, ui_command
from raygenex.train.needs import import_torch
from raygenex.train.run import TrainResult, plan_train, train, train_step
from raygenex.train.state import read_state

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
    ui: str
    """The command that opens the runs."""
    seconds: float

    def text(self) -> str:
        """Return the closing table of the chain."""
        made = [stage.text() for stage in (self.simulation, self.built, self.embeddings) if stage]
        lines = [*made, self.training.text(), "", self.evaluation.text(), "", self.registered.text()]
        return "\n".join([*lines, f"open the runs: {self.ui}", f"done in {self.seconds:.0f} s"])


def run(config: RunConfig, force: bool = False) -> RunResult:
    """Run every stage in order; a stage that is done already with the same inputs is reused.

    ``force`` trains, evaluates and registers again; the data set and the embeddings are still reused, since they are
    the same numbers.
    """
    started = time.monotonic()
    with open_cluster(config.cluster, _most_cpus(config), _import_next):
        return _run_stages(config, force, started)


def _import_next() -> None:
    """Import what the first stages would import one after the other."""
    import_mlflow()
    import_torch()


def _most_cpus(config: RunConfig) -> float:
    """Return the logical CPUs of the hungriest stage, for an embedded Ray that serves them all."""
    train, actors, score = config.train, config.embed, config.predict
    stages = (
        config.build.cpus_per_task if config.build else 0.0,
        train.workers * train.cpus_per_worker,
        actors.min_actors * actors.cpus_per_actor,
        score.workers * score.cpus_per_worker,
        config.check.workers if config.check.workers > 1 else 0.0,
    )
    return max(stages) + SPARE_CPUS


def _run_stages(config: RunConfig, force: bool, started: float) -> RunResult:
    simulation = simulate_data(config, force=False) if config.simulate else None
    if simulation:
        logger.info("%s", simulation.text())
    built = build_data(config, force=False) if config.builds_data else None
    if built:
        logger.info("%s", built.text())
    with steps("checking genes") as on_progress:
        report = check_run(config, on_progress)
    keep_verdict(config, report)
    logger.info("data: %d genes pass every check", sum(split.rows for split in report.splits.values()))
    embeddings = None
    if config.reads_store:
        embeddings = embed(config)
        logger.info("%s", embeddings.text())
    training = train(config, force)
    evaluation = evaluate(config, "valid", force)
    registered = register(config)
    seconds = time.monotonic() - started
    return RunResult(simulation, built, embeddings, training, evaluation, registered, ui_command(config), seconds)


def _later_steps(config: RunConfig) -> list[str]:
    """Say what would follow a build."""
    steps = ["check: every gene that was built"]
    if config.reads_store:
        steps.append(f"embed: every gene, into {short_path(config.store)}")
    steps.append(train_step(config, read_state(Path(config.folder))))
    return [*steps, "evaluate: the genes of valid", f"register: as {config.tracking.model_name}@candidate"]


def plan_run(config: RunConfig, force: bool) -> list[str]:
    """Say what every stage of the chain would do."""
    steps, made = plan_data(config)
    if config.builds_data and not made:
        # Which genes a build keeps is known when it is done.
        return [*steps, *_later_steps(config)]
    if made:
        splits = open_run(config, tuple(name for name in SPLITS if config.data.split(name) or name != "test"))
        counts = {name: split.rows for name, split in splits.items()}
        window = next(iter(splits.values())).window
    else:
        assert config.simulate is not None, "only simulated data may still be missing"
        counts = {name: getattr(config.simulate, name) for name in SPLITS}
        window = config.data.window or config.simulate.window
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    steps.append(f"check: {shown} genes, {f'{window} bases a promoter' if window else 'no promoters'}")
    embedded = True
    if config.reads_store:
        steps.append(plan_embed(config, force=False) if made else embed_step(config, counts))
        manifest = read_manifest(config.store)
        embedded = manifest is not None and manifest.complete
    if made and embedded:
        steps.append(plan_train(config, force))
    else:
        steps.append(train_step(config, read_state(Path(config.folder))))
    steps.append(f"evaluate: {counts['valid']} genes of valid")
    steps.append(f"register: as {config.tracking.model_name}@candidate")
    return steps
