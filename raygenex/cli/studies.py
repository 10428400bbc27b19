"""The verbs that train many models: `benchmark` and `tune`."""

from typing import Annotated

import typer

from raygenex.cli.options import Action, Force, verb
from raygenex.config.run import RunConfig

app = typer.Typer()


@verb(app)
def benchmark(settings: RunConfig, force: Force = False) -> Action:
    """Train every model over several seeds, and write the tables that compare them."""
    from raygenex.benchmark.run import benchmark, plan_benchmark

    return Action(
        lambda: benchmark(settings, force),
        lambda: plan_benchmark(settings, force),
        lambda result: result.winner is not None,
    )


@verb(app)
def tune(
    settings: RunConfig,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted study.")] = False,
    force: Force = False,
) -> Action:
    """Search better settings, and train, measure and register the best."""
    from raygenex.tune.run import plan_tune, tune

    return Action(
        lambda: tune(settings, resume, force),
        lambda: plan_tune(settings, force),
        interrupted="interrupted: run the same command again with --resume to go on from here",
    )
