"""The report of a run in a real browser, offline, on a phone and on a desk, and in the run's MLflow."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy_runs
from toy_browser import Browser, find_browser
from toy_pages import Page

from raygenex.config.run import RunConfig
from raygenex.registry.register import register
from raygenex.report.run import report
from raygenex.tracking.runs import Tracker
from raygenex.train.state import RunState, write_state

SIZES = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium")
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with everything that a report can show."""
    _, folder = toy_runs.make_full_run(tmp_path_factory.mktemp("full"))
    return Path(report(folder).page)


def check(browser: Browser, page: Path, width: int, scheme: str) -> None:
    """Open a page and check that it is drawn, asks for nothing, complains of nothing, and fits."""
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(page, width, scheme)
    assert browser.ask("document.querySelectorAll('figure svg').length") >= 4
    assert browser.complaints == []
    assert {url.split(",")[0] for url in browser.requests} <= {page.as_uri(), "data:image/png;base64", "data:"}
    wide, inside = browser.ask("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inside == width
    late = (
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg') && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert browser.ask(late) == []
    # Everything that is folded fits as well.
    browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(late) == []


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_a_full_report_in_a_browser(browser: Browser, page: Path, width: int, scheme: str):
    check(browser, page, width, scheme)
    ground, ink = browser.ask(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('svg text')).fill]"
    )
    assert (ground, ink) == (
        ("rgb(255, 255, 255)", "rgb(26, 28, 31)") if scheme == "light" else ("rgb(20, 23, 27)", "rgb(232, 234, 237)")
    )


def test_a_gene_is_named_when_it_is_pointed_at(browser: Browser, page: Path):
    browser.open(page, 1280)
    assert browser.ask("document.querySelector('.said').textContent") == "Point at a gene to read its name."
    # Where the circles of matplotlib are, found by the browser itself.
    x, y = browser.ask(
        "(() => { const box = document.querySelector('.genes'); box.scrollIntoView({block: 'center'});"
        "const dots = [...box.querySelectorAll('clipPath ~ *, g use')].filter(e => e.closest('g[clip-path]'));"
        "const r = dots[3].getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2] })()"
    )
    browser.point(x, y)
    said = browser.ask("document.querySelector('.said').textContent")
    assert "probability" in said
    # The ring is around the very dot.
    ring = browser.ask(
        "(() => { const r = document.querySelector('.genes .ring').getBoundingClientRect();"
        "return [r.left + r.width / 2, r.top + r.height / 2] })()"
    )
    assert abs(ring[0] - x) < 1
    assert abs(ring[1] - y) < 1


def test_a_request_would_be_seen(browser: Browser, tmp_path: Path):
    """The checks above can fail: an image from elsewhere, a wide box and an error are noticed."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><main><img src='http://nowhere.invalid/a.png'><div style='width: 2000px'>a</div>"
        "<script>missing()</script></main>"
    )
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(bad, 390)
    assert "http://nowhere.invalid/a.png" in browser.requests
    assert any("missing is not defined" in text for text in browser.complaints)
    assert browser.ask("document.documentElement.scrollWidth") > 390


def test_a_report_is_in_the_runs_mlflow(mlflow_template: Path, tmp_path: Path):
    config, folder = toy_runs.make_run(tmp_path)
    shutil.copy(mlflow_template, folder.parent / "mlflow.db")
    tracker = Tracker(config)
    run_id = tracker.start(config.name, {}, {})
    tracker.end(run_id, "FINISHED")
    write_state(folder, RunState(identity="toy", run_id=run_id, finished=True))
    register(config)
    result = report(folder)
    assert result.tracked
    assert result.missing == ("valid", "test", "benchmark", "study", "explanation")
    assert "report.html" in [entry.path for entry in tracker.client.list_artifacts(run_id)]
    words = Page(Path(result.page).read_text(encoding="utf-8")).words
    assert "version 1 of raygenex, alias candidate" in words
    # Without its database the run is still worth a report.
    moved = tmp_path / "elsewhere" / "toy"
    shutil.copytree(folder, moved)
    assert not report(moved).tracked
    assert not (moved.parent / "mlflow.db").exists()


@pytest.mark.slow
def test_the_report_of_real_data(core60: RunConfig, browser: Browser, tmp_path: Path):
    folder = Path(core60.folder)
    toy_runs.add_explanation(folder, core60.data.valid[0])
    result = report(folder, tmp_path / "core60.html")
    assert result.bytes < 5 * 2**20
    for width, scheme in SIZES:
        check(browser, tmp_path / "core60.html", width, scheme)
