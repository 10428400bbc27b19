"""Checking data in full: every base of every promoter, the values of every gene, and leaks between the splits."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import CheckConfig, DataConfig
from raygenex.config.run import RunConfig
from raygenex.config.services import ClusterConfig
from raygenex.config.targets import TargetConfig
from raygenex.data.check.describe import (
    GC_BINS,
    HISTOGRAM_BINS,
    NEAR,
    PROFILE_BINS,
    BaseProfile,
    DataReport,
    FeatureSummary,
    FileReport,
    Histogram,
    SplitReport,
)
from raygenex.data.check.leakage import LeakageReport, find_leaks
from raygenex.data.check.scan import Scan, leak_genes, scan, scan_in_tasks
from raygenex.data.check.targets import TargetSummary, summarise_targets
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.opening import SplitData, locations, open_splits, window_offsets
from raygenex.sequence import UNKNOWN

FEW = 0.05
"""A class with a smaller share of the genes of a split is worth a warning."""

MUCH_UNKNOWN = 0.1
"""So is a larger share of unknown bases."""

_NAMED = 3
"""Genes that a warning names."""

TAIL = 0.005
"""Share of the genes at either end of a feature that its histogram puts into the outermost bins."""


def check_run(config: RunConfig, on_progress: Callable[[int, int], None]) -> DataReport:
    """Check the data of a run as `check` does, with its targets, on its cluster."""
    return check(config.data, config.check, on_progress, cluster=config.cluster, targets=config.targets)


def check(
    data: DataConfig,
    config: CheckConfig,
    on_progress: Callable[[int, int], None] | None = None,
    on_bases: Callable[[str, NDArray[np.uint8]], None] | None = None,
    cluster: ClusterConfig | None = None,
    targets: tuple[TargetConfig, ...] = (),
) -> DataReport:
    """Check every configured split in full: all that `open_splits` checks, every base of every promoter, and leaks.

    Parameters
    ----------
    data
        Where the files are; at least one split must be set.
    config
        What counts as a leak.
    on_progress
        Called after each block with the genes read so far and the genes in all.
    on_bases
        Called with the split and the base indices of each block, shape ``(genes, window)``, in the order of the rows;
        promoters are then read in this process.
    cluster
        Where ``check.workers`` above 1 read promoters; None: in this process.
    targets
        What a run learns, if it is not the label.

    Returns
    -------
    Counts and summaries of each split, in the order train, valid, test, the leaks between them, and warnings.

    Raises
    ------
    DataError
        As `open_splits` does, and if a promoter holds values other than 0 and 1, or two bases hot at one position.
    ClusterError
        If the cluster has no room for the workers.
    """
    looked = look(data, config, on_progress, on_bases, cluster, labelled=not targets)
    splits, scans = looked.splits, looked.scans
    measured, telling = summarise_targets(targets, data.features, splits)
    reports = {name: _summarise(split, scans[name], measured[name]) for name, split in splits.items()}
    warnings = [text for name, report in reports.items() for text in _warnings(name, report, splits[name].has_labels)]
    warnings += without_bases(reports)
    warnings += _differences(reports)
    return DataReport(reports, looked.leakage, tuple(warnings + telling))


class Looked(NamedTuple):
    """Splits that were read, and what leaks between them."""

    splits: dict[str, SplitData]
    scans: dict[str, Scan]
    leakage: LeakageReport


def look(
    data: DataConfig,
    config: CheckConfig,
    on_progress: Callable[[int, int], None] | None = None,
    on_bases: Callable[[str, NDArray[np.uint8]], None] | None = None,
    cluster: ClusterConfig | None = None,
    labelled: bool = True,
) -> Looked:
    """Read every base, and compare the splits, as `check` does; nothing is summed up.

    ``labelled`` says whether a file without labels is an error, and train and valid must have both.
    """
    splits = open_splits(data, data.configured or ("train",), both_labels=labelled, labelled=labelled)
    total = sum(split.rows for split in splits.values())
    done = 0

    def on_block(name: str, bases: NDArray[np.uint8]) -> None:
        nonlocal done
        done += len(bases)
        if on_bases is not None and bases.size:
            on_bases(name, bases)
        if on_progress is not None:
            on_progress(done, total)

    if cluster is not None and config.workers > 1 and on_bases is None:
        scans = scan_in_tasks(splits, cluster, config.workers, on_progress)
    else:
        scans = {name: scan(split, partial(on_block, name)) for name, split in splits.items()}
    leakage = find_leaks({name: leak_genes(split, scans[name]) for name, split in splits.items()}, config)
    return Looked(splits, scans, leakage)


def without_bases(reports: Mapping[str, SplitReport] | Mapping[str, Scan]) -> list[str]:
    """Name the genes of whose promoters no base is known, one sentence for each split that has some."""
    sentences = []
    for name, genes in ((name, report.without_bases) for name, report in reports.items() if report.without_bases):
        more = f" and {len(genes) - _NAMED} more" if len(genes) > _NAMED else ""
        sentences.append(f"{name}: no base is known of the promoters of {', '.join(genes[:_NAMED])}{more}")
    return sentences


def _differences(reports: dict[str, SplitReport]) -> list[str]:
    """Say what should be the same in all splits and is not."""
    sentences = []
    for what, values in (
        ("genome build", {name: report.genome_build for name, report in reports.items()}),
        ("place of the TSS in the window", {name: report.first for name, report in reports.items()}),
    ):
        if len(set(values.values())) > 1:
            shown = ", ".join(f"{name} {'unknown' if value is None else value}" for name, value in values.items())
            sentences.append(f"the splits differ in the {what}: {shown}")
    return sentences


def _warnings(name: str, report: SplitReport, labelled: bool) -> list[str]:
    sentences = []
    rare = min(report.positive_fraction, 1 - report.positive_fraction)
    if not labelled:
        sentences.append(f"{name}: the files have no labels, so that all genes are counted as low here")
    elif rare < FEW:
        sentences.append(f"{name}: only {100 * rare:.1f} % of the genes are of the rarer label")
    if report.unknown_fraction is not None and report.unknown_fraction > MUCH_UNKNOWN:
        sentences.append(f"{name}: {100 * report.unknown_fraction:.0f} % of the bases are unknown")
    for feature, summary in report.halflife.items():
        if feature.endswith("GC") and (summary.min < 0 or summary.max > 1):
            sentences.append(f"{name}: {feature} lies between {summary.min:g} and {summary.max:g}, not between 0 and 1")
    constant = [feature for feature, summary in report.halflife.items() if summary.sd == 0]
    if constant and report.rows > 1:
        sentences.append(f"{name}: every gene has the same {', '.join(constant)}")
    return sentences


def _summarise(split: SplitData, scanned: Scan, targets: Mapping[str, TargetSummary]) -> SplitReport:
    counts = scanned.counts
    # Of genes without labels, which learn targets alone, nothing is told apart by them.
    label = split.label if split.has_labels else np.zeros(split.rows, np.uint8)
    halflife = split.halflife.astype(np.float64)
    offsets, places = window_offsets(split), locations(split)
    # Positions are counted from the TSS, or from the middle where nobody says where the TSS is.
    start = -(split.window // 2) if offsets is None else offsets[0]
    fine = _profile(counts, start, PROFILE_BINS) if split.window else None
    coarse = _profile(counts, start, GC_BINS) if split.window else None
    return SplitReport(
        files=tuple(
            FileReport(file.path, file.rows, file.window, sha256)
            for file, sha256 in zip(split.files, split.fingerprints, strict=True)
        ),
        rows=split.rows,
        window=split.window,
        positives=int(label.sum()),
        positive_fraction=float(label.mean()),
        unknown_fraction=float(counts[:, UNKNOWN].sum() / counts.sum()) if split.window else None,
        with_unknown=scanned.with_unknown,
        without_bases=scanned.without_bases,
        genome_build=split.files[0].genome_build,
        halflife_scale=split.halflife_scale,
        first=None if offsets is None else offsets[0],
        gc=_profile(counts, start, 1).share(1, 2)[0] if split.window else None,
        gc_profile=() if coarse is None else coarse.share(1, 2),
        gc_profile_edges=() if coarse is None else coarse.edges,
        profile=fine,
        near=_near(counts, start),
        chromosomes=None if places is None else dict(sorted(Counter(places.chrom.tolist()).items())),
        halflife={feature: _feature(halflife[:, i], label) for i, feature in enumerate(HALFLIFE_FEATURES)},
        targets=targets,
    )


def _profile(counts: NDArray[np.int64], start: int, bins: int) -> BaseProfile:
    """Add base counts up in regions of equal length; ``start`` is the position of the first."""
    regions = np.array_split(counts, min(bins, len(counts)))
    edges = np.cumsum([start, *map(len, regions)])
    return BaseProfile(tuple(edges.tolist()), tuple(tuple(region.sum(axis=0).tolist()) for region in regions))


def _near(counts: NDArray[np.int64], start: int) -> BaseProfile | None:
    first, stop = max(0, -start - NEAR), min(len(counts), -start + NEAR + 1)
    if len(counts) <= 2 * NEAR + 1 or first >= stop:
        return None
    return _profile(counts[first:stop], start + first, stop - first)


def _feature(values: NDArray[np.float64], label: NDArray[np.uint8]) -> FeatureSummary:
    mean, sd, least, most = (float(f(values)) for f in (np.mean, np.std, np.min, np.max))
    # A few extreme genes would press all others into one bin.
    start, stop = (float(limit) for limit in np.quantile(values, (TAIL, 1 - TAIL)))
    if start == stop:
        start, stop = least, most
    high, low = values[label == 1], values[label == 0]
    bins = HISTOGRAM_BINS if start < stop else 1
    histogram = Histogram(
        start,
        stop,
        *(tuple(np.histogram(part.clip(start, stop), bins, (start, stop))[0].tolist()) for part in (low, high)),
    )
    separation = float(high.mean() - low.mean()) / sd if sd > 0 and len(high) and len(low) else None
    return FeatureSummary(mean, sd, least, most, separation, histogram)
