"""What all commands of the command line share: their options, how they load a configuration, and how they print."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.redact import redact

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML run configuration.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--override", "-o", metavar="KEY=VALUE", help="Change one value; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug logs.")]


class Session:
    """What the options of the running command said; set once, before anything else happens."""

    debug = False
    out: TextIO | None = None
    interrupted = "interrupted: run the same command again to go on from here"


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


def start(debug: bool) -> None:
    """Let logs go to standard error, and keep standard output for the result."""
    Session.debug = debug
    if sys.stdout is not sys.stderr:
        # Ray prints on standard output; that is for the result alone, which a program may read.
        Session.out = sys.stdout
        sys.stdout = sys.stderr
    logging.setLogRecordFactory(_record)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Redacting("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logging.getLogger("raygenex").setLevel(logging.DEBUG if debug else logging.INFO)


def load(path: Path, overrides: list[str] | None, debug: bool) -> RunConfig:
    """Begin a command that has a configuration, and load it."""
    start(debug)
    return load_config(path, overrides or ())


def print_result(result: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Print what a command gave, as one line of JSON or as text."""
    values = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    say(json.dumps(values, default=str) if as_json else text())


def say(text: str) -> None:
    """Print on the standard output that the command was started with."""
    typer.echo(text, file=Session.out)


def print_plan(config: RunConfig, as_json: bool, steps: list[str]) -> None:
    """Print what `--dry-run` found."""
    print_result({"config_hash": config.hash(), "steps": steps}, as_json, lambda: "\n".join(steps))
