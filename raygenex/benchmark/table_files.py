"""The tables of a comparison as Markdown, CSV and JSON."""

import csv
import json
import math
import os
from pathlib import Path
from typing import Any

from raygenex.benchmark.cells import NOTHING, grid, interval, p_value, plain, spread, unknown
from raygenex.benchmark.tables import PAPER, PUBLISHED, BenchmarkRow, BenchmarkTable, Published, Versus
from raygenex.files.whole import whole_file
from raygenex.stats.metrics import METRICS, TITLES
from raygenex.stats.resamples import Comparison

_ENDS = {"": "value", "_low": "low", "_high": "high"}


def to_markdown(table: BenchmarkTable) -> str:
    """Return the tables with captions that say what every number is.

    The first two are the paper's Table 1 (valid) and Table 2 (test) with the spread over seeds. Then come one
    training of each model with its intervals, the comparison with the reference, the calls and costs, and the
    trainings that failed. Tables without a row are left out, and valid is shown once where the models are compared
    on it.

    Returns
    -------
    GitHub-flavoured Markdown, ending in a newline.
    """
    parts = [_metrics_part(table, split) for split in dict.fromkeys(("valid", table.split))]
    if table.rows:
        parts += [_intervals_part(table), _versus_part(table), _calls_part(table)]
    if table.failures:
        rows = [[part.name, str(part.seed), part.error] for part in table.failures]
        parts.append(("Trainings that failed.", grid(["Model", "Seed", "Why"], rows, text=True)))
    tables = (f"**Table {number}.** {text}\n\n{cells}\n" for number, (text, cells) in enumerate(parts, 1))
    return "\n".join(tables)


def to_csv(table: BenchmarkTable, path: str | os.PathLike[str]) -> None:
    """Write one line for each model, in full precision, those without a finished training last.

    Standard deviations end in ``_sd``, ends of intervals in ``_low`` and ``_high``; what is unknown is empty.
    """
    lines = [_line(table, row) for row in table.rows]
    for name, kind in _failed_models(table):
        lines.append({"name": name, "kind": kind, "best": False, "seeds": 0, **_failures(table, name)})
    columns = list(dict.fromkeys(key for line in lines for key in line))
    # Errors close the line, as the longest of its fields.
    columns = [name for name in columns if name != "errors"] + ["errors"]
    with whole_file(Path(path)) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for line in lines:
            writer.writerow({key: value for key, value in line.items() if not unknown(value)})


def to_json(table: BenchmarkTable) -> str:
    """Return the whole table as one JSON object with the names of `BenchmarkTable`; what is unknown is null."""
    return json.dumps(plain(table), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _metrics_part(table: BenchmarkTable, split: str) -> tuple[str, str]:
    compared = split == table.split
    values = [(row, row.test if compared else row.valid) for row in table.rows]
    lines = [
        [_name(table, row), _seeds(row), *(spread(found[name]) for name in METRICS), *_published(row.kind, split)]
        for row, found in values
    ]
    for name, kind in _failed_models(table):
        tried = sum(part.name == name for part in table.failures)
        lines.append([name, f"0 of {tried}", *[NOTHING] * len(METRICS), *_published(kind, split)])
    genes = f" ({table.genes:,} genes, {table.high:,} of them high)" if compared and table.rows else ""
    text = f"Models on {split}{genes}: mean ± standard deviation over seeds. "
    if split == "valid":
        text += "Valid chose the epoch and the threshold, so these numbers are slightly optimistic. "
    text += (
        "Lower is better for the Brier score alone. Bold: the highest mean AUROC on valid. "
        f"The published columns are the paper's, of another data set ({PAPER}): compare orders, not numbers."
    )
    headings = ["Model", "Seeds", *TITLES.values(), "Published AUROC", "Published F1"]
    return text, grid(headings, lines)


def _intervals_part(table: BenchmarkTable) -> tuple[str, str]:
    lines = [
        [_name(table, row), str(row.median_seed), *(interval(row.intervals[name]) for name in METRICS)]
        for row in table.rows
    ]
    text = (
        f"One training of each model on {table.split}, the seed with the median AUROC on valid (the lower of two in "
        "the middle): each metric with its "
        f"{table.confidence * 100:g} % bootstrap interval over genes ({table.resamples:,} resamples)."
    )
    return text, grid(["Model", "Seed", *TITLES.values()], lines)


def _versus_part(table: BenchmarkTable) -> tuple[str, str]:
    level = f"{table.confidence * 100:g} %"
    lines = []
    for row in table.rows:
        cells = [_name(table, row), interval(row.ensemble_auroc)]
        if row.versus is None:
            cells += ["reference", *[NOTHING] * 3]
        else:
            p_values = (row.versus.auroc.p_value, row.versus.adjusted_p)
            cells += [interval(row.versus.auroc, "+"), *map(p_value, p_values), interval(row.versus.auprc, "+")]
        lines.append(cells)
    chosen = ", the highest mean AUROC on valid" if table.reference == table.best else ""
    text = (
        f"Models on {table.split} against {table.reference}{chosen}, by the mean probability over the seeds of "
        f"each. AUROC with its {level} bootstrap interval over genes ({table.resamples:,} resamples); difference "
        f"of the AUROCs with its {level} interval and p-value by DeLong's paired test, and the p-value adjusted "
        f"for all comparisons (Holm); difference of the AUPRCs with its {level} paired bootstrap interval. An "
        "average of seeds usually ranks better than one training. Intervals and tests do not contain the "
        "variation between seeds."
    )
    headings = ["Model", "AUROC of the mean", "AUROC difference", "p", "Adjusted p", "AUPRC difference"]
    return text, grid(headings, lines)


def _calls_part(table: BenchmarkTable) -> tuple[str, str]:
    lines = []
    for row in table.rows:
        (tn, fp), (fn, tp) = row.confusion
        lines.append(
            [
                _name(table, row),
                spread(row.calibration_error),
                str(row.median_seed),
                f"{row.threshold:.3f}",
                *(f"{count:,}" for count in (tp, fp, tn, fn)),
                spread(row.epochs, 0) if row.epochs.mean > 0 else NOTHING,
                spread(row.seconds, 1 if row.seconds.mean < 10 else 0),
                spread(row.peak_mb, 0),
            ]
        )
    text = (
        f"Calibration, calls on {table.split}, and cost. Expected calibration error, epochs, seconds of training "
        "and peak memory: mean ± standard deviation over seeds; of a regression, iterations count as epochs, and the "
        "seconds of a training that was interrupted are unknown. Threshold and calls: the seed with the median "
        "AUROC on valid, which also chose the threshold."
    )
    headings = [
        "Model",
        "Calibration error",
        "Median seed",
        "Threshold",
        "True high",
        "False high",
        "True low",
        "False low",
        "Epochs or trees",
        "Seconds",
        "Peak MB",
    ]
    return text, grid(headings, lines)


def _failed_models(table: BenchmarkTable) -> list[tuple[str, str]]:
    """Return name and kind of the models without a row."""
    shown = {row.name for row in table.rows}
    return list(dict.fromkeys((part.name, part.kind) for part in table.failures if part.name not in shown))


def _failures(table: BenchmarkTable, name: str) -> dict[str, Any]:
    errors = [f"seed {part.seed}: {part.error}" for part in table.failures if part.name == name]
    return {"failed": len(errors), "errors": "; ".join(errors)}


def _name(table: BenchmarkTable, row: BenchmarkRow) -> str:
    return f"**{row.name}**" if row.name == table.best else row.name


def _seeds(row: BenchmarkRow) -> str:
    return f"{len(row.seeds)} of {len(row.seeds) + row.failed}" if row.failed else str(len(row.seeds))


def _published(kind: str, split: str) -> list[str]:
    found = PUBLISHED[split].get(kind)
    return [f"{value:.4f}" for value in found] if found else [NOTHING] * 2


def _line(table: BenchmarkTable, row: BenchmarkRow) -> dict[str, Any]:
    line: dict[str, Any] = {"name": row.name, "kind": row.kind, "best": row.name == table.best}
    line |= {"seeds": len(row.seeds), **_failures(table, row.name)}
    summaries = {f"valid_{name}": value for name, value in row.valid.items()}
    summaries |= {f"{table.split}_{name}": value for name, value in row.test.items()}
    summaries |= {f"{table.split}_calibration_error": row.calibration_error}
    summaries |= {"epochs": row.epochs, "seconds": row.seconds, "peak_mb": row.peak_mb}
    for name, value in summaries.items():
        line |= {name: value.mean, f"{name}_sd": value.sd}
    for name, single in row.intervals.items():
        line |= {f"median_seed_{name}{end}": getattr(single, part) for end, part in _ENDS.items()}
    area = row.ensemble_auroc
    line |= {"ensemble_auroc": area.value, "ensemble_auroc_low": area.low, "ensemble_auroc_high": area.high}
    # The reference has no difference, and some kinds no published number: their fields stay empty.
    empty = Comparison(*[math.nan] * 4)
    versus = row.versus or Versus(empty, math.nan, empty)
    for name, found in (("auroc_difference", versus.auroc), ("auprc_difference", versus.auprc)):
        line |= {name: found.difference, f"{name}_low": found.low, f"{name}_high": found.high}
    line |= {"auroc_p": versus.auroc.p_value, "auroc_p_adjusted": versus.adjusted_p}
    (tn, fp), (fn, tp) = row.confusion
    line |= {"median_seed": row.median_seed, "threshold": row.threshold, "tn": tn, "fp": fp, "fn": fn, "tp": tp}
    for split in PUBLISHED:
        published = row.published.get(split, Published(math.nan, math.nan))
        line |= {f"published_{split}_auroc": published.auroc, f"published_{split}_f1": published.f1}
    return line
