"""What a full check of the data found, as values and as one screen of text."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from textwrap import wrap
from typing import Any

from raygenex.config.data import CheckConfig
from raygenex.data.check.leakage import LeakageReport, sentence
from raygenex.data.check.leakage import render as render_leakage
from raygenex.data.check.targets import TargetSummary
from raygenex.terminal.table import columns

GC_BINS = 10
"""Regions of the GC profile in the text."""

PROFILE_BINS = 100
"""Regions of the base counts along a window."""

NEAR = 60
"""Bases to either side of the TSS that are looked at one by one."""

HISTOGRAM_BINS = 20

LENGTHS = {"z-score": "z-scores of log10(bases + 0.1)", "log10": "log10(bases + 0.1)"}
"""What the lengths among the half-life features are, by the files' ``halflife_scale``."""

NOT_COMPARED = "there are no promoters, so sequences and windows were not compared"
"""What a report of half-life features alone says of leaks."""

_BARS = "▁▂▃▄▅▆▇█"
_BALANCE = 20
_WARNINGS = 3
_WIDTH = 100


@dataclass(frozen=True)
class FileReport:
    """One file."""

    path: str
    """Absolute local path, or URL."""
    rows: int
    """Genes in the file."""
    window: int
    """Bases per promoter in the file."""
    sha256: str
    """Fingerprint of the file's bytes."""


@dataclass(frozen=True)
class Histogram:
    """How many genes have which value, by label, in bins of equal width; what lies outside is in the nearest bin."""

    start: float
    """Where the first bin begins."""
    stop: float
    """Where the last bin ends."""
    low: tuple[int, ...]
    """Genes of label 0 in every bin."""
    high: tuple[int, ...]
    """Genes of label 1."""


@dataclass(frozen=True)
class FeatureSummary:
    """The values of one half-life feature, in the feature's unit."""

    mean: float
    sd: float
    """Standard deviation of the population."""
    min: float
    max: float
    separation: float | None
    """Mean of the high genes minus that of the low ones, in ``sd``; None if all values or labels are the same."""
    histogram: Histogram


@dataclass(frozen=True)
class BaseProfile:
    """Base counts by region, from upstream to downstream."""

    edges: tuple[int, ...]
    """Where the regions begin and the last ends (exclusive), as `SplitReport.gc_profile_edges` counts."""
    counts: tuple[tuple[int, ...], ...]
    """A, C, G, T and unknown bases of every region."""

    @property
    def centres(self) -> tuple[float, ...]:
        """The middle of every region, in bases from the same origin as the edges."""
        return tuple((start + stop - 1) / 2 for start, stop in pairwise(self.edges))

    def share(self, *bases: int) -> tuple[float | None, ...]:
        """Return the share of some bases (0 A, 1 C, 2 G, 3 T) among the known of every region; None without any."""
        known = [sum(region[:4]) for region in self.counts]
        return tuple(
            sum(region[base] for base in bases) / total if total else None
            for region, total in zip(self.counts, known, strict=True)
        )


@dataclass(frozen=True)
class SplitReport:
    """One split."""

    files: tuple[FileReport, ...]
    """Its files."""
    rows: int
    """Genes."""
    window: int
    """Bases per promoter, as the run uses them; 0 without promoters."""
    positives: int
    """Genes of label 1 (high)."""
    positive_fraction: float
    """Share of genes of label 1, 0 to 1."""
    unknown_fraction: float | None
    """Share of unknown bases, 0 to 1; None without promoters."""
    with_unknown: int
    """Genes with at least one unknown base."""
    without_bases: tuple[str, ...]
    """Ids of the genes of whose promoter no base is known."""
    genome_build: str | None
    """The genome that the promoters come from; None if the files do not say."""
    halflife_scale: str
    """How the lengths among the half-life features are scaled."""
    first: int | None
    """First base of the windows, from the TSS; None if the files do not say, or not the same."""
    gc: float | None
    """Share of G and C among known bases, 0 to 1; None if none is known."""
    gc_profile: tuple[float | None, ...]
    """The same by region, from upstream to downstream: up to 10 regions of equal length, none without promoters."""
    gc_profile_edges: tuple[int, ...]
    """Where the regions begin and the last ends (exclusive), in bases from the TSS, or from the window's middle if the
    files do not say where the TSS is."""
    profile: BaseProfile | None
    """Base counts in up to 100 regions of equal length; None without promoters."""
    near: BaseProfile | None
    """Base counts base by base, up to 60 either side of the TSS (or middle); None if the window is hardly longer."""
    chromosomes: Mapping[str, int] | None
    """Genes on each chromosome, a gene without a place under an empty name; None if not every file says it."""
    halflife: Mapping[str, FeatureSummary]
    """Summary of each half-life feature."""
    targets: Mapping[str, TargetSummary] = field(default_factory=dict)
    """Summary of each target of the configuration, and of each feature that is read beyond the eight."""


@dataclass(frozen=True)
class DataReport:
    """What `raygenex.data.check.check.check` found, by split."""

    splits: Mapping[str, SplitReport]
    """The configured splits, in the order train, valid, test."""
    leakage: LeakageReport
    """What the splits give away about each other."""
    warnings: tuple[str, ...]
    """What is allowed but strange, a sentence each."""

    def values(self) -> dict[str, Any]:
        """Return the report as plain values that fit JSON."""
        return asdict(self)

    def text(self) -> str:
        """Lay the report out for a person: a table of splits, GC content along the window, and the half-life features.

        Returns
        -------
        At most 40 lines of at most 100 characters.
        """
        splits = self.splits
        counts, *rows = _counts(self)
        lines = [f"{counts}  high / low"]
        lines += [f"{row}  {_balance(split)}" for row, split in zip(rows, splits.values(), strict=True)]
        facts = {
            "genome": by_split(self, lambda split: split.genome_build or "not said in the files"),
            "window": by_split(self, window_text),
            "lengths": by_split(self, lambda split: LENGTHS[split.halflife_scale]),
            "leaks": _leaks(self),
        }
        lines.append("")
        for fact, text in facts.items():
            first, *more = wrap(text, _WIDTH - 10, max_lines=2, placeholder=" ...")
            lines += [f"{fact:<10}{first}", *(f"{'':<10}{line}" for line in more)]
        if next(iter(splits.values())).window:
            lines += ["", *_gc_lines(splits)]
        lines += ["", *_feature_lines(splits)]
        if told := target_lines(splits):
            lines += ["", *told]
        shown = self.warnings[:_WARNINGS]
        lines += [line for text in shown for line in wrap(f"warning: {text}", _WIDTH, max_lines=1, placeholder=" ...")]
        if len(self.warnings) > len(shown):
            lines.append(f"warning: {len(self.warnings) - len(shown)} more, which `raygenex data check` prints")
        return "\n".join(lines)


def by_split(report: DataReport, text: Callable[[SplitReport], str]) -> str:
    """Say something of every split, and once if it is the same for all."""
    groups: dict[str, list[str]] = {}
    for name, split in report.splits.items():
        groups.setdefault(text(split), []).append(name)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{', '.join(names)}: {value}" for value, names in groups.items())


def window_text(split: SplitReport) -> str:
    """Say which bases the promoters of a split are, and where in them the TSS is."""
    if not split.window:
        return "no promoters, half-life features alone"
    if split.first is None:
        return f"{split.window:,} bases; the files do not say where the TSS is, centred windows have it at the middle"
    text = f"{split.first:+,} to {split.first + split.window - 1:+,} from the TSS"
    if 0 <= -split.first < split.window:
        return f"{text}, which is base {-split.first:,} counting from 0"
    return f"{text}, which is outside"


def origin(report: DataReport) -> str:
    """Say from where the positions of the profiles are counted."""
    known = [split.first is not None for split in report.splits.values()]
    return "the TSS" if all(known) else "the TSS or the middle" if any(known) else "the middle"


def render_check(report: DataReport, config: CheckConfig) -> str:
    """Lay the outcome of a check out for a person: counts, leaks between splits, warnings, and the verdict."""
    total = sum(split.rows for split in report.splits.values())
    lines = [*_counts(report), "", *render_leakage(report.leakage), ""]
    if not next(iter(report.splits.values())).window:
        lines[-1:] = [f"{NOT_COMPARED}: they are marked -", ""]
    if told := target_lines(report.splits):
        lines += [*told, ""]
    lines += [f"warning: {text}" for text in report.warnings]
    if report.leakage.exceeds(config.max_leaked):
        lines.append(f"warning: {sentence(report.leakage, config)}")
    lines.append(f"ok: the schema of {total} genes in {len(report.splits)} splits")
    return "\n".join(lines)


def number(value: float) -> str:
    """Show a value of a feature: three decimals, none from 100 on."""
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


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
            f"{100 * split.positive_fraction:>9.1f}{_count(split.window):>9}"
            f"{_percent(split.unknown_fraction, 2):>11}{_percent(split.gc):>7}"
        )
    return lines


def _balance(split: SplitReport) -> str:
    high = round(_BALANCE * split.positive_fraction)
    return "█" * high + "░" * (_BALANCE - high)


def _leaks(report: DataReport) -> str:
    pairs = report.leakage.pairs
    found = (f"{pair.any.genes:,} of {pair.second} in {pair.first} ({pair.any.share:.1%})" for pair in pairs)
    text = ", ".join(found) if pairs else "only one split, nothing to compare"
    return text if next(iter(report.splits.values())).window else f"{text}; {NOT_COMPARED}"


def _gc_lines(splits: Mapping[str, SplitReport]) -> list[str]:
    first, *others = splits.values()
    edges = first.gc_profile_edges
    where = "the middle (the TSS in a centred window)" if first.first is None else "the TSS"
    title = f"GC content from {edges[0]:+,} to {edges[-1] - 1:+,} of {where}"
    if any((other.first, other.window) != (first.first, first.window) for other in others):
        title = "GC content along the window of each split, from upstream to downstream"
    lines = [title]
    for name, split in splits.items():
        values = " ".join(f"{_percent(value):>5}" for value in split.gc_profile)
        lines.append(f"{name:<7}{sparkline(split.gc_profile)}  {values} %")
    return lines


def _feature_lines(splits: Mapping[str, SplitReport]) -> list[str]:
    """Return a table: the range over all splits, mean and spread in each, and how the labels of the first differ."""
    names = "".join(f"{name + ' mean':>12}{'sd':>8}" for name in splits)
    lines = [f"{'feature':<14}{'min':>8}{'max':>9}{names}{'high-low':>9}"]
    for feature in next(iter(splits.values())).halflife:
        of = [split.halflife[feature] for split in splits.values()]
        numbers = "".join(f"{number(summary.mean):>12}{number(summary.sd):>8}" for summary in of)
        least, most = min(summary.min for summary in of), max(summary.max for summary in of)
        apart = "-" if of[0].separation is None else f"{of[0].separation:+.2f} sd"
        lines.append(f"{feature:<14}{number(least):>8}{number(most):>9}{numbers}{apart:>9}")
    return lines


def target_rows(splits: Mapping[str, SplitReport]) -> list[tuple[str, ...]]:
    """Return a table of targets, its heading first, a row for each in each split; empty without any."""
    rows: list[tuple[str, ...]] = [("target", "split", "kind", "measured", "mean", "sd", "min", "max")]
    for name, split in splits.items():
        for target, found in split.targets.items():
            measures = (found.mean, found.sd, found.min, found.max)
            values = ("-" if value is None else number(value) for value in measures)
            rows.append((target, name, found.kind, f"{found.measured / split.rows:.1%}", *values))
    return rows if len(rows) > 1 else []


def target_lines(splits: Mapping[str, SplitReport]) -> list[str]:
    """Return `target_rows` as lines."""
    rows = target_rows(splits)
    return columns(rows, "<<<>>>>>") if rows else []


def _count(value: int) -> str:
    return f"{value:,}" if value else "-"


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}"
