"""What a data set holds, as one HTML page that needs nothing but itself."""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from raygenex.config.data import CheckConfig, DataConfig
from raygenex.data.check import plots
from raygenex.data.check.describe import (
    LENGTHS,
    NOT_COMPARED,
    BaseProfile,
    DataReport,
    SplitReport,
    by_split,
    number,
    origin,
    target_rows,
    window_text,
)
from raygenex.data.check.leakage import LEAKS, Leak, LeakageReport, sentence
from raygenex.drawing import html
from raygenex.drawing.svg import draw

_OPEN_FILES = 12
_WIDE, _SMALL = (4.1, 2.6), (1.95, 1.5)
_FEATURES = {
    "UTR5LEN": "length of the 5' UTR",
    "CDSLEN": "length of the coding sequence",
    "INTRONLEN": "length of all introns",
    "UTR3LEN": "length of the 3' UTR",
    "UTR5GC": "G and C in the 5' UTR, share",
    "CDSGC": "G and C in the coding sequence, share",
    "UTR3GC": "G and C in the 3' UTR, share",
    "ORFEXONDENSITY": "coding exons a 1,000 coding bases",
}


def write_page(path: Path, report: DataReport, data: DataConfig, config: CheckConfig, force: bool = False) -> str:
    """Write the page of a report, whole or not at all; returns its absolute path.

    Raises
    ------
    DataError
        As `raygenex.drawing.html.check_page` does, or if the folder cannot be written.
    """
    html.check_page(path, force)
    return html.write_page(path, render_page(report, data, config))


def render_page(report: DataReport, data: DataConfig, config: CheckConfig) -> str:
    """Return the page of a report; the sections are those that made it.

    Returns
    -------
    An HTML document; the same report gives the same document.
    """
    settings = {"data": data.model_dump(mode="json"), "check": config.model_dump(mode="json")}
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).rstrip()
    return html.render("data/check/page.html.j2", {"d": page_values(report, config), "settings": text})


def page_values(report: DataReport, config: CheckConfig) -> dict[str, Any]:
    """Return what the parts of a page about data show, for ``data/sections.html.j2``; takes what `render_page` does."""
    first, split = next(iter(report.splits.items()))
    leaks = report.leakage.exceeds(config.max_leaked)
    return {
        "total": sum(part.rows for part in report.splits.values()),
        "splits": report.splits,
        "first": first,
        "facts": _facts(report),
        "files": [(name, file) for name, part in report.splits.items() for file in part.files],
        "open_files": _OPEN_FILES,
        "warnings": [*report.warnings, *([sentence(report.leakage, config)] if leaks else [])],
        "colours": plots.LABEL_COLOURS,
        "splits_colours": [(name, plots.SPLIT_STYLES[name][0]) for name in report.splits],
        "origin": origin(report),
        "region": "" if split.profile is None else _region(split.profile),
        "not_compared": "" if split.window else NOT_COMPARED,
        "plots": _plots(report),
        "features": _features(report),
        "targets": target_rows(report.splits),
        "leakage": _leakage(report.leakage),
        "pairs": report.leakage.pairs,
        "examples": _examples(report.leakage),
        "repeated": report.leakage.repeated,
        "max_leaked": config.max_leaked,
    }


def _facts(report: DataReport) -> dict[str, str]:
    facts = {
        "Genome": by_split(report, lambda split: split.genome_build or "not said in the files"),
        "Window": by_split(report, window_text),
    }
    if next(iter(report.splits.values())).window:
        gc = by_split(report, lambda split: "unknown" if split.gc is None else f"{split.gc:.1%}")
        facts |= {"Unknown bases": by_split(report, _unknown), "GC content": gc}
    return facts | {"Lengths": by_split(report, lambda split: LENGTHS[split.halflife_scale])}


def _unknown(split: SplitReport) -> str:
    if not split.with_unknown or split.unknown_fraction is None:
        return "none"
    return f"{split.with_unknown:,} genes, {split.unknown_fraction:.2%} of the bases"


def _region(profile: BaseProfile) -> str:
    sizes = {stop - start for start, stop in pairwise(profile.edges)}
    least, most = min(sizes), max(sizes)
    if most == 1:
        return "each position"
    return f"{len(profile.counts)} regions of {f'{least:,}' if least == most else f'{least:,} or {most:,}'} bases each"


def _plots(report: DataReport) -> dict[str, str]:
    """Draw what there is to draw, by the names that the template uses."""
    splits, where = report.splits, origin(report)
    split = next(iter(splits.values()))
    profiles = {name: part.profile for name, part in splits.items() if part.profile is not None}
    near = {name: part.near for name, part in splits.items() if part.near is not None}
    found = {
        "balance": draw(
            "balance",
            "Share of low and high genes by split",
            (4.1, 0.55 + 0.33 * len(splits)),
            lambda axes: plots.label_balance(axes, splits),
        ),
    }
    if (profile := split.profile) is not None:
        found["gc"] = draw("gc", "GC content by position", _WIDE, lambda axes: plots.gc_profile(axes, profiles, where))
        found["bases"] = draw(
            "bases", "Share of bases by position", _WIDE, lambda axes: plots.composition(axes, profile, where)
        )
    if near:
        found["gc_near"] = draw(
            "gc-near", f"GC content near {where}", _WIDE, lambda axes: plots.gc_profile(axes, near, where)
        )
    if (close := split.near) is not None:
        found["bases_near"] = draw(
            "bases-near", f"Share of bases near {where}", _WIDE, lambda axes: plots.composition(axes, close, where)
        )
    if all(part.chromosomes is not None for part in splits.values()):
        rows = len(plots.chromosome_rows(splits))
        found["chromosomes"] = draw(
            "chromosomes",
            "Genes by chromosome and split",
            (4.1, 0.6 + 0.21 * rows),
            lambda axes: plots.chromosomes(axes, splits),
        )
    return found


def _features(report: DataReport) -> list[dict[str, Any]]:
    """Return, for every feature, its plot (of the first split), its meaning, and its mean and spread in every split."""
    split = next(iter(report.splits.values()))
    found = []
    for feature, summary in split.halflife.items():
        unit = f", {LENGTHS[split.halflife_scale]}" if feature.endswith("LEN") else ""
        svg = draw(feature.lower(), f"{feature} by label", _SMALL, partial(plots.feature, summary=summary))
        of = [part.halflife[feature] for part in report.splits.values()]
        found.append(
            {
                "name": feature,
                "meaning": _FEATURES[feature] + unit,
                "plot": svg,
                "separation": "" if summary.separation is None else f"{summary.separation:+.2f} sd",
                "least": number(min(one.min for one in of)),
                "most": number(max(one.max for one in of)),
                "means": [(number(one.mean), number(one.sd)) for one in of],
            }
        )
    return found


def _leakage(report: LeakageReport) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the rows of the table: what is shared, and the genes and their share in every pair of splits."""
    kinds = {
        "same_id": "Same gene id",
        "identical": "Identical sequence",
        "overlapping": "Overlapping window",
        "near_duplicate": f"Alike promoter (Jaccard {report.promoter:g} or more)",
        "any": "Any of these",
        "neighbouring": f"TSS within {report.neighbours:,} bp, not a leak by itself",
    }
    return [(text, [_cell(getattr(pair, kind)) for pair in report.pairs]) for kind, text in kinds.items()]


def _cell(leak: Leak | None) -> tuple[str, str]:
    if leak is None:
        return "not known", ""
    return f"{leak.genes:,}", f"{leak.share:.1%}" if leak.genes else ""


def _examples(report: LeakageReport) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """Return the closest genes of every pair and kind: the pair, the kind, and gene, partner and how close."""
    units: Mapping[str, str] = {"overlapping": "{:,} bases shared", "near_duplicate": "Jaccard {:.2f}"}
    found = []
    for pair in report.pairs:
        for kind, text in LEAKS.items():
            leak: Leak | None = getattr(pair, kind)
            if leak is not None and leak.examples:
                rows = [
                    (one.gene, one.partner, "" if one.value is None else units[kind].format(one.value))
                    for one in leak.examples
                ]
                found.append((f"{pair.second} in {pair.first}", text, rows))
    return found
