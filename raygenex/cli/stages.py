"""The verbs of the chain: `run`, and its stages `embed`, `train`, `evaluate` and `predict`."""

from typing import Annotated

import typer

from raygenex.cli.options import Action, Force, verb
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError

app = typer.Typer()


@verb(app)
def embed(settings: RunConfig, force: Force = False) -> Action:
    """Embed the promoters once, into the store."""
    from raygenex.embed.run import embed, plan_embed

    return Action(lambda: embed(settings, force), lambda: [plan_embed(settings, force)])


@verb(app)
def train(
    settings: RunConfig,
    force: Force = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop if more leaks than check.max_leaked.")] = False,
) -> Action:
    """Train the model, or continue an interrupted run."""
    from raygenex.train.run import plan_train, train

    return Action(lambda: train(settings, force, strict), lambda: [plan_train(settings, force)])


@verb(app)
def evaluate(
    settings: RunConfig,
    split: Annotated[str, typer.Option(help="valid or test.")] = "valid",
    force: Force = False,
) -> Action:
    """Measure the model on a split, with intervals."""
    if split not in ("valid", "test"):
        raise ConfigError(f"--split {split} is not a split to evaluate on: use valid or test")
    from raygenex.evaluate import evaluate, plan_evaluate

    return Action(lambda: evaluate(settings, split, force), lambda: [plan_evaluate(settings, split)])


@verb(app)
def predict(
    settings: RunConfig,
    inputs: Annotated[list[str], typer.Argument(metavar="HDF5...", help="Files, globs or URLs; labels not needed.")],
    output: Annotated[str, typer.Option(help="A .parquet or .csv file to write.")],
    model: Annotated[
        str | None,
        typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION or a checkpoint folder; default: this run's."),
    ] = None,
    force: Force = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop if features are far outside those of training.")
    ] = False,
) -> Action:
    """Score the genes of HDF5 files with a model."""
    from raygenex.predict.run import plan_predict, predict
    from raygenex.registry.register import fetch_checkpoint

    checkpoint = fetch_checkpoint(settings, model or settings.checkpoint)
    return Action(
        lambda: predict(settings, inputs, checkpoint, output, force, strict),
        lambda: [plan_predict(settings, inputs, checkpoint, output, force, strict)],
    )


@verb(app)
def run(settings: RunConfig, force: Force = False) -> Action:
    """Run everything, from data to registered model."""
    from raygenex.pipeline import plan_run, run

    return Action(lambda: run(settings, force), lambda: plan_run(settings, force))
