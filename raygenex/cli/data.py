"""The verbs of `raygenex data`: make, check, split and describe data."""

from typing import Annotated

import typer

from raygenex.cli.options import Action, Force, Printed, verb
from raygenex.config.run import RunConfig
from raygenex.files.locate import written_path

app = typer.Typer(help="Build, simulate, split, check and describe data.", no_args_is_help=True)


@verb(app, dry_run=False)
def check(settings: RunConfig) -> Action:
    """Read every gene, name what breaks the schema, and report leaks between splits."""
    from raygenex.data.check.check import check_run
    from raygenex.data.check.describe import render_check
    from raygenex.terminal.progress import steps

    def work() -> Printed:
        with steps("checking genes") as on_progress:
            report = check_run(settings, on_progress)
        return Printed(report.values(), render_check(report, settings.check))

    return Action(work)


@verb(app, dry_run=False)
def split(
    settings: RunConfig,
    output: Annotated[str, typer.Option(help="The split file to write (.tsv).")] = "split.tsv",
    write: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write train.h5, valid.h5 and test.h5 of the split there.")
    ] = None,
    force: Force = False,
) -> Action:
    """Split all genes of the data again, by the rule of the split section."""
    from raygenex.data.splits.resplit import resplit

    return Action(lambda: resplit(settings, output, write, force))


@verb(app, dry_run=False)
def describe(
    settings: RunConfig,
    html: Annotated[
        str | None, typer.Option("--html", metavar="PAGE", help="Also write a page with plots there (.html).")
    ] = None,
    force: Force = False,
) -> Action:
    """Show what the data hold, on one screen, or as a page with plots."""
    from raygenex.data.check.check import check_run
    from raygenex.terminal.progress import steps

    target = None if html is None else written_path(html, "--html")
    if target is not None:
        from raygenex.drawing.html import check_page

        check_page(target, force)

    def work() -> Printed:
        with steps("reading genes") as on_progress:
            report = check_run(settings, on_progress)
        if target is None:
            return Printed(report.values(), report.text())
        from raygenex.data.check.page import write_page

        page = write_page(target, report, settings.data, settings.check, force)
        return Printed(report.values() | {"page": page}, f"{report.text()}\npage: {html}")

    return Action(work)


@verb(app)
def build(settings: RunConfig, force: Force = False) -> Action:
    """Make the data from a genome, an annotation and an expression table."""
    from raygenex.data.make import build_data, plan_build

    return Action(lambda: build_data(settings, force), lambda: [plan_build(settings, force)])


@verb(app)
def simulate(settings: RunConfig, force: Force = False) -> Action:
    """Write simulated data whose truth is known."""
    from raygenex.data.make import plan_simulate, simulate_data

    return Action(lambda: simulate_data(settings, force), lambda: [plan_simulate(settings, force)])
