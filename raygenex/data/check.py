"""Checking data in full: every base of every promoter, the values of every gene, and leaks between the splits."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from raygenex.config import CheckConfig, DataConfig
from raygenex.data.describe import GC_BINS, DataReport, FeatureSummary, FileReport, SplitReport
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5 import fingerprint
from raygenex.data.leakage import find_leaks
from raygenex.data.opening import SplitData, open_splits
from raygenex.data.scan import Scan, leak_genes, scan
from raygenex.sequence import UNKNOWN

FEW = 0.05
"""A class with a smaller share of the genes of a split is worth a warning."""

MUCH_UNKNOWN = 0.1
"""So is a larger share of unknown bases."""


def check(data: DataConfig, config: CheckConfig, on_progress: Callable[[int, int], None] | None = None) -> DataReport:
    """Check every configured split in full: all that `open_splits` checks, every base of every promoter, and leaks.

    Parameters
    ----------
    data
        Where the files are; at least one split must be set.
    config
        What counts as a leak.
    on_progress
        Called after each block with the genes read so far and the genes in all.

    Returns
    -------
    Counts and summaries of each split, in the order train, valid, test, the leaks between them, and warnings.

    Raises
    ------
    DataError
        As `open_splits` does, and if a promoter holds values other than 0 and 1, or two bases hot at one position.
    """
    splits = open_splits(data, data.configured or ("train",))
    total = sum(split.rows for split in splits.values())
    done = 0

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        if on_progress is not None:
            on_progress(done, total)

    scans = {name: scan(split, on_rows) for name, split in splits.items()}
    leakage = find_leaks([leak_genes(split, scans[name]) for name, split in splits.items()], config)
    reports = {name: _summarise(split, scans[name]) for name, split in splits.items()}
    warnings = tuple(text for name, report in reports.items() for text in _warnings(name, report))
    return DataReport(reports, leakage, warnings)


def _warnings(name: str, report: SplitReport) -> list[str]:
    found = []
    rare = min(report.positive_fraction, 1 - report.positive_fraction)
    if rare < FEW:
        found.append(f"{name}: only {100 * rare:.1f} % of the genes are of the rarer label")
    if report.unknown_fraction > MUCH_UNKNOWN:
        found.append(f"{name}: {100 * report.unknown_fraction:.0f} % of the bases are unknown")
    for feature, summary in report.halflife.items():
        if feature.endswith("GC") and (summary.min < 0 or summary.max > 1):
            found.append(f"{name}: {feature} lies between {summary.min:g} and {summary.max:g}, not between 0 and 1")
    constant = [feature for feature, summary in report.halflife.items() if summary.sd == 0]
    if constant and report.rows > 1:
        found.append(f"{name}: every gene has the same {', '.join(constant)}")
    return found


def _summarise(split: SplitData, found: Scan) -> SplitReport:
    counts = found.counts
    label, halflife = split.label, split.halflife.astype(np.float64)
    bins = np.array_split(counts, min(GC_BINS, split.window))
    edges = np.cumsum([0, *map(len, bins)]) - split.window // 2
    return SplitReport(
        files=tuple(FileReport(file.path, file.rows, file.window, fingerprint(file.path)) for file in split.files),
        rows=split.rows,
        window=split.window,
        positives=int(label.sum()),
        positive_fraction=float(label.mean()),
        unknown_fraction=float(counts[:, UNKNOWN].sum() / counts.sum()),
        with_unknown=found.with_unknown,
        genome_build=split.files[0].genome_build,
        halflife_scale=split.halflife_scale,
        gc=_gc(counts),
        gc_profile=tuple(_gc(part) for part in bins),
        gc_profile_edges=tuple(int(edge) for edge in edges),
        halflife={
            feature: FeatureSummary(*(float(f(halflife[:, i])) for f in (np.mean, np.std, np.min, np.max)))
            for i, feature in enumerate(HALFLIFE_FEATURES)
        },
    )


def _gc(counts: NDArray[np.int64]) -> float | None:
    a, c, g, t, _ = (int(total) for total in counts.sum(axis=0))
    return (c + g) / (a + c + g + t) if a + c + g + t else None
