"""What a comparison of models and a search of settings left in a run's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.tune import OBJECTIVES
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
    auroc: float
    """Best valid AUROC, NaN for a trial that failed."""
    settings: dict[str, str]


@dataclass(frozen=True)
class StudyTable:
    """A search of settings, its trials in order."""

    keys: tuple[str, ...]
    trials: tuple[StudyTrial, ...]
    best: str
    """The best settings as YAML; empty if there are none."""

    @property
    def auroc(self) -> NDArray[np.float64]:
        """The best valid AUROC of each trial, shape ``(trials,)``."""
        return np.array([trial.auroc for trial in self.trials])


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
    rows = read_table(path, again, ("trial", "state", "valid_auroc", *_SECONDS))
    if rows is None:
        return None
    fixed = {"trial", "state", "reason", "epochs", *OBJECTIVES, *_SECONDS}
    keys = tuple(name for name in (rows[0] if rows else ()) if name not in fixed)
    order, auroc = (numbers(rows, column, path, again) for column in ("trial", "valid_auroc"))
    trials = tuple(
        StudyTrial(int(number), row["state"], float(area), {key: row[key] for key in keys})
        for number, area, row in zip(order, auroc, rows, strict=True)
    )
    best = path.with_name("best.yaml")
    return StudyTable(keys, trials, best.read_text(encoding="utf-8").rstrip() if best.exists() else "")
