import getpass
import json
import subprocess
import sys

import pytest

from raygenex.config.load import parse_config
from raygenex.tracking import provenance
from raygenex.tracking.provenance import CONTEXT, carried_by_job, git_tags, run_tags, source_tags
from raygenex.tracking.runs import Tracker

SENT = {
    "mlflow.user": "ada",
    "mlflow.source.name": "raygenex run demo.yaml",
    "mlflow.source.git.commit": "c" * 40,
    "raygenex.git_commit": "c" * 40 + "-dirty",
    "raygenex.git_repository": "work",
}


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.delenv(CONTEXT, raising=False)
    source_tags.cache_clear()
    yield
    source_tags.cache_clear()


def test_a_run_says_who_started_it_by_which_command_at_which_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/raygenex", "train", "a b.yaml", "-o", "tracking.uri=http://me:pw123@m"])
    tracker = Tracker(parse_config({"output": str(tmp_path)}, "test"))
    tags = tracker.client.get_run(tracker.start("run", {}, {"raygenex.stage": "train"})).data.tags
    assert tags["mlflow.user"] == getpass.getuser()
    assert tags["mlflow.source.name"] == "raygenex train 'a b.yaml' -o tracking.uri=http://m"
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["raygenex.stage"] == "train"
    commit = git_tags().get("raygenex.git_commit")
    assert tags.get("mlflow.source.git.commit") == (commit and commit.removesuffix("-dirty"))


@pytest.mark.parametrize(
    ("program", "source"),
    [("/x/study.py", "study.py"), ("/x/raygenex/__main__.py", "raygenex"), ("/r/default_worker.py", None), ("", None)],
)
def test_the_source_is_the_command_or_the_script(monkeypatch, program, source):
    monkeypatch.setattr(sys, "argv", [program])
    assert run_tags().get("mlflow.source.name") == source


def test_a_user_without_a_name_has_none(monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert "mlflow.user" not in run_tags()


def test_a_job_has_the_tags_of_where_it_came_from(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "git_tags", lambda: {"raygenex.git_commit": "c" * 40 + "-dirty"})
    sent = json.loads(carried_by_job("raygenex run demo.yaml")[CONTEXT])
    assert sent["mlflow.user"] == getpass.getuser()
    assert sent["mlflow.source.name"] == "raygenex run demo.yaml"
    assert (sent["mlflow.source.git.commit"], sent["raygenex.git_commit"]) == ("c" * 40, "c" * 40 + "-dirty")
    monkeypatch.undo()
    source_tags.cache_clear()
    monkeypatch.setenv(CONTEXT, json.dumps(SENT))
    monkeypatch.chdir(tmp_path)
    assert git_tags(tmp_path) == {name: SENT[name] for name in ("raygenex.git_commit", "raygenex.git_repository")}
    assert {name: run_tags()[name] for name in SENT if name.startswith("mlflow.")} == {
        name: value for name, value in SENT.items() if name.startswith("mlflow.")
    }


def test_a_process_asks_git_once(monkeypatch):
    asked = []
    monkeypatch.setattr(provenance, "git_tags", lambda: asked.append(1) or {"raygenex.git_commit": "c" * 40})
    assert run_tags()["mlflow.source.git.commit"] == "c" * 40
    assert "raygenex.git_commit" not in run_tags()
    assert json.loads(carried_by_job("raygenex run demo.yaml")[CONTEXT]).items() >= source_tags().items() - {
        ("mlflow.source.name", source_tags().get("mlflow.source.name"))
    }
    assert asked == [1]


@pytest.mark.parametrize("context", ["", "no JSON", "[1]", "{}"])
def test_a_context_of_another_form_is_none_of_ours(monkeypatch, context):
    monkeypatch.setenv(CONTEXT, context)
    assert run_tags()["mlflow.user"] == getpass.getuser()


# Commits


def git(folder, *arguments):
    names = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "work"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def head(folder):
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_a_tracked_package_and_its_changes(repository):
    tags = git_tags(repository / "package")
    assert tags == {"raygenex.git_commit": head(repository), "raygenex.git_repository": "work"}
    (repository / "package" / "new.py").write_text("")
    assert git_tags(repository / "package") == tags, "a new file is no change of a tracked one"
    (repository / "package" / "__init__.py").write_text("x = 1\n")
    assert git_tags(repository / "package")["raygenex.git_commit"] == f"{head(repository)}-dirty"


def test_an_installed_package_leaves_the_working_directory(repository, tmp_path, monkeypatch):
    installed = tmp_path / "site"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    monkeypatch.chdir(installed)
    assert git_tags(installed) == {}
    monkeypatch.chdir(repository)
    assert git_tags(installed)["raygenex.git_commit"] == head(repository)


def test_no_git_no_tags(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert git_tags(repository / "package") == {}
