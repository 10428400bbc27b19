"""A run's report as one HTML page that needs nothing but itself."""

import base64
import hashlib
import json
from typing import Any

import yaml

from raygenex.benchmark.tables import PUBLISHED
from raygenex.data.check.page import page_values
from raygenex.data.check.plots import LABEL_COLOURS
from raygenex.data.features import features_in_words
from raygenex.drawing import html
from raygenex.drawing.style import MINUS
from raygenex.explain.results.words import words_of
from raygenex.report import drawing
from raygenex.report.cells import NOTHING, difference_text, interval_text, short
from raygenex.report.collect import Facts
from raygenex.report.evaluation import SPLITS, Measured
from raygenex.report.explanation import Explanation
from raygenex.report.studies_page import benchmark_values, study_values, target_values
from raygenex.report.targets import TITLES as TARGET_TITLES
from raygenex.stats.metrics import METRICS, TITLES
from raygenex.tracking.store import tracking_uri
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.stopping import SCORE

GENERATOR = "raygenex report"
"""What the page's head says that it was made by."""

ROWS = 20
"""As many rows has a table of an explanation."""


def render_page(facts: Facts, day: str) -> str:
    """Return the page of a run's facts, as of ``day`` (ISO 8601).

    Returns
    -------
    An HTML document; the same facts and day give the same document.
    """
    best = headline(facts)
    script = html.source("report/report.js")
    values: dict[str, Any] = {
        "facts": facts,
        "day": day,
        "generator": GENERATOR,
        "best": best,
        "best_text": "" if best is None else interval_text(best.metrics["auroc"]),
        "described": facts.described,
        "kind": type(facts.described.model).__doc__ or "",
        "data": None,
        "metrics": _metrics(facts),
        "baselines": _baselines(facts),
        "published": _published(facts),
        "confusions": [_confusion(one) for one in facts.measured.values()],
        "targets": _targets(facts),
        "target_rows": _target_rows(facts),
        "target_baselines": _target_baselines(facts),
        "target_pictures": _target_pictures(facts),
        "shown_targets": drawing.TARGETS,
        "splits": SPLITS,
        "labels": LABEL_COLOURS,
        "pictures": {name: drawing.curves(one) for name, one in facts.measured.items()},
        "learning": None,
        "benchmark": benchmark_values(facts.benchmark),
        "target_benchmark": target_values(facts.target_benchmark),
        "study": study_values(facts.study),
        "explained": {name: _explained(one, facts) for name, one in facts.explained.items()},
        "tracking_uri": tracking_uri(facts.config),
        "settings": "",
        "script": script,
        "scripts": f"; script-src {_source_hash(script)}",
    }
    if facts.data is not None and facts.data.report is not None:
        values["data"] = page_values(facts.data.report, facts.config.check)
    if facts.trained is not None:
        info = facts.trained.info
        values["reads"] = _features_read(info)
        values["settings"] = yaml.safe_dump(info.config, sort_keys=False, allow_unicode=True).rstrip()
        if info.history:
            values["learning"] = drawing.learning(info.history, SCORE if info.targets else "valid_auroc")
    return html.render("report/report.html.j2", values)


def headline(facts: Facts) -> Measured | None:
    """Return what the first sentence is about: test if it was measured, else valid."""
    return next((facts.measured[name] for name in reversed(SPLITS) if name in facts.measured), None)


def _features_read(info: CheckpointInfo) -> dict[str, str]:
    """Return what the page says of the numbers beside the DNA: which the model reads, and what it takes when served."""
    names = info.inputs.features
    kind = features_in_words(names)
    listed = f"{kind} {', '.join(names)}" if info.run_config.reads_halflife else "no half-life features"
    if info.inputs.lacking:
        listed += f" (genes of train lack {', '.join(info.inputs.lacking)})"
    taken = f"the {kind} {', '.join(names)}" if info.reads_other_features else "the eight half-life features"
    return {"features": listed, "taken": taken}


def _targets(facts: Facts) -> list[dict[str, Any]]:
    """Return what the page says of each target of the model: what it is, and its main metric on every split."""
    found = []
    for target in [] if facts.trained is None else facts.trained.info.targets:
        metric = target.main_metric
        main = {name: one.metrics[target.name][metric] for name, one in facts.targets.items()}
        found.append({"info": target, "metric": TARGET_TITLES[metric], "main": main})
    return found


def _target_rows(facts: Facts) -> list[tuple[str, list[str]]]:
    """Return the rows of the table of metrics of targets: target and metric, and the text of every measured split."""
    measured = facts.targets.values()
    rows = []
    for target in facts.trained.info.targets if facts.trained is not None and measured else ():
        genes = [f"{one.measured[target.name]:,} of {one.genes:,}" for one in measured]
        rows.append((f"{target.title}: genes measured", genes))
        for metric in next(iter(measured)).metrics[target.name]:
            cells = [interval_text(one.metrics[target.name][metric]) for one in measured]
            rows.append((f"{target.name}: {TARGET_TITLES[metric]}", cells))
    if any(one.specificity is not None for one in measured):
        cells = [NOTHING if one.specificity is None else f"{one.specificity:.3f}" for one in measured]
        rows.append(("Specificity", cells))
    return rows


def _target_baselines(facts: Facts) -> list[tuple[str, list[str]]]:
    """Return the rows of the table of simple models of targets, those that every split has."""
    rows: dict[str, list[str]] = {}
    for found in facts.target_baselines.values():
        for one in found:
            cells = rows.setdefault(f"{one.target}, {one.metric}: {one.reads}", [])
            cells.extend((f"{one.value:.3f}", difference_text(*one.lead[:3])))
    return [(name, cells) for name, cells in rows.items() if len(cells) == 2 * len(facts.target_baselines)]


def _target_pictures(facts: Facts) -> dict[str, list[drawing.Picture]]:
    if facts.trained is None:
        return {}
    return {name: drawing.target_curves(facts.trained.info.targets, one) for name, one in facts.targets.items()}


def _metrics(facts: Facts) -> list[tuple[str, list[str]]]:
    """Return the rows of the table of metrics: the name, and the text of every measured split."""
    measured = facts.measured.values()
    rows = [(TITLES[name], [interval_text(one.metrics[name]) for one in measured]) for name in METRICS]
    return [*rows, ("Calibration error", [f"{one.calibration_error:.3f}" for one in measured])]


def _baselines(facts: Facts) -> list[tuple[str, list[str]]]:
    """Return the rows of the table of simple models: what each reads, and its AUROC and the lead of the run's model."""
    rows: dict[str, list[str]] = {}
    for found in facts.baselines.values():
        for one in found:
            rows.setdefault(one.reads, []).extend((f"{one.auroc:.3f}", difference_text(*one.lead[:3])))
    return list(rows.items())


def _published(facts: Facts) -> list[dict[str, Any]]:
    """Return AUROC and F1 on valid and test: this run's, then the paper's by its test AUROC."""
    own = []
    for split in SPLITS:
        one = facts.measured.get(split)
        own += [NOTHING] * 2 if one is None else [interval_text(one.metrics[name]) for name in ("auroc", "f1")]
    rows = [{"name": facts.name, "kind": facts.described.model.kind, "cells": own, "own": True}]
    for kind in sorted(PUBLISHED["test"], key=lambda kind: -PUBLISHED["test"][kind].auroc):
        cells = [f"{value:.4f}" for split in SPLITS for value in PUBLISHED[split][kind]]
        rows.append({"name": "published", "kind": kind, "cells": cells, "own": False})
    return rows


def _confusion(measured: Measured) -> dict[str, Any]:
    """Return the counts of a split, each with its share of the genes of its observed class."""
    rows = []
    for name, counts in zip(("low", "high"), measured.confusion, strict=True):
        total = max(sum(counts), 1)
        rows.append((name, [(count, count / total) for count in counts]))
    return {"split": measured.split, "genes": measured.genes, "threshold": f"{measured.threshold:.3f}", "rows": rows}


def _explained(found: Explanation, facts: Facts) -> dict[str, Any]:
    numbers = {} if found.projection is None else found.projection.numbers
    open_methods = [name for name, record in found.manifest.methods.items() if not record.complete]
    projections = drawing.projections(found)
    return {
        "manifest": found.manifest,
        "unit": words_of(found.manifest.target).unit,
        "projections": [(one, "" if one.genes is None else _script_json(one.genes)) for one in projections],
        "separation": _separation(numbers),
        "features": features_in_words(found.manifest.features).capitalize(),
        "promoter": drawing.along_the_promoter(found),
        "halflife": drawing.halflife(found, None if facts.data is None else facts.data.truth.get(found.manifest.split)),
        "logos": drawing.logos(found),
        "more_logos": max(0, len(found.logos) - drawing.LOGOS),
        "tables": [(title, list(map(_cells, rows[:ROWS])), len(rows) - ROWS) for title, rows in found.tables.items()],
        "open": open_methods,
    }


def _cells(row: dict[str, str]) -> dict[str, str]:
    """Write the correlations of a row in two decimals."""
    return {
        name: short(cell, ".2f").replace("-", MINUS) if name.startswith("spearman") else cell
        for name, cell in row.items()
    }


def _separation(numbers: dict[str, Any]) -> str:
    """Say how well the predicted classes separate, in the space of the dense layer."""
    said = []
    silhouette, purity = (_dense(numbers, name) for name in ("silhouette", "knn_purity"))
    if silhouette is not None:
        said.append(f"silhouette {silhouette:.2f}".replace("-", MINUS))
    if purity is not None:
        nearest = f"{100 * purity:.0f} % of the {numbers.get('neighbours', 'nearest')} nearest genes of one class"
        found = numbers["knn_purity"]
        chance = found.get("chance") if isinstance(found, dict) else None
        said.append(nearest if chance is None else f"{nearest} ({100 * chance:.0f} % by chance)")
    return ", ".join(said)


def _dense(numbers: dict[str, Any], name: str) -> float | None:
    value = numbers.get(name)
    value = value.get("dense") if isinstance(value, dict) else value
    return float(value) if isinstance(value, int | float) else None


def _script_json(values: dict[str, Any]) -> str:
    # No text inside may end the element that it is in.
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _source_hash(script: str) -> str:
    """Return the source expression that allows this very script (Content Security Policy Level 3)."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"
