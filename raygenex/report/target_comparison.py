"""What a comparison of models of several targets left in a run's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raygenex.report.files import read_json
from raygenex.report.targets import TITLES

TARGET_TABLES = Path("benchmark", "targets.json")
"""Where it is in the folder of a run."""


@dataclass(frozen=True)
class TargetModel:
    """One model on one target, on the split that the models are compared on."""

    name: str
    kind: str
    seeds: int
    main: tuple[float, float | None]
    """Mean and standard deviation of the main metric over the seeds; None for one seed."""
    other: tuple[float, float | None] | None
    """The same of the metric beside it; None where it is not defined."""
    ensemble: tuple[float, float, float]
    """The main metric of the mean prediction over the seeds, and the ends of its interval."""
    difference: tuple[float, float, float, float] | None
    """Main metric minus the reference's, the ends of its interval, the adjusted p-value; None for the reference."""


@dataclass(frozen=True)
class ComparedTarget:
    """All models on one target, the best mean score on valid first."""

    name: str
    main: str
    other: str
    """Titles of the metric that is tested, and of the one beside it."""
    test: str
    """Whose test the p-values are by."""
    genes: int
    """Those of the split that have a value."""
    rows: tuple[TargetModel, ...]
    figure: Path | None
    """SVG of the main metric with its intervals."""


@dataclass(frozen=True)
class TargetComparison:
    """A comparison of models, target by target."""

    targets: tuple[ComparedTarget, ...]
    failed: tuple[tuple[str, int, str], ...]
    """Model, seed and reason of the trainings that failed."""
    split: str
    reference: str | None
    """The best on valid by ``monitor``, or the mean over targets."""
    monitor: str | None
    confidence: float


def read_target_comparison(folder: Path) -> TargetComparison | None:
    """Read the tables of a comparison by targets; None if there are none, DataError if the file is damaged."""
    path = folder / TARGET_TABLES

    def make(values: dict[str, Any]) -> TargetComparison:
        models = {str(one["name"]): one for one in values["models"]}
        return TargetComparison(
            targets=tuple(_target(one, models, path.parent) for one in values["targets"]),
            failed=tuple((str(one["name"]), int(one["seed"]), str(one["error"])) for one in values["failures"]),
            split=str(values["split"]),
            reference=values["best"],
            monitor=values["monitor"],
            confidence=float(values["confidence"]),
        )

    return read_json(path, "raygenex benchmark CONFIG", make)


def _target(values: dict[str, Any], models: dict[str, dict[str, Any]], folder: Path) -> ComparedTarget:
    name, main, other = (str(values[key]) for key in ("target", "main", "other"))
    figure = folder / f"{name}_{main}.svg"
    return ComparedTarget(
        name=name,
        main=TITLES[main],
        other=TITLES[other],
        test="DeLong's" if values["kind"] == "binary" else "Steiger's",
        genes=int(values["genes"]),
        rows=tuple(_row(row, models[row["name"]], main, other) for row in values["rows"]),
        figure=figure if figure.exists() else None,
    )


def _row(values: dict[str, Any], model: dict[str, Any], main: str, other: str) -> TargetModel:
    def spread(name: str) -> tuple[float, float | None] | None:
        summary = values["test"][name]
        if summary["mean"] is None:
            return None
        return float(summary["mean"]), None if summary["sd"] is None else float(summary["sd"])

    difference = None
    if (versus := values["versus"]) is not None:
        found = versus["main"]
        value, low, high = (float(found[key]) for key in ("difference", "low", "high"))
        difference = (value, low, high, float(versus["adjusted_p"]))
    area, own = values["ensemble"], spread(main)
    if own is None:
        raise ValueError(f"{main} of {values['name']} is not known")
    return TargetModel(
        name=str(values["name"]),
        kind=str(model["kind"]),
        seeds=len(model["seeds"]),
        main=own,
        other=spread(other),
        ensemble=(float(area["value"]), float(area["low"]), float(area["high"])),
        difference=difference,
    )
