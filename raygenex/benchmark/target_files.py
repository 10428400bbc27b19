"""The tables of a comparison of models of several targets as Markdown, CSV and JSON, and their figures."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raygenex.benchmark.cells import NOTHING, grid, interval, p_value, plain, spread, unknown
from raygenex.benchmark.target_results import TargetModel
from raygenex.benchmark.target_tables import TargetBenchmark, TargetRow, TargetTable
from raygenex.files.whole import replace_text, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKDOWN, CSV, JSON = "targets.md", "targets.csv", "targets.json"
"""Names of the files."""


def write_files(folder: Path, models: Sequence[TargetModel], table: TargetBenchmark) -> None:
    """Write all tables and figures into a folder."""
    replace_text(folder / MARKDOWN, targets_markdown(table))
    replace_text(folder / JSON, json.dumps(plain(table), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    _write_csv(table, folder / CSV)
    if not table.models:
        return
    from raygenex.drawing.style import save

    for name, figure in _figures(models, table).items():
        for suffix in ("svg", "pdf", "png"):
            save(figure, folder / f"{name}.{suffix}")


def targets_markdown(table: TargetBenchmark) -> str:
    """Return the tables with captions that say what every number is, as GitHub-flavoured Markdown.

    The models by their score on valid come first, then for each target the metrics and the paired comparison with the
    best model, and in the end the trainings that failed.
    """
    parts = [_models_part(table)] if table.models else []
    for one in table.targets:
        parts += [_metrics_part(table, one, split) for split in dict.fromkeys(("valid", table.split))]
        parts.append(_versus_part(table, one))
    if table.failures:
        rows = [[part.name, str(part.seed), part.error] for part in table.failures]
        parts.append(("Trainings that failed.", grid(["Model", "Seed", "Why"], rows, text=True)))
    return "\n".join(f"**Table {number}.** {text}\n\n{cells}\n" for number, (text, cells) in enumerate(parts, 1))


def score_title(table: TargetBenchmark) -> str:
    """Return what chooses the best model in words."""
    return table.monitor or "mean of all targets (AUROC, Pearson r)"


def _models_part(table: TargetBenchmark) -> tuple[str, str]:
    lines = [
        [
            _bold(table, row.name),
            f"{len(row.seeds)} of {len(row.seeds) + row.failed}" if row.failed else str(len(row.seeds)),
            spread(row.score),
            str(row.median_seed),
            spread(row.epochs, 1),
            spread(row.seconds, 1),
            spread(row.peak_mb, 0),
        ]
        for row in table.models
    ]
    text = (
        f"Models by their score on valid, {score_title(table)}: mean ± standard deviation over seeds. Bold: the best. "
        "Of a regression, iterations count as epochs."
    )
    headings = ["Model", "Seeds", "Score", "Median seed", "Epochs or trees", "Seconds", "Peak MB"]
    return text, grid(headings, lines)


def _metrics_part(table: TargetBenchmark, one: TargetTable, split: str) -> tuple[str, str]:
    compared = split == table.split
    lines = []
    for row in one.rows:
        values = row.test if compared else row.valid
        lines.append([_bold(table, row.name), *(spread(values[name]) for name in one.titles)])
    genes = f" ({one.genes:,} genes that have it)" if compared else ""
    scale = {"none": f"in {one.unit}" if one.unit else "", "log2p1": "of log2(1 + x)", "rank": "of shares of train"}
    errors = "" if one.kind == "binary" or not scale[one.transform] else f" Errors are {scale[one.transform]}."
    text = f"{one.target} on {split}{genes}: mean ± standard deviation over seeds.{errors}"
    if split == "valid":
        text += " Valid chose the epoch, so these numbers are slightly optimistic."
    return text, grid(["Model", *one.titles.values()], lines)


def _versus_part(table: TargetBenchmark, one: TargetTable) -> tuple[str, str]:
    main, other = one.titles[one.main], one.titles[one.other]
    lines = []
    for row in one.rows:
        cells = [_bold(table, row.name), interval(row.ensemble)]
        if row.versus is None:
            cells += ["reference", *[NOTHING] * 3]
        else:
            cells += [interval(row.versus.main, "+"), p_value(row.versus.main.p_value)]
            cells += [p_value(row.versus.adjusted_p), interval(row.versus.other, "+")]
        lines.append(cells)
    test = "DeLong's" if one.kind == "binary" else "Steiger's"
    level = f"{table.confidence * 100:g} %"
    text = (
        f"{one.target} on {table.split} against {table.best}, the best on valid, by the mean prediction over the seeds "
        f"of each. {main} with its {level} bootstrap interval over genes ({table.resamples:,} resamples); its "
        f"difference with {level} interval and p-value by {test} paired test, and the p-value adjusted for all models "
        f"and targets (Holm); difference of {other} with its {level} paired bootstrap interval. Intervals and tests do "
        "not contain the variation between seeds."
    )
    headings = ["Model", f"{main} of the mean", f"{main} difference", "p", "Adjusted p", f"{other} difference"]
    return text, grid(headings, lines)


def _bold(table: TargetBenchmark, name: str) -> str:
    return f"**{name}**" if name == table.best else name


def _write_csv(table: TargetBenchmark, path: str | os.PathLike[str]) -> None:
    """Write one line for each model and target, in full precision; what is unknown is empty."""
    lines = [_line(table, one, row) for one in table.targets for row in one.rows]
    columns = list(dict.fromkeys(key for line in lines for key in line)) or ["name"]
    with whole_file(Path(path)) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for line in lines:
            writer.writerow({key: value for key, value in line.items() if not unknown(value)})


def _line(table: TargetBenchmark, one: TargetTable, row: TargetRow) -> dict[str, Any]:
    line: dict[str, Any] = {"target": one.target, "name": row.name, "best": row.name == table.best, "genes": one.genes}
    for split, values in {"valid": row.valid, table.split: row.test}.items():
        for name, value in values.items():
            line |= {f"{split}_{name}": value.mean, f"{split}_{name}_sd": value.sd}
    area = row.ensemble
    line |= {f"ensemble_{one.main}": area.value, f"ensemble_{one.main}_low": area.low}
    line |= {f"ensemble_{one.main}_high": area.high}
    if row.versus is not None:
        for name, found in ((one.main, row.versus.main), (one.other, row.versus.other)):
            line |= {f"{name}_difference": found.difference, f"{name}_difference_low": found.low}
            line |= {f"{name}_difference_high": found.high}
        line |= {"p": row.versus.main.p_value, "p_adjusted": row.versus.adjusted_p}
    return line


def _figures(models: Sequence[TargetModel], table: TargetBenchmark) -> "dict[str, Figure]":
    from raygenex.benchmark.figures import Mark, draw_marks, learning_curves

    drawn = {}
    failed = list(dict.fromkeys(part.name for part in table.failures))
    for one in table.targets:
        drawn[f"{one.target}_{one.main}"] = draw_marks(
            [Mark(row.name, row.ensemble, row.by_seed) for row in one.rows],
            failed,
            table.best,
            table.best,
            f"{one.target}, {table.split}: {one.genes:,} genes, {table.confidence * 100:g} % intervals",
            f"{one.titles[one.main]} (square: mean prediction over seeds; circles: single seeds)",
        )
    if any(result.epochs for model in models for result in model.finished):
        drawn["learning"] = learning_curves(models, "Valid score")
    return drawn
