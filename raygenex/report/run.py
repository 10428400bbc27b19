"""Writing the report of a run, and giving it to the run's MLflow."""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from raygenex.config.run import RunConfig
from raygenex.drawing.html import check_page, write_page
from raygenex.errors import TrackingError
from raygenex.files.locate import short_path, written_path
from raygenex.report.collect import CHECKPOINT, Facts, collect, find_run
from raygenex.report.page import GENERATOR, render_page
from raygenex.report.studies import BENCHMARK_TABLES, STUDY_TRIALS
from raygenex.report.target_comparison import TARGET_TABLES
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker
from raygenex.tracking.store import database_file, tracking_uri
from raygenex.train.checkpoint import INFO
from raygenex.train.state import RunState

logger = logging.getLogger(__name__)

FILE = "report.html"
_HEAD = 65536
"""Bytes of a page that hold its head."""


@dataclass(frozen=True)
class ReportResult:
    """A written report."""

    page: str
    """Absolute path."""
    bytes: int
    parts: tuple[str, ...]
    """What it has, beside what every report has."""
    missing: tuple[str, ...]
    """What it says how to make."""
    tracked: bool
    """Whether the run's MLflow has it."""
    seconds: float

    def text(self) -> str:
        """Say where the page is, how large, and what it has not."""
        lines = [f"report: {short_path(self.page)}, {self.bytes / 2**20:.2f} MiB"]
        if self.missing:
            lines.append(f"not in it: {', '.join(self.missing)}; the page says how to make each")
        return "\n".join(lines)


def report(
    target: str | Path, output: str | Path | None = None, force: bool = False, overrides: list[str] | None = None
) -> ReportResult:
    """Write the report of a run.

    Parameters
    ----------
    target
        A run's folder, ``OUTPUT/NAME``, or a configuration.
    output
        The page; by default ``report.html`` in the run's folder.
    force
        Whether a file that is not a report of this run may be replaced.
    overrides
        ``section.key=value``, for a configuration.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If there is nothing to report, a file is damaged, or the page cannot be written.
    """
    started = time.monotonic()
    page = _page(target, output, force, overrides)
    facts = collect(target, overrides)
    text = render_page(facts, datetime.now(UTC).date().isoformat())
    written = write_page(page, text)
    state = None if facts.trained is None else facts.trained.state
    tracked = False
    if state is not None:
        try:
            tracked = _track(facts.config, state, Path(written))
        except TrackingError as error:
            # What was asked for is there by now.
            logger.warning("the report is not in MLflow: %s", error)
    has = contents(facts)
    return ReportResult(
        written,
        len(text.encode()),
        tuple(name for name, there in has.items() if there),
        tuple(name for name, there in has.items() if not there),
        tracked,
        time.monotonic() - started,
    )


def plan_report(
    target: str | Path, output: str | Path | None = None, force: bool = False, overrides: list[str] | None = None
) -> str:
    """Say what would be written from what; raises as `report` does, but for files that only reading finds damaged."""
    page = _page(target, output, force, overrides)
    folder = find_run(target, overrides)[1]
    parts = {
        "checkpoint": Path(CHECKPOINT, INFO),
        "evaluation on valid": Path("evaluation", "valid", "metrics.json"),
        "evaluation on test": Path("evaluation", "test", "metrics.json"),
        "benchmark": BENCHMARK_TABLES,
        "benchmark of targets": TARGET_TABLES,
        "study": STUDY_TRIALS,
        "explanations": Path("explain"),
    }
    there = [name for name, path in parts.items() if (folder / path).exists()]
    verb = "refresh" if page.exists() else "write"
    return f"report: {verb} {short_path(str(page.absolute()))} from {', '.join(there) or 'nothing, which is refused'}"


def contents(facts: Facts) -> dict[str, bool]:
    """Say which parts a report has."""
    return {
        "model": facts.trained is not None,
        "data": facts.data is not None and facts.data.report is not None,
        "valid": "valid" in facts.measured | facts.targets,
        "test": "test" in facts.measured | facts.targets,
        "benchmark": facts.benchmark is not None or facts.target_benchmark is not None,
        "study": facts.study is not None,
        "explanation": bool(facts.explained),
        "registered version": facts.registered is not None,
    }


def _page(target: str | Path, output: str | Path | None, force: bool, overrides: list[str] | None) -> Path:
    """Return where the page goes, which a report of the same run may hold already."""
    config, folder = find_run(target, overrides)
    page = folder / FILE if output is None else written_path(str(output), "--output")
    if output is None and not folder.is_dir():
        # Said by what collects, in the words of a run that never began.
        return page
    check_page(page, force or _is_report_of(page, config.name))
    return page


def _is_report_of(page: Path, name: str) -> bool:
    """Whether a file is a report of the run of this name."""
    if not page.is_file():
        return False
    with page.open("rb") as file:
        head = file.read(_HEAD).decode("utf-8", errors="replace")
    made = f'<meta name="generator" content="{GENERATOR}">'
    return made in head and f'<meta name="raygenex-run" content="{escape(name)}">' in head


def _track(config: RunConfig, state: RunState, page: Path) -> bool:
    """Give the page to the run's MLflow, if both are there; return whether it has it; raises TrackingError."""
    file = database_file(tracking_uri(config))
    # A folder that was moved has no database; looking must not make one.
    if file is not None and not file.exists():
        return False
    tracker = Tracker(config)
    remedy = f"the page is {page}, and the same command gives it to MLflow"
    with Outbox(f"the report of {config.name}", config.tracking.patience_s, remedy) as outbox:
        if not outbox.ask(lambda: tracker.exists(state.run_id), "the report"):
            logger.warning("the run is not in MLflow at %s any more: its report is only in %s", tracker.uri, page)
            return False
        outbox.add(lambda: tracker.log_file(state.run_id, page), "the page")
    return True
