"""What a comparison of models and a search of settings left in a run's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.tune import OBJECTIVES, SCORES
from raygenex.report.files import numbers, read_json, read_table

BENCHMARK_TABLES = Path("benchmark", "tables.json")
STUDY_TRIALS = Path("tune", "report", "trials.csv")
"""Where they are in the folder of a run."""

_SECONDS = ("training_s", "wall_s", "overhead_s")


@dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison, on the split that the models are compared on."""

    name: str
    kind: str
    seeds: int
    auroc: tuple[float, float | None]
    """Mean and standard deviation over the seeds; None for one seed."""
    f1: tuple[float, float | None]
    ensemble: tuple[float, float, float]
    """AUROC of the mean probability over the seeds, and the ends of its interval."""
    difference: tuple[float, float, float, float] | None
    """AUROC minus the reference's, the ends of its interval, the adjusted p-value; None for the reference."""


@dataclass(frozen=True)
class Benchmark:
    """A comparison of models."""

    rows: tuple[ComparedModel, ...]
    """The best mean valid AUROC first."""
    failed: tuple[tuple[str, int, str], ...]
    """Model, seed and reason of the trainings that failed."""
    split: str
    genes: int
    reference: str | None
    confidence: float
    figure: Path | None
    """SVG of the areas with their intervals."""


@dataclass(frozen=True)
class StudyTrial:
    """One trial of a study."""

    number: int
    state: str
    score: float
    """The best it had on valid, NaN for a trial that failed."""
    settings: dict[str, str]


@dataclass(frozen=True)
class StudyTable:
    """A search of settings, its trials in order."""

    keys: tuple[str, ...]
    trials: tuple[StudyTrial, ...]
    best: str
    """The best settings as YAML; empty if there are none."""

    title: str = "valid AUROC"
    """What trials are compared by: that, or ``valid score`` of targets."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """The best score of each trial, shape ``(trials,)``."""
        return np.array([trial.score for trial in self.trials])


def read_benchmark(folder: Path) -> Benchmark | None:
    """Read the tables of a comparison; None if there are none, DataError if the file is damaged."""
    path = folder / BENCHMARK_TABLES
    figure = path.with_name("auroc.svg")

    def make(values: dict[str, Any]) -> Benchmark:
        return Benchmark(
            rows=tuple(_row(row) for row in values["rows"]),
            failed=tuple((str(one["name"]), int(one["seed"]), str(one["error"])) for one in values["failures"]),
            split=str(values["split"]),
            genes=int(values["genes"]),
            reference=values["reference"],
            confidence=float(values["confidence"]),
            figure=figure if figure.exists() else None,
        )

    return read_json(path, "raygenex benchmark CONFIG", make)


def _row(values: dict[str, Any]) -> ComparedModel:
    def spread(name: str) -> tuple[float, float | None]:
        summary = values["test"][name]
        return float(summary["mean"]), None if summary["sd"] is None else float(summary["sd"])

    area, versus = values["ensemble_auroc"], values["versus"]
    difference = None
    if versus is not None:
        found = versus["auroc"]
        value, low, high = (float(found[key]) for key in ("difference", "low", "high"))
        difference = (value, low, high, float(versus["adjusted_p"]))
    return ComparedModel(
        name=str(values["name"]),
        kind=str(values["kind"]),
        seeds=len(values["seeds"]),
        auroc=spread("auroc"),
        f1=spread("f1"),
        ensemble=(float(area["value"]), float(area["low"]), float(area["high"])),
        difference=difference,
    )


def read_study(folder: Path) -> StudyTable | None:
    """Read the trials of a study; None if there is none, DataError if the table is damaged."""
    path, again = folder / STUDY_TRIALS, "raygenex tune CONFIG --resume"
    rows = read_table(path, again, ("trial", "state", *_SECONDS))
    if rows is None:
        return None
    auroc, score = SCORES
    metric = score if rows and score in rows[0] else auroc
    fixed = {"trial", "state", "reason", "epochs", *OBJECTIVES, *_SECONDS}
    keys = tuple(name for name in (rows[0] if rows else ()) if name not in fixed)
    order, scores = (numbers(rows, column, path, again) for column in ("trial", metric))
    trials = tuple(
        StudyTrial(int(number), row["state"], float(value), {key: row[key] for key in keys})
        for number, value, row in zip(order, scores, rows, strict=True)
    )
    best = path.with_name("best.yaml")
    chosen = best.read_text(encoding="utf-8").rstrip() if best.exists() else ""
    return StudyTable(keys, trials, chosen, "valid score" if metric == score else "valid AUROC")
