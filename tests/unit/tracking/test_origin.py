import getpass
import subprocess
import sys

import pytest

from raygenex.tracking.origin import git_tags, handed_on, origin_tags


@pytest.fixture(autouse=True)
def no_submission(monkeypatch):
    for name in ("RAYGENEX_USER", "RAYGENEX_GIT_COMMIT", "RAYGENEX_GIT_REPOSITORY", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)


# Who and by what


def test_a_run_names_its_user_and_command(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/raygenex", "train", "my run.yaml", "-o", "seed=1"])
    tags = origin_tags()
    assert tags["mlflow.user"] == "ada"
    assert tags["mlflow.source.name"] == "raygenex train 'my run.yaml' -o seed=1"
    assert tags["mlflow.source.type"] == "LOCAL"
    monkeypatch.setattr(sys, "argv", ["/site/raygenex/__main__.py", "run", "a.yaml"])
    assert origin_tags()["mlflow.source.name"] == "raygenex run a.yaml"
    monkeypatch.setattr(sys, "argv", ["/home/ada/study.py", "7"])
    assert origin_tags()["mlflow.source.name"] == "study.py"


def test_a_user_without_a_name_is_no_error(monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert "mlflow.user" not in origin_tags()
    assert "RAYGENEX_USER" not in handed_on()


def test_a_submitted_job_has_the_user_and_the_commit_of_where_it_came_from(repository, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    monkeypatch.chdir(repository)
    told = handed_on()
    assert told["RAYGENEX_USER"] == "ada"
    monkeypatch.setattr(getpass, "getuser", lambda: "ray")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    for name, value in {**told, "RAYGENEX_GIT_COMMIT": "c" * 40, "RAYGENEX_GIT_REPOSITORY": "work"}.items():
        monkeypatch.setenv(name, value)
    tags = origin_tags()
    assert (tags["mlflow.user"], tags["mlflow.source.type"]) == ("ada", "JOB")
    assert tags["mlflow.source.git.commit"] == "c" * 40
    assert git_tags(repository / "nowhere") == {
        "raygenex.git_commit": "c" * 40,
        "raygenex.git_repository": "work",
    }


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
