"""Passwords, tokens and keys: nowhere in what is logged, written or shown."""

import html
import io
import json
import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import markupsafe
import pytest
from markupsafe import Markup
from toy_models import columns, write_promoters

from raygenex.cli import submit
from raygenex.cli.options import Session
from raygenex.cluster import submit as job
from raygenex.config.load import load_config, parse_config
from raygenex.data.build import run
from raygenex.drawing import html as pages
from raygenex.drawing.html import source
from raygenex.errors import LONGEST, ConfigError, RaygenexError
from raygenex.redact import HIDDEN, redact, redact_values
from raygenex.registry.register import register
from raygenex.tracking.store import ui_command
from raygenex.train.checkpoint import read_info
from raygenex.train.run import train

PASSWORD, TOKEN, SIGNATURE, MLFLOW, AWS = (
    "hunter2-pw",
    "f00dbabe" * 8,
    "SIGabc%2F123",
    "mlflow-pass-word",
    "wJalrXUtnFEMI/K7",
)
SECRETS = (PASSWORD, TOKEN, SIGNATURE, MLFLOW, AWS)


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", MLFLOW)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://bob:pw@host:5000/x", "http://host:5000/x"),
        ("postgresql+psycopg2://u:p@ss@host/db and s3://k:s@b/a.h5", "postgresql+psycopg2://host/db and s3://b/a.h5"),
        (
            "https://b.s3.amazonaws.com/a?X-Amz-Credential=AKIA1&X-Amz-Signature=ab12&x=1",
            f"https://b.s3.amazonaws.com/a?X-Amz-Credential={HIDDEN}&X-Amz-Signature={HIDDEN}&x=1",
        ),
        (
            "https://a.blob.core.windows.net/c/a.h5?sv=2024&sig=ab%3D",
            f"https://a.blob.core.windows.net/c/a.h5?sv=2024&sig={HIDDEN}",
        ),
        ("https://host/a.h5?token=abc, next", f"https://host/a.h5?token={HIDDEN}, next"),
        ('https://host/a?x=1&amp;access_token=abc"', f'https://host/a?x=1&amp;access_token={HIDDEN}"'),
        ("me@example.org and a@b", "me@example.org and a@b"),
        ("models:/name@champion", "models:/name@champion"),
        ("https://host/@scope/x?design=1", "https://host/@scope/x?design=1"),
        ("key=value, token=abc", "key=value, token=abc"),
        # A name before an @ is a place in some stores: two containers stay two.
        ("abfss://train@a.dfs.core.windows.net/a.h5", "abfss://train@a.dfs.core.windows.net/a.h5"),
        ("wasbs://valid@a.blob.core.windows.net/a.h5", "wasbs://valid@a.blob.core.windows.net/a.h5"),
        ("git+ssh://git@github.com/a/b", "git+ssh://git@github.com/a/b"),
        ("git+https://ghp_abc@github.com/a/b", "git+https://github.com/a/b"),
        ("POSTGRESQL://me@host/db", "POSTGRESQL://host/db"),
        ("hf://user:tok@x/y", "hf://x/y"),
        ("['s3://b','a@b.c']", "['s3://b','a@b.c']"),
        ("(http://h:5000),x@y", "(http://h:5000),x@y"),
        ("redis://h:6379/0,x@y", "redis://h:6379/0,x@y"),
        ("in s3://data:latest and me@x", "in s3://data:latest and me@x"),
        # What SQLAlchemy takes as a password.
        ("postgresql://me:pa/ss@host/db", "postgresql://host/db"),
        ('mysql+pymysql://me:pa"s<s@host/db', "mysql+pymysql://host/db"),
        ("postgresql://h/db?user=me&pwd=hunter22", f"postgresql://h/db?user=me&pwd={HIDDEN}"),
        ("Endpoint=https://x;AccountKey=abcdefg==;A=1", f"Endpoint=https://x;AccountKey={HIDDEN};A=1"),
        ("host=db password=hunter22 user=me", f"host=db password={HIDDEN} user=me"),
        ("PASSWORD = 'two words' x", f"PASSWORD = {HIDDEN} x"),
        ("Driver=x;UID=me;PWD=hunter22", f"Driver=x;UID=me;PWD={HIDDEN}"),
        ("https://h/a?sas=xyz", f"https://h/a?sas={HIDDEN}"),
        ("{'Authorization': 'Bearer abc.def'}", f"{{'Authorization': 'Bearer {HIDDEN}'}}"),
        ("Authorization: Basic YTpi end", f"Authorization: Basic {HIDDEN} end"),
    ],
)
def test_addresses(text, expected):
    assert redact(text) == expected
    assert redact(redact(text)) == redact(text)


def test_values_of_the_environment(environment):
    assert redact(f"a {TOKEN} b {MLFLOW}{AWS}") == f"a {HIDDEN} b {HIDDEN}{HIDDEN}"
    values = {"a": [f"x{TOKEN}", 3, None, (MLFLOW,)], "b": {"c": True}}
    assert redact_values(values) == {"a": [f"x{HIDDEN}", 3, None, [HIDDEN]], "b": {"c": True}}


AWKWARD = "pä'ss&wo\"rd<1>\\x"


@pytest.mark.parametrize(
    "write",
    [
        str,
        html.escape,
        lambda text: str(markupsafe.escape(text)),
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: str(markupsafe.escape(json.dumps(text))),
        lambda text: json.dumps(text, ensure_ascii=False).replace("<", "\\u003c"),
        lambda text: quote(text, safe=""),
    ],
)
def test_a_value_is_found_however_it_is_written(monkeypatch, write):
    monkeypatch.setenv("PGPASSWORD", AWKWARD)
    text = write(AWKWARD)
    assert re.fullmatch(rf'before ("|&#34;|){re.escape(HIDDEN)}\1 after', redact(f"before {text} after"))


@pytest.mark.parametrize(
    "name",
    ["HUGGING_FACE_HUB_TOKEN", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_SECRET", "DATABRICKS_TOKEN", "PGPASSWORD"],
)
def test_variables_of_other_services(monkeypatch, name):
    monkeypatch.setenv(name, "hunter2-pw")
    assert redact("with hunter2-pw") == f"with {HIDDEN}"


def test_a_page_holds_no_secret_as_html(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", AWKWARD)
    template = "{{ said }}<script>{{ made }}</script>"
    monkeypatch.setattr(pages, "source", lambda name: template)
    page = pages.render("x", {"said": f"no {AWKWARD}", "made": Markup("1 < 2")})
    assert page == f"no {HIDDEN}<script>1 < 2</script>\n"


def test_short_values_of_the_environment_hide_no_words(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "train")
    assert redact("training") == "training"


def test_messages_are_one_line_without_secrets(environment):
    text = str(RaygenexError(f"a\nb\x1b[2J\u202e {TOKEN} s3://k:{PASSWORD}@b/x"))
    assert text == f"a\\nb\\x1b[2J\\u202e {HIDDEN} s3://b/x"
    long = str(RaygenexError("start " + "x" * 10**6 + " end"))
    assert len(long) <= LONGEST
    assert long.startswith("start x")
    assert long.endswith("x end")


def test_a_message_of_a_configuration(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(f"tracking: {{uri: ['http://u:{PASSWORD}@h']}}\n")
    with pytest.raises(ConfigError) as info:
        load_config(path, [f"tracking=http://u:{PASSWORD}@h"])
    assert PASSWORD not in str(info.value)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, and every value of every table of its databases."""
    found = {}
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        found[str(path)] = path.read_bytes()
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as database:
                rows = [*database.iterdump()]
            found[f"{path} dumped"] = "\n".join(rows).encode()
    return found


def test_nothing_is_in_mlflow_or_in_the_run(tmp_path, environment):
    files = {
        name: write_promoters(tmp_path / f"{name}.h5", columns(24, 12, seed, name))
        for seed, name in enumerate(("train", "valid"))
    }
    hidden = {
        "data": files,
        "variants": {
            "genes": f"https://bob:{PASSWORD}@host/test.h5?X-Amz-Signature={SIGNATURE}",
            "genome": f"s3://key:{PASSWORD}@bucket/{TOKEN}/{MLFLOW}.fa?token={AWS}",
        },
    }
    model = {"kind": "logistic", "k": (1, 2), "regions": 2, "region_k": 1, "onehot_bases": 4}
    config = parse_config({"output": str(tmp_path / "runs"), "name": "hidden", "model": model} | hidden, "test")
    assert PASSWORD in config.variants.genes[0]
    train(config, force=False, strict=False)
    register(config)
    found = contents(tmp_path / "runs")
    assert any(name.endswith("checkpoint.json") for name in found)
    assert any(b"host/test.h5" in data for data in found.values())
    for name, data in found.items():
        for secret in (*SECRETS, "bob:"):
            assert secret.encode() not in data, (name, secret)
    info = read_info(Path(config.folder, "checkpoint"))
    assert info.run_config.variants.genes == (f"https://host/test.h5?X-Amz-Signature={HIDDEN}",)
    assert info.config_hash == config.hash()


def test_log_lines(raygenex, environment, monkeypatch, capsys):
    from raygenex.cli.options import Session

    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", stream)
    Session().begin(False)
    logging.getLogger("raygenex.x").warning("at %s with %s", f"http://u:{PASSWORD}@h", TOKEN)
    logging.getLogger("mlflow").error(f"{MLFLOW} is wrong")
    said = stream.getvalue()
    said += capsys.readouterr().err
    assert "at http://h with ***" in said
    assert "*** is wrong" in said
    assert not any(secret in said for secret in SECRETS)


class Closed:
    def __str__(self):
        raise RuntimeError("closed")


@pytest.mark.parametrize(
    "arguments", [("%(rank)d of %(size)d", {"rank": 1}), ("state %s", Closed()), ("%d", "x"), ("%s %s", 1)]
)
def test_a_log_line_that_cannot_be_written_ends_nothing(raygenex, monkeypatch, arguments):
    from raygenex.cli.options import Session

    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", stream)
    Session().begin(False)
    logging.getLogger("some.library").warning(*arguments)
    logging.getLogger("some.library").warning("goes on")
    assert "--- Logging error ---" in stream.getvalue()
    assert stream.getvalue().endswith(" goes on\n")


def test_a_build_records_both_of_two_inputs(monkeypatch):
    # They differ in what is left out of an address.
    annotation, table = (f"https://{user}:{PASSWORD}@host/a.tsv" for user in ("a", "b"))
    config = parse_config(
        {"build": {"annotation": annotation, "genome": "g.fa", "label": {"table": table, "columns": ["x"]}}}, "test"
    )
    monkeypatch.setattr(run, "fingerprint", {"g.fa": "1", annotation: "2", table: "3"}.get)
    assert run._inputs(config) == {"g.fa": "1", "https://host/a.tsv": "2", "https://host/a.tsv (2)": "3"}
    assert run._input_paths(config) == ["g.fa", annotation, table]


def test_what_a_job_tells(environment):
    config = parse_config({"name": "a"}, "test")
    task = job.Task(config, "predict", (f"s3://k:{PASSWORD}@b/a.h5", f"--model={TOKEN}"), {"RAY_AUTH_TOKEN": TOKEN})
    assert not any(secret in json.dumps(task.metadata()) for secret in SECRETS)
    shown = []
    client = SimpleNamespace()
    client.tail_job_logs = lambda submission_id: lines(f"at http://u:{PASSWORD}@h {TOKEN}\n")
    client.get_job_info = lambda submission_id: SimpleNamespace(
        status=SimpleNamespace(is_terminal=lambda: True, value="FAILED"), driver_exit_code=1, message=""
    )
    job.wait(client, "a", "http://h", shown.append, None)
    assert shown == ["at http://h ***"]


def test_why_a_job_did_not_start():
    shown = []
    client = SimpleNamespace()
    client.tail_job_logs = lambda submission_id: lines("")
    client.get_job_info = lambda submission_id: SimpleNamespace(
        status=SimpleNamespace(is_terminal=lambda: True, value="FAILED"),
        driver_exit_code=None,
        message=f"Failed to download https://u:{PASSWORD}@h/pkg.zip?token={SIGNATURE} ",
    )
    job.wait(client, "a", "http://h", shown.append, None)
    assert shown == [f"Failed to download https://h/pkg.zip?token={HIDDEN}"]


def test_the_value_of_a_variable_that_cannot_be():
    with pytest.raises(ConfigError, match="--env MY-TOKEN is not of the form") as info:
        job.read_env([f"MY-TOKEN={PASSWORD}"])
    assert PASSWORD not in str(info.value)


def test_the_address_of_a_dashboard(capsys):
    config = parse_config({"name": "a"}, "test")
    address = f"https://me:{PASSWORD}@head"
    steps = submit._plan(config, job.Task(config), address)["steps"]
    submit._note(f"submitted a to {address}")
    submit._print(Session(), job.SubmitResult("a", address, "SUBMITTED", None, ""), True)
    said = "".join([*steps, *capsys.readouterr()])
    assert said.count("https://head") == 3
    assert PASSWORD not in said


async def lines(text):
    yield text


def test_the_command_of_the_ui():
    config = parse_config({"tracking": {"uri": f"postgresql://u:{PASSWORD}@h/db"}}, "test")
    assert ui_command(config) == "mlflow ui --backend-store-uri postgresql://h/db"


def test_templates_hold_no_address_with_a_user():
    assert redact(source("report/report.js")) == source("report/report.js")
