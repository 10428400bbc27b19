"""Writing a report: where to, over what, and what the command says."""

import json

import pytest
import toy_runs

from raygenex.errors import DataError, RaygenexError, TrackingAway, TrackingError
from raygenex.report.run import report
from raygenex.tracking.runs import Tracker
from raygenex.train.state import RunState, write_state

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def run(tmp_path):
    config, folder = toy_runs.make_run(tmp_path)
    toy_runs.add_evaluation(folder, config.data.valid[0])
    return config, folder


def test_the_verb_writes_and_refreshes_its_own_page(raygenex, run):
    folder = run[1]
    page = folder / "report.html"
    code, out, err = raygenex("report", folder, "--dry-run")
    assert (code, err) == (0, "")
    assert out == "report: write runs/toy/report.html from checkpoint, evaluation on valid\n"
    assert not page.exists()
    code, out, err = raygenex("report", folder)
    assert (code, err) == (0, "")
    assert out.startswith("report: runs/toy/report.html, 0.")
    assert "not in it: test, benchmark, study, explanation, registered version" in out
    first = page.read_text()
    code, out, _ = raygenex("report", folder, "--dry-run")
    assert (code, out[:15]) == (0, "report: refresh")
    code, out, _ = raygenex("report", folder, "--json")
    assert code == 0
    values = json.loads(out)
    assert values["page"] == str(page)
    assert values["bytes"] == page.stat().st_size
    assert values["parts"] == ["model", "data", "valid"]
    assert values["tracked"] is False
    assert page.read_text() == first
    left = {path.name for path in folder.iterdir()}
    assert left == {"checkpoint", "evaluation", "report.html"}
    # Looking for a registered version made no database.
    assert {path.name for path in folder.parent.iterdir()} == {"toy"}


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("__init__", TrackingError("MLflow at http://h refused: no rights")),
        ("__init__", TrackingAway("MLflow at http://h does not answer")),
        ("exists", TrackingError("MLflow at http://h refused: no rights")),
    ],
)
def test_a_page_is_written_whatever_mlflow_says(raygenex, run, monkeypatch, where, error):
    config, folder = run
    run_id = Tracker(config).start("toy", {}, {})
    write_state(folder, RunState(identity="x", run_id=run_id, finished=True, trained=True))

    def refuse(*arguments):
        raise error

    monkeypatch.setattr(Tracker, where, refuse)
    code, out, err = raygenex("report", folder, "--json")
    assert (code, json.loads(out)["tracked"]) == (0, False)
    assert err.endswith(f"the report is not in MLflow: {error}\n")
    assert (folder / "report.html").exists()


def test_what_is_no_report_of_this_run_stays(run, tmp_path, raygenex):
    folder = run[1]
    page = tmp_path / "mine.html"
    page.write_text("mine")
    code, out, err = raygenex("report", folder, "--output", page)
    assert (code, out) == (2, "")
    assert err == f"error: {page} exists already: give --force to replace it, or choose another path\n"
    assert page.read_text() == "mine"
    report(folder, page, force=True)
    other = page.read_text().replace('name="raygenex-run" content="toy"', 'name="raygenex-run" content="other"')
    page.write_text(other)
    with pytest.raises(DataError, match="exists already"):
        report(folder, page)


@pytest.mark.parametrize(
    ("name", "words"), [("page.txt", "must end in .html"), ("no/page.html", "make it first"), ("toy", "must end")]
)
def test_pages_that_cannot_be(run, tmp_path, name, words):
    with pytest.raises(RaygenexError, match=words):
        report(run[1], tmp_path / name)


def test_nothing_is_left_of_a_page_that_fails(run, raygenex):
    folder = run[1]
    (folder / "evaluation" / "valid" / "metrics.json").write_text("{")
    code, out, err = raygenex("report", folder)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {folder}/evaluation/valid/metrics.json is damaged")
    assert err.count("\n") == 1
    assert not (folder / "report.html").exists()


def test_a_run_that_is_not_there(raygenex, tmp_path):
    code, _, err = raygenex("report", tmp_path / "no.yaml")
    assert code == 2
    assert "does not exist" in err
    (tmp_path / "no.yaml").write_text("name: absent\n")
    code, _, err = raygenex("report", tmp_path / "no.yaml")
    assert code == 2
    assert "holds nothing to report" in err
