"""The command line: every verb loads a configuration, calls one function and prints one result."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from raygenex import __version__
from raygenex.config import RunConfig, load_config
from raygenex.errors import ConfigError, RaygenexError

app = typer.Typer(
    name="raygenex",
    help="Predict gene expression from promoter DNA and mRNA half-life features, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Build, simulate, split, check and describe data.", no_args_is_help=True)
config_app = typer.Typer(help="Show the resolved configuration, or its schema.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML run configuration.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--override", "-o", metavar="KEY=VALUE", help="Change one value; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug logs.")]


class _Session:
    """What the options of the running command said; set once, before anything else happens."""

    debug = False
    out: TextIO | None = None


def _start(debug: bool) -> None:
    _Session.debug = debug
    if sys.stdout is not sys.stderr:
        # Ray prints on standard output; that is for the result alone, which a program may read.
        _Session.out = sys.stdout
        sys.stdout = sys.stderr
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("raygenex").setLevel(logging.DEBUG if debug else logging.INFO)


def _load(path: Path, overrides: list[str] | None, debug: bool) -> RunConfig:
    _start(debug)
    return load_config(path, overrides or ())


def _print(result: Any, as_json: bool, text: Callable[[], str]) -> None:
    values = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    _say(json.dumps(values, default=str) if as_json else text())


def _say(text: str) -> None:
    typer.echo(text, file=_Session.out)


def _print_plan(config: RunConfig, as_json: bool, steps: list[str]) -> None:
    _print({"config_hash": config.hash(), "steps": steps}, as_json, lambda: "\n".join(steps))


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


@app.command()
def env(as_json: Json = False, debug: Debug = False) -> None:
    """Show versions, processors, GPUs and Ray's address."""
    _start(debug)
    from raygenex.environment import describe_environment

    found = describe_environment()
    _print(found, as_json, lambda: "\n".join(f"{key:<14} {value}" for key, value in found.items()))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("raygenex.yaml"),
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Write a configuration to start from."""
    _start(debug)
    from raygenex.starter import STARTER

    if path.exists() and not force:
        raise ConfigError(f"{path} exists: pass --force to replace it, or name another file")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the folder of {path} does not exist: make it first")
    path.write_text(STARTER, encoding="utf-8")
    _say(f"wrote {path}: set data.train and data.valid, then `raygenex run {path}`")


@data_app.command("check")
def data_check(config: ConfigPath, override: Overrides = None, as_json: Json = False, debug: Debug = False) -> None:
    """Read every gene, name what breaks the schema, and report leaks between splits."""
    settings = _load(config, override, debug)
    from raygenex.data.check import check
    from raygenex.data.describe import render_check
    from raygenex.progress import steps

    with steps("checking genes") as on_progress:
        report = check(settings.data, settings.check, on_progress)
    _print(report.as_dict(), as_json, lambda: render_check(report, settings.check))


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
    settings = _load(config, override, debug)
    from raygenex import text
    from raygenex.data.resplit import resplit

    result = resplit(settings, output, write, force)
    _print(result, as_json, lambda: text.split_text(result))


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
    settings = _load(config, override, debug)
    from raygenex.data.check import check
    from raygenex.data.describe import render
    from raygenex.progress import steps

    if html is not None:
        from raygenex.data.page import check_page

        check_page(html, force)
    with steps("reading genes") as on_progress:
        report = check(settings.data, settings.check, on_progress)
    values, written = report.as_dict(), ""
    if html is not None:
        from raygenex.data.page import write_page

        page = write_page(html, report, settings.data, settings.check, force)
        values["page"], written = page, f"\npage: {html}"
    _print(values, as_json, lambda: render(report) + written)


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
    settings = _load(config, override, debug)
    if dry_run:
        from raygenex import plan

        _print_plan(settings, as_json, [plan.plan_build(settings, force)])
        return
    from raygenex import text
    from raygenex.data.made import build_data

    result = build_data(settings, force)
    _print(result, as_json, lambda: text.build_text(result))


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
    settings = _load(config, override, debug)
    if dry_run:
        from raygenex import plan

        _print_plan(settings, as_json, [plan.plan_simulate(settings, force)])
        return
    from raygenex import text
    from raygenex.data.made import simulate_data

    result = simulate_data(settings, force)
    _print(result, as_json, lambda: text.simulation_text(result))


@app.command()
def embed(
    config: ConfigPath,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Embed the promoters once, into the store."""
    settings = _load(config, override, debug)
    from raygenex import plan, text
    from raygenex.embed.run import embed as run_embed

    if dry_run:
        _print_plan(settings, as_json, [plan.plan_embed(settings, force)])
        return
    result = run_embed(settings, force)
    _print(result, as_json, lambda: text.embed_text(result))


@app.command()
def train(
    config: ConfigPath,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop if more leaks than check.max_leaked.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train the model, or continue an interrupted run."""
    settings = _load(config, override, debug)
    from raygenex import plan, text
    from raygenex.train.run import train as run_train

    if dry_run:
        _print_plan(settings, as_json, [plan.plan_train(settings, force)])
        return
    result = run_train(settings, force, strict)
    _print(result, as_json, lambda: text.train_text(result))


@app.command()
def evaluate(
    config: ConfigPath,
    split: Annotated[str, typer.Option(help="valid or test.")] = "valid",
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure the model on a split, with intervals."""
    settings = _load(config, override, debug)
    from raygenex import plan, text
    from raygenex.evaluate import evaluate as run_evaluate

    if split not in ("valid", "test"):
        raise ConfigError(f"--split {split} is no split to evaluate on: use valid or test")
    if dry_run:
        _print_plan(settings, as_json, [plan.plan_evaluate(settings, split)])
        return
    result = run_evaluate(settings, split, force)
    values = asdict(result) | {"metrics": {name: interval._asdict() for name, interval in result.metrics.items()}}
    _print(values, as_json, lambda: text.evaluate_text(result))


@app.command()
def register(
    config: ConfigPath,
    override: Overrides = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Register the model in MLflow as `candidate`."""
    settings = _load(config, override, debug)
    from raygenex import plan, text
    from raygenex.registry import register as run_register

    if dry_run:
        _print_plan(settings, as_json, [plan.plan_register(settings)])
        return
    result = run_register(settings)
    _print(result, as_json, lambda: text.register_text(result))


@app.command()
def predict(
    config: ConfigPath,
    inputs: Annotated[list[str], typer.Argument(metavar="HDF5...", help="Files, globs or URLs; labels not needed.")],
    output: Annotated[str, typer.Option(help="A .parquet or .csv file to write.")],
    model: Annotated[
        str | None,
        typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION or a checkpoint folder; default: this run's."),
    ] = None,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score the genes of HDF5 files with a model."""
    settings = _load(config, override, debug)
    from raygenex import plan, text
    from raygenex.predict import predict as run_predict
    from raygenex.registry import fetch_checkpoint

    checkpoint = fetch_checkpoint(settings, model or f"{settings.folder}/checkpoint")
    if dry_run:
        _print_plan(settings, as_json, [plan.plan_predict(settings, inputs, checkpoint, output, force)])
        return
    result = run_predict(settings, inputs, checkpoint, output, force)
    _print(result, as_json, lambda: text.predict_text(result))


@app.command()
def benchmark(
    config: ConfigPath,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train every model over several seeds, and write the tables that compare them."""
    settings = _load(config, override, debug)
    from raygenex import plan, text
    from raygenex.benchmark.run import benchmark as run_benchmark

    if dry_run:
        _print_plan(settings, as_json, plan.plan_benchmark(settings, force))
        return
    result = run_benchmark(settings, force)
    _print(text.benchmark_values(result), as_json, lambda: text.benchmark_text(result))
    if result.winner is None:
        raise typer.Exit(1)


@app.command()
def run(
    config: ConfigPath,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run everything, from data to registered model."""
    settings = _load(config, override, debug)
    from raygenex import pipeline, plan, text

    if dry_run:
        _print_plan(settings, as_json, plan.plan_run(settings, force))
        return
    result = pipeline.run(settings, force)
    _print(result, as_json, lambda: text.run_text(settings, result))


@config_app.command("show")
def config_show(config: ConfigPath, override: Overrides = None, as_json: Json = False, debug: Debug = False) -> None:
    """Print the configuration with its defaults."""
    settings = _load(config, override, debug)
    import yaml

    values = settings.dump()
    header = f"# hash {settings.hash()}\n"
    _print(values, as_json, lambda: header + yaml.safe_dump(values, sort_keys=False).rstrip())


@config_app.command("schema")
def config_schema(debug: Debug = False) -> None:
    """Print the configuration's JSON schema."""
    _start(debug)
    _say(json.dumps(RunConfig.model_json_schema(), indent=2))


def main() -> None:
    """Run the command line: exit 0 when it worked, 1 when it failed, 2 on wrong usage or input."""
    try:
        app(prog_name="raygenex")
    except RaygenexError as error:
        if _Session.debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if _Session.debug:
            raise
        what = error.filename or "a file or a connection"
        advice = "check the path, its rights and the disk"
        typer.echo(f"error: {what} cannot be used ({error.strerror or error}): {advice}", err=True)
        sys.exit(2)
    except SystemExit as leaving:
        # Typer turns an interrupt into this code.
        if leaving.code == 130:
            typer.echo("interrupted: run the same command again to go on from here", err=True)
        raise
    except Exception as error:
        if _Session.debug:
            raise
        first = next(iter(str(error).strip().splitlines()), "no message")
        typer.echo(f"failed: {type(error).__name__}: {first} (--debug shows the traceback)", err=True)
        sys.exit(1)
    finally:
        if _Session.out is not None:
            sys.stdout, _Session.out = _Session.out, None
