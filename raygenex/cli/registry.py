"""The commands of `raygenex registry`: what is registered, and which version is champion."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from raygenex.cli.options import ConfigPath, Debug, DryRun, Json, Overrides, load, print_plan, print_result
from raygenex.config.run import RunConfig

if TYPE_CHECKING:
    # For types alone: MLflow is loaded by the verb that needs it.
    from raygenex.registry.register import RegisterResult

registry_app = typer.Typer(help="List, compare, promote and roll back registered models.", no_args_is_help=True)


@registry_app.command("list")
def registry_list(config: ConfigPath, override: Overrides = None, as_json: Json = False, debug: Debug = False) -> None:
    """Show the registered versions and the champions so far."""
    settings = load(config, override, debug)
    from raygenex.registry.text import list_text
    from raygenex.registry.versions import list_versions

    result = list_versions(settings)
    print_result(result, as_json, lambda: list_text(result))


@registry_app.command("compare")
def registry_compare(
    config: ConfigPath,
    a: Annotated[str, typer.Argument(metavar="A", help="Version or alias.")] = "candidate",
    b: Annotated[str, typer.Argument(metavar="B", help="Version or alias.")] = "champion",
    override: Overrides = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two versions: metrics on valid in pairs, settings, data."""
    settings = load(config, override, debug)
    from raygenex.registry.compare import compare
    from raygenex.registry.text import compare_text

    result = compare(settings, a, b)
    print_result(result, as_json, lambda: compare_text(result))


@registry_app.command("promote")
def registry_promote(
    config: ConfigPath,
    version: Annotated[str, typer.Option(help="Version or alias.")] = "candidate",
    force: Annotated[bool, typer.Option("--force", help="Move the champion whatever the comparison says.")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why it is forced; kept in the history.")] = None,
    override: Overrides = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Let a version become champion if it beats the champion on valid."""
    settings = load(config, override, debug)
    from raygenex.registry.promote import plan_promote, promote
    from raygenex.registry.text import promote_text

    if dry_run:
        print_plan(settings, as_json, [plan_promote(settings, version, force, reason)])
        return
    result = promote(settings, version, force, reason)
    print_result(result, as_json, lambda: promote_text(result))
    if not result.passed:
        raise typer.Exit(1)


@registry_app.command("rollback")
def registry_rollback(
    config: ConfigPath,
    override: Overrides = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Let the version that was champion before be champion again."""
    settings = load(config, override, debug)
    from raygenex.registry.promote import plan_rollback, rollback
    from raygenex.registry.text import rollback_text

    if dry_run:
        print_plan(settings, as_json, [plan_rollback(settings)])
        return
    result = rollback(settings)
    print_result(result, as_json, lambda: rollback_text(result))


def promote_registered(settings: RunConfig, registered: RegisterResult, as_json: bool) -> None:
    """Promote what was just registered, and print both results; exit 1 if the gate holds it."""
    from raygenex import text
    from raygenex.registry.promote import promote
    from raygenex.registry.text import promote_text

    result = promote(settings, registered.version)
    print_result(
        {"registered": asdict(registered), "promotion": asdict(result)},
        as_json,
        lambda: f"{text.register_text(registered)}\n{promote_text(result)}",
    )
    if not result.passed:
        raise typer.Exit(1)
