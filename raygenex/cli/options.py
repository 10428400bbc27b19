"""What all verbs share: their options, and how one loads a configuration, plans or does its work, and prints."""

import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.config.services import check_address
from raygenex.errors import FileError
from raygenex.files.errors import NO_DIRECTORY, has_directory
from raygenex.redact import redact

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML run configuration.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--override", "-o", metavar="KEY=VALUE", help="Change one value; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug logs.")]


@dataclass
class Session:
    """The running command: made in `main`, filled by its options before anything else happens."""

    debug: bool = False
    out: TextIO | None = None
    """Standard output as the command was started with; None until a verb begins."""
    interrupted: str = "interrupted: run the same command again to go on from here"
    """What is said when the command is interrupted."""

    def begin(self, debug: bool) -> None:
        """Let logs go to standard error, and keep standard output for the result."""
        self.debug = debug
        if sys.stdout is not sys.stderr:
            # Ray prints on standard output; that is for the result alone, which a program may read.
            self.out = sys.stdout
            sys.stdout = sys.stderr
        logging.setLogRecordFactory(_record)
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_Redacting("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        logging.getLogger("raygenex").setLevel(logging.DEBUG if debug else logging.INFO)

    def say(self, text: str) -> None:
        """Print on the standard output that the command was started with."""
        typer.echo(text, file=self.out)

    def print_values(self, values: Any, as_json: bool, text: str) -> None:
        """Print what a verb gave, as one line of JSON or as text."""
        self.say(json.dumps(values, default=str) if as_json else text)

    def end(self) -> None:
        """Give standard output back."""
        if self.out is not None:
            sys.stdout, self.out = self.out, None


class _Redacting(logging.Formatter):
    """Writes log lines without secrets, their tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _record(*arguments: Any, **more: Any) -> logging.LogRecord:
    """Make a log record without secrets: libraries such as MLflow have handlers of their own."""
    record = logging.LogRecord(*arguments, **more)
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001
        # A format that does not fit its values, or a value without a text: told by whoever writes it out, as always.
        return record
    if (clean := redact(text)) != text:
        record.msg, record.args = clean, ()
    return record


def begin(context: typer.Context, debug: bool) -> Session:
    """Begin a verb, and return the session of its command."""
    session = context.find_object(Session)
    assert session is not None, "main gives one to the application"
    if not has_directory():
        # torch, whose libraries look where they are, would end the process.
        raise FileError(NO_DIRECTORY)
    session.begin(debug)
    return session


@dataclass(frozen=True)
class Action:
    """What a verb does with its configuration, what it would do, and how its result is printed."""

    run: Callable[[], Any]
    """Does the work; its result says itself by ``text()``, and by ``values()`` where its fields alone would not do."""
    plan: Callable[[], list[str]] | None = None
    """Checks as far as can be without the work, and returns a sentence per step; None for verbs that write nothing."""
    passed: Callable[[Any], bool] = lambda result: True
    """Whether a result ends the command with exit code 0; 1 otherwise."""
    interrupted: str | None = None
    """What is said when the work is interrupted; None for what a session says anyway."""

    def print_plan(self, session: Session, as_json: bool, config_hash: str | None = None) -> None:
        """Print what would be done."""
        assert self.plan is not None, "the verb has no --dry-run"
        steps = self.plan()
        # The configuration's own address was looked at when it was read; this one is for Ray alone.
        if config_hash is not None and (address := os.environ.get("RAY_ADDRESS")):
            check_address(address, "RAY_ADDRESS")
        values = {"steps": steps} if config_hash is None else {"config_hash": config_hash, "steps": steps}
        session.print_values(values, as_json, "\n".join(steps))

    def print_result(self, session: Session, as_json: bool) -> None:
        """Do the work and print its result."""
        session.interrupted = self.interrupted or session.interrupted
        result = self.run()
        if as_json:
            session.print_values(result.values() if hasattr(result, "values") else asdict(result), as_json, "")
        else:
            session.say(result.text())
        if not self.passed(result):
            raise typer.Exit(1)


@dataclass(frozen=True)
class Printed:
    """A result made of plain values and their text."""

    plain: dict[str, Any]
    shown: str

    def values(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return self.plain

    def text(self) -> str:
        """Return what a person reads."""
        return self.shown


def verb(
    app: typer.Typer, name: str | None = None, *, dry_run: bool = True
) -> Callable[[Callable[..., Action]], Callable[..., None]]:
    """Register a verb that loads a configuration, and plans or does its work.

    The function below the decorator takes the loaded configuration as ``settings``, and its own options. The command
    takes CONFIG in the place of ``settings``, and ``--override``, ``--dry-run``, ``--json`` and ``--debug`` besides.

    Parameters
    ----------
    app
        Where the verb belongs.
    name
        What users type; the function's name if None.
    dry_run
        Whether the verb has ``--dry-run``, and its action a plan.
    """

    def register(function: Callable[..., Action]) -> Callable[..., None]:
        def command(context: typer.Context, **given: Any) -> None:
            session = begin(context, given.pop("debug"))
            as_json, planned = given.pop("as_json"), given.pop("dry_run", False)
            settings = load_config(given.pop("config"), given.pop("override") or ())
            action = function(settings=settings, **given)
            if planned:
                action.print_plan(session, as_json, settings.hash())
            else:
                action.print_result(session, as_json)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = _signature(function, dry_run)  # type: ignore[attr-defined]
        app.command(name)(command)
        return command

    return register


def _signature(function: Callable[..., Any], dry_run: bool) -> inspect.Signature:
    """Return a verb's own parameters with the common ones around them."""
    shared = {
        "override": (Overrides, None),
        "dry_run": (DryRun, False),
        "as_json": (Json, False),
        "debug": (Debug, False),
    }
    own = [
        parameter.replace(name="config", annotation=ConfigPath) if parameter.annotation is RunConfig else parameter
        for parameter in inspect.signature(function).parameters.values()
    ]
    own += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in shared.items()
        if dry_run or name != "dry_run"
    ]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    return inspect.Signature([context, *(part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in own)])
