"""Opening the data of a run: cheap checks of every file before any work starts."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from raygenex.config.base import SPLITS
from raygenex.config.data import DataConfig
from raygenex.config.run import RunConfig
from raygenex.data.gene_ids import version_twins
from raygenex.data.hdf5.read import inspect, read_extra, read_locations, read_table, read_targets
from raygenex.data.hdf5.schema import GeneTable, Locations, PromoterFile, Target
from raygenex.data.repeats import first_repeat
from raygenex.errors import DataError
from raygenex.files.fingerprint import fingerprints
from raygenex.files.locate import locate
from raygenex.sequence import crop_start

# A command opens its splits several times.
_warn_once = cache(logging.getLogger(__name__).warning)


@dataclass(frozen=True)
class SplitData:
    """One split: its files and their small columns, without the promoters."""

    name: str
    """``train``, ``valid`` or ``test``."""
    files: tuple[PromoterFile, ...]
    """The files, in the order of the configuration."""
    tables: tuple[GeneTable, ...]
    """The small columns of each file."""
    window: int
    """Bases per promoter as the run uses it: ``data.window``, or all of them; 0 without promoters."""
    rows: int
    """Genes in all files."""

    @property
    def halflife_scale(self) -> str:
        """How the lengths among the half-life features are scaled, the same in all files."""
        return self.files[0].halflife_scale

    @cached_property
    def fingerprints(self) -> list[str]:
        """The sha256 of every file, read when it is first asked for."""
        return fingerprints(file.path for file in self.files)

    @property
    def gene_id(self) -> NDArray[np.object_]:
        """Gene ids of all files, shape ``(rows,)``."""
        return np.concatenate([table.gene_id for table in self.tables])

    @property
    def halflife(self) -> NDArray[np.float32]:
        """Half-life features of all files, shape ``(rows, 8)``."""
        return np.concatenate([table.halflife for table in self.tables])

    @property
    def has_labels(self) -> bool:
        """Whether every file has labels."""
        return all(table.label is not None for table in self.tables)

    @property
    def label(self) -> NDArray[np.uint8]:
        """Labels of all files, shape ``(rows,)``, 0 or 1."""
        return np.concatenate([table.label for table in self.tables if table.label is not None])


def open_run(config: RunConfig, needed: tuple[str, ...]) -> dict[str, SplitData]:
    """Check the splits of a run as `open_splits` does; with targets of its own, it needs no labels."""
    return open_splits(config.data, needed, both_labels=not config.targets, labelled=not config.targets)


def open_splits(
    data: DataConfig, needed: tuple[str, ...], both_labels: bool = True, labelled: bool = True
) -> dict[str, SplitData]:
    """Check the splits that a run needs by their metadata and small columns; promoters are not read.

    Parameters
    ----------
    data
        Where the files are.
    needed
        Names of splits, of ``train``, ``valid`` and ``test``.
    both_labels
        Whether train and valid must have genes of either label, as a training needs them.
    labelled
        Whether a file without labels is an error.

    Returns
    -------
    The splits, in the order of ``needed``.

    Raises
    ------
    DataError
        If a split is not configured, a file breaks the schema, some files have promoters and others have none, lengths
        of promoters differ or are below ``data.window``, a gene is in two files, or train or valid lack a label that
        ``both_labels`` asks for.
    """
    assert set(needed) <= set(SPLITS), needed
    files: dict[str, tuple[PromoterFile, ...]] = {}
    for name in needed:
        if not data.split(name):
            raise DataError(f"data.{name} is not set: name its HDF5 files, as in `-o data.{name}={name}.h5`")
        files[name] = tuple(inspect(path, labelled) for path in locate(data.split(name), f"data.{name}"))
    every = list(chain.from_iterable(files.values()))
    window = _common_window(data, every)
    _check_one_scale(every)
    splits = {
        name: SplitData(name, its, tuple(map(read_table, its)), window, sum(file.rows for file in its))
        for name, its in files.items()
    }
    _check_ids(splits)
    for name in ("train", "valid") if both_labels else ():
        if name in splits and len(classes := np.unique(splits[name].label)) == 1:
            raise DataError(
                f"data.{name} has only label {classes[0]} in its {splits[name].rows} genes: add some of the other class"
            )
    return splits


def _common_window(data: DataConfig, files: list[PromoterFile]) -> int:
    shortest = min(files, key=lambda file: file.window)
    longest = max(files, key=lambda file: file.window)
    if longest.window and not shortest.window:
        raise DataError(
            f"{longest.path} has promoters and {shortest.path} has none: use files with promoters, or files without"
        )
    if data.window is not None and not longest.window:
        raise DataError(f"data.window is {data.window}, but {longest.path} has no promoters: leave data.window out")
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


def _check_one_scale(files: list[PromoterFile]) -> None:
    first = files[0]
    if other := next((file for file in files if file.halflife_scale != first.halflife_scale), None):
        raise DataError(
            f"the lengths among the half-life features are {first.halflife_scale} in {first.path} but "
            f"{other.halflife_scale} in {other.path}: use files that were made in one way"
        )


def _check_ids(splits: dict[str, SplitData]) -> None:
    """Refuse a gene that is in two files, and warn of two that differ by the version suffix of their ids alone."""
    ids = [table.gene_id for split in splits.values() for table in split.tables]
    places = [(split.name, file.path) for split in splits.values() for file in split.files]
    if (repeat := first_repeat(lambda: ids)) is not None:
        (first, path), (second, other_path) = (places[table] for table in repeat.tables)
        if first == second:
            raise DataError(f"data.{first}: gene {repeat.id} is in both {path} and {other_path}; keep one of them")
        raise DataError(
            f"gene {repeat.id} leaks between splits: it is in {path} (data.{first}) and in {other_path} "
            f"(data.{second}); keep it in one of them"
        )
    if (twins := version_twins(lambda: ids)) is not None:
        one, other = (
            f"{ids[table][row]} in {places[table][1]} (data.{places[table][0]})"
            for table, row in zip(twins.tables, twins.rows, strict=True)
        )
        _warn_once(
            f"genes {one} and {other} differ by their version suffix alone: if they are one gene, keep one of them"
        )


def locations(split: SplitData) -> Locations | None:
    """Read where the genes of a split lie; None if not every file says it."""
    known = [places for file in split.files if (places := read_locations(file)) is not None]
    if len(known) < len(split.files):
        return None
    strands = [places.strand for places in known if places.strand is not None]
    return Locations(
        np.concatenate([places.chrom for places in known]),
        np.concatenate([places.tss for places in known]),
        np.concatenate(strands) if len(strands) == len(known) else None,
    )


def window_offsets(split: SplitData) -> tuple[int, int] | None:
    """Return the first base of the windows and the one after the last, from the TSS; None if unknown or not common.

    The windows are those that the run uses: cut around the middle of the stored ones.
    """
    firsts = set()
    for file in split.files:
        if file.first is None:
            return None
        firsts.add(file.first + crop_start(file.window, split.window))
    first = firsts.pop()
    return None if firsts else (first, first + split.window)


def all_targets(splits: Iterable[SplitData]) -> tuple[tuple[Target, ...], NDArray[np.float32]]:
    """Read every target of some splits, and their values ``(N, T)`` in the order of files, NaN where a file has none.

    Raises
    ------
    DataError
        If two files have a target of one name and different kinds or units.
    """
    files = [file for split in splits for file in split.files]
    known: dict[str, tuple[Target, str]] = {}
    for file in files:
        for target in file.targets:
            first, path = known.setdefault(target.name, (target, file.path))
            if first != target:
                raise DataError(
                    f"{target.name} is {first.scale} in {path} and {target.scale} in {file.path}: use files that were "
                    "made in one way"
                )

    def column(name: str) -> NDArray[np.float32]:
        return np.concatenate(
            [
                read_targets(file, name)
                if any(target.name == name for target in file.targets)
                else np.full(file.rows, np.nan, np.float32)
                for file in files
            ]
        )

    found = tuple(target for target, _ in known.values())
    columns = [column(target.name) for target in found]
    values = np.stack(columns, axis=1) if columns else np.empty((sum(file.rows for file in files), 0), np.float32)
    return found, values


def extra_columns(split: SplitData) -> dict[str, NDArray[np.object_] | NDArray[np.float64]]:
    """Read the user's columns that every file of a split has."""
    common = set.intersection(*(set(file.extra) for file in split.files))
    names = [name for name in split.files[0].extra if name in common]
    return {name: np.concatenate([read_extra(file, name) for file in split.files]) for name in names}
