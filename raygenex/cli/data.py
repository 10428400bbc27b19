"""The commands of `raygenex data`: make, check, split and describe data."""

from pathlib import Path
from typing import Annotated

import typer

from raygenex.cli.options import ConfigPath, Debug, DryRun, Force, Json, Overrides, load, print_plan, print_result

data_app = typer.Typer(help="Build, simulate, split, check and describe data.", no_args_is_help=True)


@data_app.command("check")
def data_check(config: ConfigPath, override: Overrides = None, as_json: Json = False, debug: Debug = False) -> None:
    """Read every gene, name what breaks the schema, and report leaks between splits."""
    settings = load(config, override, debug)
    from raygenex.data.check.check import check
    from raygenex.data.check.describe import render_check
    from raygenex.terminal.progress import steps

    with steps("checking genes") as on_progress:
        report = check(settings.data, settings.check, on_progress)
    print_result(report.as_dict(), as_json, lambda: render_check(report, settings.check))


@data_app.command("split")
def data_split(
    config: ConfigPath,
    output: Annotated[str, typer.Option(help="The split file to write (.tsv).")] = "split.tsv",
    write: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write train.h5, valid.h5 and test.h5 of the split there.")
    ] = None,
    override: Overrides = None,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Split all genes of the data anew, by the rule of the split section."""
    settings = load(config, override, debug)
    from raygenex import text
    from raygenex.data.splits.resplit import resplit

    result = resplit(settings, output, write, force)
    print_result(result, as_json, lambda: text.split_text(result))


@data_app.command("describe")
def data_describe(
    config: ConfigPath,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="PAGE", help="Also write a page with plots there (.html).")
    ] = None,
    override: Overrides = None,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what the data hold, on one screen, or as a page with plots."""
    settings = load(config, override, debug)
    from raygenex.data.check.check import check
    from raygenex.data.check.describe import render
    from raygenex.terminal.progress import steps

    if html is not None:
        from raygenex.drawing.html import check_page

        check_page(html, force)
    with steps("reading genes") as on_progress:
        report = check(settings.data, settings.check, on_progress)
    values, written = report.as_dict(), ""
    if html is not None:
        from raygenex.data.check.page import write_page

        page = write_page(html, report, settings.data, settings.check, force)
        values["page"], written = page, f"\npage: {html}"
    print_result(values, as_json, lambda: render(report) + written)


@data_app.command("build")
def data_build(
    config: ConfigPath,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the data from a genome, an annotation and an expression table."""
    settings = load(config, override, debug)
    if dry_run:
        from raygenex import plan

        print_plan(settings, as_json, [plan.plan_build(settings, force)])
        return
    from raygenex import text
    from raygenex.data.make import build_data

    result = build_data(settings, force)
    print_result(result, as_json, lambda: text.build_text(result))


@data_app.command("simulate")
def data_simulate(
    config: ConfigPath,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write simulated data whose truth is known."""
    settings = load(config, override, debug)
    if dry_run:
        from raygenex import plan

        print_plan(settings, as_json, [plan.plan_simulate(settings, force)])
        return
    from raygenex import text
    from raygenex.data.make import simulate_data

    result = simulate_data(settings, force)
    print_result(result, as_json, lambda: text.simulation_text(result))
