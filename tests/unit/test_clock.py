"""A clock that jumps back or ahead: durations, waiting and locks do not use it, and what does stays right."""

import ast
import os
import time
from pathlib import Path

import pytest

import raygenex
from raygenex.config.load import parse_config
from raygenex.files.leftovers import remove_leftovers
from raygenex.files.lock import exclusive
from raygenex.files.whole import whole_file
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker

PACKAGE = Path(raygenex.__file__).parent
# Who looks at the clock on the wall, and for what.
STAMPS = {
    "evaluate": "times of numbers in MLflow, which are told apart by their steps",
    "tracking/runs": "the same",
    "train/training": "the same",
    "train/complete": "the same",
    "train/network/loop": "when an epoch ended, for the numbers in MLflow, and no duration",
    "tune/mlflow_runs": "the same",
    "tune/tuner": "the name of a folder of Ray Tune's, with the process in it, removed after the search",
    "registry/history": "the order of champions, which `behind` keeps whatever the clock says",
    "registry/register": "how long ago another registration began, which MLflow has by the clock of its server",
    "registry/versions": "the time of a version, as MLflow has it, in a list",
    "report/run": "the date on a page",
    "report/collect": "the date on a page",
}
CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "fromtimestamp")}


def test_only_stamps_come_from_the_clock_on_the_wall():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.attr != "utcnow", path
                if (node.value.id, node.attr) in CLOCKS:
                    found.add(str(path.relative_to(PACKAGE).with_suffix("")))
    assert found == set(STAMPS)


@pytest.fixture
def wild(monkeypatch):
    """Let the clock jump a day back and forth, further every time that it is asked."""
    asked = []

    def now():
        asked.append(None)
        return 1.7e9 + 86_400 * (-1) ** len(asked) * len(asked)

    monkeypatch.setattr(time, "time", now)
    return asked


def test_mlflow_has_every_epoch_once_and_the_last_one_last(tmp_path, wild):
    tracker = Tracker(parse_config({"output": str(tmp_path)}, "test"))
    run_id = tracker.start("run", {}, {})
    with Outbox("the training", 5.0) as outbox:
        for step in range(6):
            at = int(time.time() * 1000)
            for _ in range(2):
                # The second call as after an outage in which nobody knows whether the first one arrived.
                outbox.add(lambda step=step, at=at: tracker.log_series(run_id, {step: {"auroc": step / 10}}, at), "it")
    assert wild
    history = tracker.client.get_metric_history(run_id, "auroc")
    assert sorted((entry.step, entry.value) for entry in history) == [(step, step / 10) for step in range(6)]
    assert tracker.client.get_run(run_id).data.metrics == {"auroc": 0.5}
    assert tracker.logged_steps(run_id, "auroc") == set(range(6))


def test_a_file_of_the_future_or_the_past_is_still_whose_it_is(tmp_path, wild):
    """What is being written, and who holds a folder, is told by locks, never by age."""
    with exclusive(tmp_path / "run", "training"), whole_file(tmp_path / "a") as aside:
        os.utime(aside, (0, 0))
        remove_leftovers(tmp_path)
        assert aside.exists()
        os.utime(aside, (4e9, 4e9))
        aside.write_text("a")
    assert (tmp_path / "a").read_text() == "a"
