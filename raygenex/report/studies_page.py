"""What the page shows of comparisons of models and of a search of settings."""

from typing import Any

from raygenex.report import drawing
from raygenex.report.cells import NOTHING, difference_text, interval_text, p_text, short, spread_text
from raygenex.report.studies import Benchmark, ComparedModel, StudyTable
from raygenex.report.target_comparison import ComparedTarget, TargetComparison, TargetModel
from raygenex.stats.resamples import Interval

TRIALS = 10
"""As many trials are in the table, the best."""


def benchmark_values(found: Benchmark | None) -> dict[str, Any] | None:
    """Return the rows of a comparison, and its figure."""
    if found is None:
        return None
    return {"rows": [_row(row) for row in found.rows], "picture": drawing.comparison(found)}


def target_values(found: TargetComparison | None) -> list[dict[str, Any]]:
    """Return for each target of a comparison what it is, its rows, and its figure."""
    if found is None:
        return []
    return [
        {"target": one, "rows": [_target_row(row) for row in one.rows], "picture": _picture(found, one)}
        for one in found.targets
    ]


def _picture(found: TargetComparison, one: ComparedTarget) -> drawing.Picture | None:
    return drawing.marks(one.figure, f"{one.name}, {one.main}", one.name, found.split, one.genes, found.confidence)


def study_values(found: StudyTable | None) -> dict[str, Any] | None:
    """Return the best trials of a search, and the figure of all of them; None if there are none."""
    if found is None or not found.trials:
        return None
    return {"rows": _trials(found), "picture": drawing.search(found)}


def _row(row: ComparedModel) -> dict[str, str]:
    return _common(row) | {"auroc": spread_text(*row.auroc), "f1": spread_text(*row.f1)}


def _target_row(row: TargetModel) -> dict[str, str]:
    other = NOTHING if row.other is None else spread_text(*row.other)
    return _common(row) | {"main": spread_text(*row.main), "other": other}


def _common(row: ComparedModel | TargetModel) -> dict[str, str]:
    """Return the cells that both kinds of comparisons have."""
    ensemble = interval_text(Interval(*row.ensemble))
    return {"name": row.name, "kind": row.kind, "seeds": str(row.seeds), "ensemble": ensemble} | _against(
        row.difference
    )


def _against(difference: tuple[float, float, float, float] | None) -> dict[str, str]:
    """Return the difference from the reference and its p-value."""
    if difference is None:
        return {"difference": NOTHING, "p": NOTHING}
    return {"difference": difference_text(*difference[:3]), "p": p_text(difference[3])}


def _trials(study: StudyTable) -> list[list[str]]:
    """Return the best trials, the best first: number, score, how it ended, and the searched keys."""
    scored = [trial for trial in study.trials if trial.score == trial.score]
    best = sorted(scored, key=lambda trial: (-trial.score, trial.number))[:TRIALS]
    return [[str(one.number), f"{one.score:.4f}", one.state, *map(short, one.settings.values())] for one in best]
