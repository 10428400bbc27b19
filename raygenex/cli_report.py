"""The command that writes the report of a run."""

from pathlib import Path
from typing import Annotated

import typer

from raygenex.cli.options import Debug, DryRun, Force, Json, Overrides, print_result, start


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN|CONFIG", help="A run's folder, or its YAML configuration.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Page to write; default: OUTPUT/NAME/report.html.")
    ] = None,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write what a run found as one page for a colleague."""
    start(debug)
    from raygenex.report.run import plan_report, report_text
    from raygenex.report.run import report as write_report

    if dry_run:
        step = plan_report(run, output, force, override)
        print_result({"steps": [step]}, as_json, lambda: step)
        return
    result = write_report(run, output, force, override)
    print_result(result, as_json, lambda: report_text(result))
