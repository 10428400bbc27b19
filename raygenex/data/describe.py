"""What a full check of the data found, as values and as one screen of text."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raygenex.config import CheckConfig
from raygenex.data.leakage import LeakageReport, sentence
from raygenex.data.leakage import render as render_leakage

GC_BINS = 10
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class FileReport:
    """One file."""

    path: str
    """Absolute local path, or URL."""
    rows: int
    """Genes in the file."""
    window: int
    """Bases a promoter in the file."""
    sha256: str
    """Fingerprint of the file's bytes."""


@dataclass(frozen=True)
class FeatureSummary:
    """The values of one half-life feature, in the feature's unit."""

    mean: float
    sd: float
    """Standard deviation of the population."""
    min: float
    max: float


@dataclass(frozen=True)
class SplitReport:
    """One split."""

    files: tuple[FileReport, ...]
    """Its files."""
    rows: int
    """Genes."""
    window: int
    """Bases a promoter, as the run uses them."""
    positives: int
    """Genes of label 1 (high)."""
    positive_fraction: float
    """Share of genes of label 1, 0 to 1."""
    unknown_fraction: float
    """Share of unknown bases, 0 to 1."""
    with_unknown: int
    """Genes with at least one unknown base."""
    genome_build: str | None
    """The genome that the promoters come from; None if the files do not say."""
    halflife_scale: str
    """How the lengths among the half-life features are scaled."""
    gc: float | None
    """Share of G and C among known bases, 0 to 1; None if none is known."""
    gc_profile: tuple[float | None, ...]
    """The same by region, from upstream to downstream: up to 10 regions of equal length."""
    gc_profile_edges: tuple[int, ...]
    """Where the regions begin and the last ends (exclusive), in bases from the window's middle: the TSS if centred."""
    halflife: Mapping[str, FeatureSummary]
    """Summary of each half-life feature."""


@dataclass(frozen=True)
class DataReport:
    """What `raygenex.data.check.check` found, by split."""

    splits: Mapping[str, SplitReport]
    """The configured splits, in the order train, valid, test."""
    leakage: LeakageReport
    """What the splits give away about each other."""
    warnings: tuple[str, ...]
    """What is allowed but strange, a sentence each."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values that fit JSON."""
        return asdict(self)


def render(report: DataReport) -> str:
    """Lay a report out for a person: a table of splits, GC content along the window, and the half-life features.

    Parameters
    ----------
    report
        At least one split.

    Returns
    -------
    Lines of at most 100 characters, about 30 for three splits.
    """
    lines = _counts(report)
    edges = next(iter(report.splits.values())).gc_profile_edges
    lines += ["", f"GC content from {edges[0]:+,} to {edges[-1] - 1:+,} of the middle (the TSS in a centred window)"]
    for name, split in report.splits.items():
        values = " ".join(_percent(value) for value in split.gc_profile)
        lines.append(f"{name:<7}{sparkline(split.gc_profile)}  {values} %")
    lines += ["", f"{'half-life feature':<19}{'split':<7}{'mean':>10}{'sd':>10}{'min':>10}{'max':>10}"]
    for feature in next(iter(report.splits.values())).halflife:
        for i, (name, split) in enumerate(report.splits.items()):
            summary = split.halflife[feature]
            numbers = "".join(f"{value:>10.3f}" for value in (summary.mean, summary.sd, summary.min, summary.max))
            lines.append(f"{'' if i else feature:<19}{name:<7}{numbers}")
    return "\n".join(lines)


def render_check(report: DataReport, config: CheckConfig) -> str:
    """Lay the outcome of a check out for a person: counts, leaks between splits, warnings, and the verdict."""
    total = sum(split.rows for split in report.splits.values())
    lines = [*_counts(report), "", *render_leakage(report.leakage), ""]
    lines += [f"warning: {text}" for text in report.warnings]
    if report.leakage.exceeds(config.max_leaked):
        lines.append(f"warning: {sentence(report.leakage, config)}")
    lines.append(f"ok: the schema of {total} genes in {len(report.splits)} splits")
    return "\n".join(lines)


def sparkline(values: tuple[float | None, ...]) -> str:
    """Draw values as a row of bars from the lowest to the highest; None is a blank."""
    known = [value for value in values if value is not None]
    low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    if span == 0:
        return "".join(" " if value is None else _BARS[0] for value in values)
    top = len(_BARS) - 1
    return "".join(" " if value is None else _BARS[round(top * (value - low) / span)] for value in values)


def _counts(report: DataReport) -> list[str]:
    lines = [f"{'split':<7}{'genes':>9}{'high':>9}{'low':>9}{'high %':>9}{'bases':>9}{'unknown %':>11}{'GC %':>7}"]
    for name, split in report.splits.items():
        lines.append(
            f"{name:<7}{split.rows:>9,}{split.positives:>9,}{split.rows - split.positives:>9,}"
            f"{100 * split.positive_fraction:>9.1f}{split.window:>9,}{100 * split.unknown_fraction:>11.2f}"
            f"{_percent(split.gc):>7}"
        )
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
