"""The verbs that look into a model: `explain`, `variants` and `report`."""

from pathlib import Path
from typing import Annotated

import typer

from raygenex.cli.options import Action, Debug, DryRun, Force, Json, Overrides, begin, verb
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError

app = typer.Typer()
Model = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/VERSION or a checkpoint folder; default: this run's."
    ),
]


@verb(app)
def explain(*, model: Model = None, settings: RunConfig, force: Force = False) -> Action:
    """Say what a model's scores depend on, base by base and feature by feature."""
    from raygenex.explain.run import explain, plan_explain
    from raygenex.registry.register import fetch_checkpoint

    wanted = _only(model, settings, "and the configuration last")
    checkpoint = fetch_checkpoint(settings, wanted)
    return Action(
        lambda: explain(settings, checkpoint, force, None if checkpoint == wanted else wanted),
        lambda: plan_explain(settings, checkpoint, force),
    )


@verb(app)
def variants(
    *,
    model: Model = None,
    settings: RunConfig,
    file: Annotated[str, typer.Argument(metavar="VARIANTS", help="VCF, BCF or table (chrom, pos, ref, alt), or URL.")],
    output: Annotated[str, typer.Option(help="A .parquet, .csv or .tsv file to write.")],
    force: Force = False,
) -> Action:
    """Score variants: the change of every prediction whose window they fall in."""
    from raygenex.registry.register import fetch_checkpoint
    from raygenex.variants.run import plan_variants, variants

    checkpoint = fetch_checkpoint(settings, _only(model, settings, "then the configuration and one file of variants"))
    return Action(
        lambda: variants(settings, file, checkpoint, output, force),
        lambda: [plan_variants(settings, file, checkpoint, output, force)],
    )


def _only(model: list[str] | None, settings: RunConfig, others: str) -> str:
    """Return the one model that was named, or this run's."""
    if model is None or not model:
        return settings.checkpoint
    if len(model) > 1:
        raise ConfigError(f"{' '.join(model)} is more than one model: give one, {others}")
    return model[0]


@app.command()
def report(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN|CONFIG", help="A run's folder, or its YAML configuration.")],
    output: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Page to write; default: OUTPUT/NAME/report.html.")
    ] = None,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write what a run found as one page for a colleague."""
    session = begin(context, debug)
    from raygenex.report.run import plan_report, report

    action = Action(lambda: report(run, output, force, override), lambda: [plan_report(run, output, force, override)])
    if dry_run:
        action.print_plan(session, as_json)
    else:
        action.print_result(session, as_json)
