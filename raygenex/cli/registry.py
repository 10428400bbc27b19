"""The verbs of the model registry: `register`, and those of `raygenex registry`."""

from typing import Annotated

import typer

from raygenex.cli.options import Action, verb
from raygenex.config.run import RunConfig

app = typer.Typer()
group = typer.Typer(help="List, compare, promote and roll back registered models.", no_args_is_help=True)


@verb(app)
def register(
    settings: RunConfig,
    promote: Annotated[bool, typer.Option("--promote", help="Also let it become champion if it passes.")] = False,
) -> Action:
    """Register the model in MLflow as `candidate`."""
    from raygenex.registry.register import plan_register, register

    if not promote:
        return Action(lambda: register(settings), lambda: [plan_register(settings)])
    from raygenex.registry.promote import register_and_promote

    return Action(
        lambda: register_and_promote(settings),
        lambda: [plan_register(settings), "promote: it, if it beats the champion on valid"],
        lambda result: result.promotion.passed,
    )


@verb(group, "list", dry_run=False)
def list_all(settings: RunConfig) -> Action:
    """Show the registered versions and the champions so far."""
    from raygenex.registry.versions import list_versions

    return Action(lambda: list_versions(settings))


@verb(group, dry_run=False)
def compare(
    settings: RunConfig,
    a: Annotated[str, typer.Argument(metavar="A", help="Version or alias.")] = "candidate",
    b: Annotated[str, typer.Argument(metavar="B", help="Version or alias.")] = "champion",
) -> Action:
    """Compare two versions: metrics on valid in pairs, settings, data."""
    from raygenex.registry.compare import compare

    return Action(lambda: compare(settings, a, b))


@verb(group)
def promote(
    settings: RunConfig,
    version: Annotated[str, typer.Option(help="Version or alias.")] = "candidate",
    force: Annotated[bool, typer.Option("--force", help="Move the champion whatever the comparison says.")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why it is forced; kept in the history.")] = None,
) -> Action:
    """Let a version become champion if it beats the champion on valid."""
    from raygenex.registry.promote import plan_promote, promote

    return Action(
        lambda: promote(settings, version, force, reason),
        lambda: [plan_promote(settings, version, force, reason)],
        lambda result: result.passed,
    )


@verb(group)
def rollback(settings: RunConfig) -> Action:
    """Let the version that was champion before be champion again."""
    from raygenex.registry.promote import plan_rollback, rollback

    return Action(lambda: rollback(settings), lambda: [plan_rollback(settings)])
