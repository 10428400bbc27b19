"""Checking the data of a run: cheap checks before any work starts, and a full pass over every promoter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config import SPLITS, DataConfig
from raygenex.data.describe import GC_BINS, DataReport, FeatureSummary, FileReport, SplitReport
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5 import PromoterFile, Table, fingerprint, inspect, iter_rows, read_table
from raygenex.data.locate import locate
from raygenex.errors import DataError
from raygenex.sequence import UNKNOWN

BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class SplitData:
    """One split: its files and their small columns, without the promoters."""

    name: str
    """``train``, ``valid`` or ``test``."""
    files: tuple[PromoterFile, ...]
    """The files, in the order of the configuration."""
    tables: tuple[Table, ...]
    """The small columns of each file."""
    window: int
    """Bases a promoter as the run uses it: ``data.window``, or all of them."""
    rows: int
    """Genes in all files."""

    @property
    def gene_id(self) -> NDArray[np.object_]:
        """Gene ids of all files, shape ``(rows,)``."""
        return np.concatenate([table.gene_id for table in self.tables])

    @property
    def halflife(self) -> NDArray[np.float32]:
        """Half-life features of all files, shape ``(rows, 8)``."""
        return np.concatenate([table.halflife for table in self.tables])

    @property
    def label(self) -> NDArray[np.uint8]:
        """Labels of all files, shape ``(rows,)``, 0 or 1."""
        return np.concatenate([table.label for table in self.tables if table.label is not None])


def open_splits(data: DataConfig, needed: tuple[str, ...]) -> dict[str, SplitData]:
    """Check the splits that a run needs by their metadata and small columns; promoters are not read.

    Parameters
    ----------
    data
        Where the files are.
    needed
        Names of splits, of ``train``, ``valid`` and ``test``.

    Returns
    -------
    The splits, in the order of ``needed``.

    Raises
    ------
    DataError
        If a split is not configured, a file breaks the schema, lengths of promoters differ or are below
        ``data.window``, a gene is in two files, or train or valid have labels of one class only.
    """
    assert set(needed) <= set(SPLITS), needed
    found: dict[str, list[PromoterFile]] = {}
    for name in needed:
        if not data.split(name):
            raise DataError(f"data.{name} is not set: name its HDF5 files, as in `-o data.{name}={name}.h5`")
        found[name] = [inspect(path) for path in locate(data.split(name), f"data.{name}")]
    window = _common_window(data, [file for files in found.values() for file in files])
    splits = {}
    for name, files in found.items():
        tables = tuple(read_table(file) for file in files)
        splits[name] = SplitData(name, tuple(files), tables, window, sum(file.rows for file in files))
    _check_no_leak(splits)
    for name in ("train", "valid"):
        if name in splits and len(classes := np.unique(splits[name].label)) == 1:
            raise DataError(
                f"data.{name} has only label {classes[0]} in its {splits[name].rows} genes: add some of the other class"
            )
    return splits


def check(data: DataConfig, on_progress: Callable[[int, int], None] | None = None) -> DataReport:
    """Check every configured split in full: all that `open_splits` checks, and every base of every promoter.

    Parameters
    ----------
    data
        Where the files are; at least one split must be set.
    on_progress
        Called after each block with the genes read so far and the genes in all.

    Returns
    -------
    Counts and summaries of each split, in the order train, valid, test.

    Raises
    ------
    DataError
        As `open_splits` does, and if a promoter holds values other than 0 and 1, or two bases hot at one position.
    """
    splits = open_splits(data, data.configured or ("train",))
    total = sum(split.rows for split in splits.values())
    reports: dict[str, SplitReport] = {}
    done = 0
    for name, split in splits.items():
        counts = np.zeros((split.window, UNKNOWN + 1), dtype=np.int64)
        for file in split.files:
            for block in iter_rows(file, 0, file.rows, file.rows_within(BLOCK_BYTES), split.window):
                for base in range(UNKNOWN + 1):
                    counts[:, base] += (block["sequence"] == base).sum(axis=0)
                done += len(block["sequence"])
                if on_progress is not None:
                    on_progress(done, total)
        reports[name] = _summarise(split, counts)
    return DataReport(reports)


def _common_window(data: DataConfig, files: list[PromoterFile]) -> int:
    shortest = min(files, key=lambda file: file.window)
    longest = max(files, key=lambda file: file.window)
    if data.window is not None:
        if data.window > shortest.window:
            raise DataError(
                f"data.window is {data.window}, but the promoters in {shortest.path} have {shortest.window} bases: "
                f"set data.window to {shortest.window} or less"
            )
        return data.window
    if shortest.window != longest.window:
        raise DataError(
            f"the promoters have {longest.window} bases in {longest.path} but {shortest.window} in {shortest.path}: "
            f"use files of one length, or set data.window to {shortest.window} or less to cut all around the centre"
        )
    return shortest.window


def _check_no_leak(splits: dict[str, SplitData]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for name, split in splits.items():
        for file, table in zip(split.files, split.tables, strict=True):
            for gene in table.gene_id:
                other, path = seen.setdefault(gene, (name, file.path))
                if path == file.path and other == name:
                    continue
                if other == name:
                    raise DataError(f"data.{name}: gene {gene} is in both {path} and {file.path}; keep one of them")
                raise DataError(
                    f"gene {gene} leaks between splits: it is in {path} (data.{other}) and in {file.path} "
                    f"(data.{name}); keep it in one of them"
                )


def _summarise(split: SplitData, counts: NDArray[np.int64]) -> SplitReport:
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
