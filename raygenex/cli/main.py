"""The application: all verbs, and how a command ends, by exit code and one sentence."""

import atexit
import logging
import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from raygenex import __version__
from raygenex.cli import data, explain, registry, setup, stages, studies, submit
from raygenex.cli.options import Session
from raygenex.cluster.torch_process import keep_freed_memory
from raygenex.errors import RaygenexError, first_line
from raygenex.files.errors import file_error
from raygenex.redact import redact
from raygenex.terminal.encoding import write_anything
from raygenex.terminal.signals import INTERRUPTED, Ending, end_as_interrupted

app = typer.Typer(
    name="raygenex",
    help="Predict gene expression from promoter DNA and mRNA half-life features, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for part in (setup.app, stages.app, studies.app, explain.app, registry.app, submit.app):
    app.add_typer(part)
app.add_typer(data.app, name="data")
app.add_typer(registry.group, name="registry")
app.add_typer(setup.group, name="config")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"raygenex {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Take options that come before the verb."""


def main() -> None:
    """Run the command line: exit 0 when it worked, 1 when it failed, 2 on wrong usage or input."""
    write_anything()
    session = Session()
    with end_as_interrupted() as ending:
        try:
            _run(session, ending)
        except KeyboardInterrupt:
            # It came before or after Typer, which turns it into an exit code.
            _leave_interrupted(session, ending)


def program() -> None:
    """Run the command line as a process that ends with it."""
    status = 1

    def leave() -> None:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                # Nobody reads it any more, and Python says so in its own way.
                return
        os._exit(status)

    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # What is opened next would get the number of a stream that was closed, and be written to.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    keep_freed_memory()
    # What is registered later is called before. Python would then take all modules apart, a second for torch and Ray.
    atexit.register(leave)
    try:
        main()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        raise


def _leave_interrupted(session: Session, ending: Ending) -> NoReturn:
    typer.echo(session.interrupted, err=True)
    sys.exit(ending.exit_code)


def _run(session: Session, ending: Ending) -> None:
    try:
        app(prog_name="raygenex", obj=session)
    except RaygenexError as error:
        typer.echo(_traceback() if session.debug else f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        # Typer turns an interrupt into this code.
        if leaving.code == INTERRUPTED:
            _leave_interrupted(session, ending)
        raise
    except Exception as error:  # noqa: BLE001
        of_file = file_error(error)
        if session.debug:
            typer.echo(_traceback(), err=True)
        elif of_file is not None:
            typer.echo(f"error: {of_file}", err=True)
        else:
            reason = redact(f"failed: {first_line(error, named=True)} (--debug shows the traceback)")
            typer.echo(reason, err=True)
        sys.exit(1 if of_file is None else of_file.exit_code)
    finally:
        session.end()


def _traceback() -> str:
    """Return where the error at hand happened, without secrets."""
    return redact(traceback.format_exc().rstrip())
