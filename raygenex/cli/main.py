"""The command line: every verb loads a configuration, calls one function and prints one result."""

import json
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from raygenex import __version__
from raygenex.cli.data import data_app
from raygenex.cli.explain import explain
from raygenex.cli.options import (
    ConfigPath,
    Debug,
    DryRun,
    Force,
    Json,
    Overrides,
    Session,
    load,
    print_plan,
    print_result,
    say,
    start,
)
from raygenex.cli.registry import promote_registered, registry_app
from raygenex.cli.submit import submit
from raygenex.cli_report import report
from raygenex.cli_variants import variants
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError, RaygenexError, file_error
from raygenex.redact import redact
from raygenex.terminal.signals import INTERRUPTED, end_as_interrupted, exit_code

app = typer.Typer(
    name="raygenex",
    help="Predict gene expression from promoter DNA and mRNA half-life features, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Show the resolved configuration, or its schema.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")
app.add_typer(registry_app, name="registry")
app.command()(submit)
app.command()(explain)
app.command()(variants)
app.command()(report)


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
    start(debug)
    from raygenex.environment import describe_environment

    found = describe_environment()
    print_result(found, as_json, lambda: "\n".join(f"{key:<14} {value}" for key, value in found.items()))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("raygenex.yaml"),
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Write a configuration to start from."""
    start(debug)
    from raygenex.files.whole import replace_text
    from raygenex.starter import STARTER

    if path.exists() and not force:
        raise ConfigError(f"{path} exists: pass --force to replace it, or name another file")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the folder of {path} does not exist: make it first")
    replace_text(path, STARTER)
    say(f"wrote {path}: set data.train and data.valid, then `raygenex run {path}`")


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
    settings = load(config, override, debug)
    from raygenex import plan, text

    if dry_run:
        print_plan(settings, as_json, [plan.plan_embed(settings, force)])
        return
    from raygenex.embed.run import embed as run_embed

    result = run_embed(settings, force)
    print_result(result, as_json, lambda: text.embed_text(result))


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
    settings = load(config, override, debug)
    from raygenex import plan, text

    if dry_run:
        print_plan(settings, as_json, [plan.plan_train(settings, force)])
        return
    from raygenex.train.run import train as run_train

    result = run_train(settings, force, strict)
    print_result(result, as_json, lambda: text.train_text(result))


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
    settings = load(config, override, debug)
    from raygenex import plan, text

    if split not in ("valid", "test"):
        raise ConfigError(f"--split {split} is no split to evaluate on: use valid or test")
    if dry_run:
        print_plan(settings, as_json, [plan.plan_evaluate(settings, split)])
        return
    from raygenex.evaluate import evaluate as run_evaluate

    result = run_evaluate(settings, split, force)
    values = asdict(result) | {"metrics": {name: interval._asdict() for name, interval in result.metrics.items()}}
    print_result(values, as_json, lambda: text.evaluate_text(result))


@app.command()
def register(
    config: ConfigPath,
    override: Overrides = None,
    promote: Annotated[bool, typer.Option("--promote", help="Also let it become champion if it passes.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Register the model in MLflow as `candidate`."""
    settings = load(config, override, debug)
    from raygenex import plan, text

    if dry_run:
        steps = [plan.plan_register(settings)]
        print_plan(settings, as_json, [*steps, "promote: it, if it beats the champion on valid"] if promote else steps)
        return
    from raygenex.registry.register import register as run_register

    result = run_register(settings)
    if promote:
        promote_registered(settings, result, as_json)
        return
    print_result(result, as_json, lambda: text.register_text(result))


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
    settings = load(config, override, debug)
    from raygenex import plan, text
    from raygenex.registry.register import fetch_checkpoint

    checkpoint = fetch_checkpoint(settings, model or f"{settings.folder}/checkpoint")
    if dry_run:
        print_plan(settings, as_json, [plan.plan_predict(settings, inputs, checkpoint, output, force)])
        return
    from raygenex.predict.run import predict as run_predict

    result = run_predict(settings, inputs, checkpoint, output, force)
    print_result(result, as_json, lambda: text.predict_text(result))


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
    settings = load(config, override, debug)
    from raygenex import plan, text

    if dry_run:
        print_plan(settings, as_json, plan.plan_benchmark(settings, force))
        return
    from raygenex.benchmark.run import benchmark as run_benchmark

    result = run_benchmark(settings, force)
    print_result(text.benchmark_values(result), as_json, lambda: text.benchmark_text(result))
    if result.winner is None:
        raise typer.Exit(1)


@app.command()
def tune(
    config: ConfigPath,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted study.")] = False,
    override: Overrides = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Search better settings, and train, measure and register the best."""
    settings = load(config, override, debug)
    from raygenex import plan
    from raygenex.tune.text import tune_text, tune_values

    if dry_run:
        print_plan(settings, as_json, plan.plan_tune(settings, force))
        return
    from raygenex.tune.run import tune as run_tune

    Session.interrupted = "interrupted: run the same command again with --resume to go on from here"
    result = run_tune(settings, resume, force)
    print_result(tune_values(result), as_json, lambda: tune_text(result))


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
    settings = load(config, override, debug)
    from raygenex import plan, text

    if dry_run:
        print_plan(settings, as_json, plan.plan_run(settings, force))
        return
    from raygenex import pipeline

    result = pipeline.run(settings, force)
    print_result(result, as_json, lambda: text.run_text(settings, result))


@config_app.command("show")
def config_show(config: ConfigPath, override: Overrides = None, as_json: Json = False, debug: Debug = False) -> None:
    """Print the configuration with its defaults."""
    settings = load(config, override, debug)
    import yaml

    values = settings.dump()
    header = f"# hash {settings.hash()}\n"
    print_result(values, as_json, lambda: header + yaml.safe_dump(values, sort_keys=False).rstrip())


@config_app.command("schema")
def config_schema(debug: Debug = False) -> None:
    """Print the configuration's JSON schema."""
    start(debug)
    say(json.dumps(RunConfig.model_json_schema(), indent=2))


def main() -> None:
    """Run the command line: exit 0 when it worked, 1 when it failed, 2 on wrong usage or input."""
    with end_as_interrupted():
        try:
            _main()
        except KeyboardInterrupt:
            # It came before or after Typer, which turns it into an exit code.
            _leave_interrupted()


def _leave_interrupted() -> NoReturn:
    typer.echo(Session.interrupted, err=True)
    sys.exit(exit_code())


def _main() -> None:
    try:
        app(prog_name="raygenex")
    except RaygenexError as error:
        typer.echo(_traceback() if Session.debug else f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        # Typer turns an interrupt into this code.
        if leaving.code == INTERRUPTED:
            _leave_interrupted()
        raise
    except Exception as error:  # noqa: BLE001
        told = file_error(error)
        if Session.debug:
            typer.echo(_traceback(), err=True)
        elif told is not None:
            typer.echo(f"error: {told}", err=True)
        else:
            first = next(iter(str(error).strip().splitlines()), "no message")
            typer.echo(redact(f"failed: {type(error).__name__}: {first} (--debug shows the traceback)"), err=True)
        sys.exit(1 if told is None else told.exit_code)
    finally:
        if Session.out is not None:
            sys.stdout, Session.out = Session.out, None


def _traceback() -> str:
    """Return where the error at hand happened, without secrets."""
    return redact(traceback.format_exc().rstrip())
