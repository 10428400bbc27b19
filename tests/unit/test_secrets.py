"""Passwords, tokens and keys: nowhere in what is logged, written or shown."""

import io
import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy_models import columns, write_promoters

from raygenex import submit as job
from raygenex.config import load_config, parse_config
from raygenex.errors import LONGEST, ConfigError, RaygenexError
from raygenex.html import source
from raygenex.redact import HIDDEN, redact, redact_values
from raygenex.registry import register
from raygenex.tracking import ui_command
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
    ],
)
def test_addresses(text, expected):
    assert redact(text) == expected
    assert redact(redact(text)) == redact(text)


def test_values_of_the_environment(environment):
    assert redact(f"a {TOKEN} b {MLFLOW}{AWS}") == f"a {HIDDEN} b {HIDDEN}{HIDDEN}"
    values = {"a": [f"x{TOKEN}", 3, None, (MLFLOW,)], "b": {"c": True}}
    assert redact_values(values) == {"a": [f"x{HIDDEN}", 3, None, [HIDDEN]], "b": {"c": True}}


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
    assert any(b"host/test.h5" in data for name, data in found.items() if "dumped" in name)
    for name, data in found.items():
        for secret in (*SECRETS, "bob:"):
            assert secret.encode() not in data, (name, secret)
    info = read_info(Path(config.folder, "checkpoint"))
    assert info.run_config.variants.genes == (f"https://host/test.h5?X-Amz-Signature={HIDDEN}",)
    assert info.config_hash == config.hash()


def test_log_lines(raygenex, environment, monkeypatch, capsys):
    from raygenex.console import start

    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    start(False)
    logging.getLogger("raygenex.x").warning("at %s with %s", f"http://u:{PASSWORD}@h", TOKEN)
    logging.getLogger("mlflow").error(f"{MLFLOW} is wrong")
    said = stream.getvalue()
    said += capsys.readouterr().err
    assert "at http://h with ***" in said
    assert "*** is wrong" in said
    assert not any(secret in said for secret in SECRETS)


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


async def lines(text):
    yield text


def test_the_command_of_the_ui():
    config = parse_config({"tracking": {"uri": f"postgresql://u:{PASSWORD}@h/db"}}, "test")
    assert ui_command(config) == "mlflow ui --backend-store-uri postgresql://h/db"


def test_templates_hold_no_address_with_a_user():
    assert redact(source("report/report.js")) == source("report/report.js")
