"""The command `raygenex submit`."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from raygenex.cli.options import ConfigPath, Debug, DryRun, Json, Overrides, Session, begin
from raygenex.cluster.dashboard import ADDRESS_VARIABLE, connect, read_address
from raygenex.cluster.submit import SubmitResult, Task
from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError
from raygenex.redact import redact
from raygenex.tracking.origin import handed_on

app = typer.Typer()


@app.command()
def submit(
    context: typer.Context,
    config: ConfigPath,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- OPTIONS", help="Options of the verb, after --.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(envvar=ADDRESS_VARIABLE, metavar="URL", help="Dashboard, http://HEAD:8265.")
    ] = None,
    verb: Annotated[str, typer.Option(help="What the cluster does: run, train, 'data build', ...")] = "run",
    override: Overrides = None,
    shared: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="Folder that every node sees; may be repeated.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=VALUE]", help="Variable of the job and of ${NAME} here; may be repeated."),
    ] = None,
    installed: Annotated[
        bool, typer.Option("--installed", help="Use the raygenex that the cluster has; this one stays here.")
    ] = False,
    submission_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Name the job; one that is there already is followed.")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the job's id and leave.")] = False,
    timeout: Annotated[
        float | None, typer.Option(min=1.0, metavar="SECONDS", help="Stop following then; the job runs on.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a verb on a Ray cluster, as a job: its log, its result and its exit code come back."""
    session = begin(context, debug)
    from raygenex.cluster import submit as job

    variables = job.read_env(env or ())
    with job.in_environment(variables):
        settings = load_config(config, override or ())
    words = list(arguments or ())
    verb, words, before = check_verb(context.find_root().command, verb, words, as_json)
    # What a job's machine cannot know of where it comes from.
    task = Task(settings, verb, tuple(words), handed_on() | variables, installed, before)
    job.check_task(task, shared or (), submission_id)
    where = read_address(address)
    client = connect(where)
    if dry_run:
        values = _plan(settings, task, where)
        session.print_values(values, as_json, "\n".join(values["steps"]))
        return
    name, sent = job.start(client, task, submission_id)
    _note(f"submitted {name} to {where}" if sent else f"{name} is on {where} already")
    if no_wait:
        _print(session, SubmitResult(name, where, "SUBMITTED", None, "" if as_json else name), as_json)
        return
    session.interrupted = f"stopped following {name}, which runs on: {job.come_back(name, where)}"
    ended = job.wait(client, name, where, _note, timeout)
    _note(f"job {name}: {ended.status.lower()}, exit code {ended.exit_code}")
    _print(session, ended, as_json)
    if ended.exit_code:
        raise typer.Exit(ended.exit_code)


def check_verb(root: Any, verb: str, words: list[str], as_json: bool) -> tuple[str, list[str], int]:
    """Read a verb and its options as the cluster will.

    Returns
    -------
    The verb and its options in their plain form, and how many of these stand before the configuration.

    Raises
    ------
    ConfigError
        If there is no such verb, it takes no configuration, or its options hold overrides.
    """
    commands = _verbs(root)
    name = " ".join(verb.split())
    if name not in commands:
        raise ConfigError(f"--verb {verb} cannot be submitted: use one of {', '.join(sorted(commands))}")
    command: Any = commands[name]
    options = {param.name for param in command.params}
    if as_json and "as_json" in options:
        words = ["--json", *words]
    for before in range(len(words) + 1):
        # A wrong option ends here, with the usage of the verb.
        placed = [*words[:before], "config.yaml", *words[before:]]
        found = command.make_context(f"raygenex {name}", placed).params
        if found.get("override"):
            raise ConfigError("overrides must be known before anything travels: give -o before the --")
        # Some verbs take a model before the configuration.
        if str(found["config"]) == "config.yaml":
            break
    return name, words, before


def _verbs(group: Any, prefix: str = "") -> dict[str, Any]:
    """Return the verbs below a group that take a configuration to a cluster, by name."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= _verbs(command, f"{prefix}{name} ") if name != "config" else {}
        elif name != "submit" and any(param.name == "config" for param in command.params):
            found[prefix + name] = command
    return found


def _plan(config: RunConfig, task: Task, address: str) -> dict[str, Any]:
    """Return what would be sent."""
    package = "the raygenex that it has" if task.installed else "this raygenex"
    command = " ".join([task.verb, *task.arguments])
    steps = [f"submit: {config.name} to {address}, by {package}", f"job: raygenex {command}, into {config.folder}"]
    return {"config_hash": task.hash(), "steps": [redact(step) for step in steps]}


def _print(session: Session, result: SubmitResult, as_json: bool) -> None:
    """Print the verb's result, or with ``--json`` that of the submission around it."""
    if as_json:
        values = asdict(result) | {"address": redact(result.address), "result": _parsed(result.result)}
        session.print_values(values, as_json, "")
    elif result.result:
        session.print_values(None, as_json, result.result)


def _parsed(result: str) -> Any:
    """Return the result of a verb that printed JSON as a value, and other text as it is."""
    try:
        return json.loads(result)
    except ValueError:
        return result or None


def _note(line: str) -> None:
    typer.echo(redact(line), err=True)
