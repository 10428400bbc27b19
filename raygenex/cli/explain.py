"""The command `raygenex explain`."""

from typing import Annotated

import typer

from raygenex.cli.options import ConfigPath, Debug, DryRun, Force, Json, Overrides, load, print_plan, print_result
from raygenex.errors import ConfigError


def explain(
    *,
    model: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="A checkpoint folder or models:/NAME@ALIAS; default: this run's."),
    ] = None,
    config: ConfigPath,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a model's scores depend on, base by base and feature by feature."""
    settings = load(config, override, debug)
    if len(model or ()) > 1:
        raise ConfigError(f"{' '.join(model or ())} is more than one model: give one, and the configuration last")
    from raygenex import plan
    from raygenex.registry.register import fetch_checkpoint

    given = model[0] if model else f"{settings.folder}/checkpoint"
    checkpoint = fetch_checkpoint(settings, given)
    if dry_run:
        print_plan(settings, as_json, plan.plan_explain(settings, checkpoint, force))
        return
    from raygenex.explain.run import explain as run_explain
    from raygenex.explain.text import explain_text

    result = run_explain(settings, checkpoint, force, None if checkpoint == given else given)
    print_result(result, as_json, lambda: explain_text(result))
