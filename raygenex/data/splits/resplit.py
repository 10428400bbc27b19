"""A new split of a data set: a file of its own and, if wanted, the promoter files that follow it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.base import SPLITS
from raygenex.config.data import GroupSplit, SimilaritySplit
from raygenex.config.run import RunConfig
from raygenex.data.check.scan import BLOCK_BYTES, scan
from raygenex.data.hdf5.read import iter_rows
from raygenex.data.hdf5.schema import EXTRA_GROUP, LOCATION_FIELDS, TARGETS
from raygenex.data.hdf5.write import SplitWriters
from raygenex.data.opening import SplitData, all_targets, extra_columns, locations, open_splits, window_offsets
from raygenex.data.splits.file import SplitTable, apply_split, write_split
from raygenex.data.splits.rules import NO_SIMILARITY, assign, groups_of
from raygenex.data.windows import GeneWindows
from raygenex.errors import DataError
from raygenex.files.dataset_folder import check_place, made_in, move_in, refuse_own_input
from raygenex.files.locate import file_among, short_path, written_path
from raygenex.files.lock import probe
from raygenex.terminal.progress import progress


@dataclass(frozen=True)
class SplitResult:
    """A new split."""

    output: str
    """Absolute path of the split file."""
    counts: dict[str, int]
    """Genes of train, valid and test."""
    left_out: int
    """Genes that a split file does not name."""
    rule: dict[str, Any]
    """The rule as it was applied."""
    files: dict[str, str]
    """Absolute paths of the promoter files that were written, by split."""

    def text(self) -> str:
        """Say how many genes each split has, and where the split is."""
        total = sum(self.counts.values())
        counts = ", ".join(f"{name} {count} ({100 * count / total:.1f} %)" for name, count in self.counts.items())
        lines = [f"split: {counts} by {self.rule['rule']}, in {short_path(self.output)}"]
        if self.left_out:
            lines.append(f"left out: {self.left_out} genes that the split file does not name")
        lines += [f"{name}: {short_path(path)}" for name, path in self.files.items()]
        return "\n".join(lines)


def resplit(config: RunConfig, output: str, folder: str | None, overwrite: bool = False) -> SplitResult:
    """Split all genes of the configured files by the section ``split``.

    Parameters
    ----------
    config
        Its sections data (all files count, whatever split they are in) and split.
    output
        The split file to write.
    folder
        Where to write train.h5, valid.h5 and test.h5 of the new split; None writes none.
    overwrite
        Whether files that exist are replaced.

    Raises
    ------
    DataError
        If a file cannot be read or written, or the genes lack what the rule needs.
    RaygenexError
        If another process makes a data set in ``folder``.
    """
    target = written_path(output, "--output").absolute()
    if target.suffix != ".tsv":
        raise DataError(f"{output} must end in .tsv: the split is a tab-separated table")
    if target.is_dir():
        raise DataError(f"{output} is a folder: name a file for the split")
    _check_writable(target.parent)
    into = None if folder is None else written_path(folder, "--write").absolute()
    targets = {} if into is None else {name: into / f"{name}.h5" for name in SPLITS}
    if into is not None:
        check_place(into, [path.name for path in targets.values()])
    if not overwrite:
        _refuse_existing(target, *targets.values())
    splits = open_splits(config.data, config.data.configured or ("train",), both_labels=False)
    if isinstance(config.split, SimilaritySplit) and not next(iter(splits.values())).window:
        without = next(iter(splits.values())).files[0].path
        raise DataError(f"split.rule similarity compares promoters, and {without} has none: {NO_SIMILARITY}")
    tables = [getattr(config.split, name, None) for name in ("table", "file")]
    sources = [file.path for split in splits.values() for file in split.files]
    refuse_own_input([target, *targets.values()], [*sources, *filter(None, tables)], "this split")
    columns = _columns(splits)
    table = assign(_genes(config, splits, columns), config.split)
    known = np.array([name is not None for name in table.split])
    if not known.any():
        raise DataError("the split file names none of the genes: use the split of these genes")
    kept = SplitTable(table.gene_id[known], table.chrom[known], table.group[known], table.split[known], table.rule)
    if into is None:
        write_split(kept, target, overwrite)
    else:
        with made_in(into) as partial:
            if not overwrite:
                # Another process may have written them since.
                _refuse_existing(target, *targets.values())
            _write(splits, kept, columns, partial)
            # What may still fail comes before the files are moved.
            write_split(kept, target, overwrite)
            move_in(partial, into, [path.name for path in targets.values()])
    written = {name: str(path) for name, path in targets.items() if kept.counts[name]}
    return SplitResult(str(target), kept.counts, int((~known).sum()), kept.rule, written)


def _refuse_existing(*paths: Path) -> None:
    if (present := next((path for path in paths if path.exists()), None)) is not None:
        raise DataError(f"{present} exists already: give --force to replace it, or choose another path")


def _genes(config: RunConfig, splits: dict[str, SplitData], columns: dict[str, NDArray[Any]]) -> GeneWindows:
    opened = list(splits.values())
    gene_id = np.concatenate([split.gene_id for split in opened])
    offsets = {window_offsets(split) for split in opened}
    sketches = None
    if isinstance(config.split, SimilaritySplit):
        with progress("comparing promoters", len(gene_id)) as advance:
            scans = [scan(split, lambda bases: advance(len(bases), "")) for split in opened]
            sketches = np.concatenate([one.sketches for one in scans if one.sketches is not None])
    group = None
    if isinstance(config.split, GroupSplit):
        prefix = f"{EXTRA_GROUP}/"
        extra = {name.removeprefix(prefix): values for name, values in columns.items() if name.startswith(prefix)}
        group = groups_of(config.split, gene_id, extra)
    return GeneWindows(
        gene_id,
        **{name: values for name, values in columns.items() if name in LOCATION_FIELDS},
        window=offsets.pop() if len(offsets) == 1 else None,
        group=group,
        promoter_sketch=sketches,
    )


def _write(
    splits: dict[str, SplitData],
    table: SplitTable,
    columns: dict[str, NDArray[Any]],
    folder: Path,
) -> None:
    """Copy every gene, whole, into the file of its new split; a split without genes has no file."""
    wanted = {name: folder / f"{name}.h5" for name, count in table.counts.items() if count}
    first = next(iter(splits.values())).files[0]
    attrs: dict[str, str | int | float] = {"halflife_scale": first.halflife_scale}
    offsets = {file.first for split in splits.values() for file in split.files}
    builds = {file.genome_build for split in splits.values() for file in split.files}
    stored = {file.window for split in splits.values() for file in split.files}
    if len(stored) > 1:
        raise DataError(f"the files hold promoters of {sorted(stored)} bases: split files of one length")
    if len(offsets) == 1 and first.first is not None:
        attrs["window_first"] = first.first
    if len(builds) == 1 and first.genome_build is not None:
        attrs["genome_build"] = first.genome_build
    total = sum(split.rows for split in splits.values())
    targets, measured = all_targets(splits.values())
    if targets:
        columns = columns | {TARGETS: measured}
    start = 0
    with (
        SplitWriters(wanted, first.window, attrs=attrs, targets=targets) as writers,
        progress("writing genes", total) as advance,
    ):
        for file in (file for split in splits.values() for file in split.files):
            for block in iter_rows(file, 0, file.rows, file.rows_within(BLOCK_BYTES)):
                here = slice(start, start + len(block["gene_id"]))
                more = {column: values[here] for column, values in columns.items()}
                places = apply_split(table, block["gene_id"])
                writers.append(places, block["gene_id"], block["sequence"], block["halflife"], block["label"], more)
                advance(here.stop - start, "")
                start = here.stop


def _columns(splits: dict[str, SplitData]) -> dict[str, NDArray[Any]]:
    """Return the optional columns that every file has, by their name in it, over all genes in their order."""
    by_split: list[dict[str, NDArray[Any]]] = []
    for split in splits.values():
        places = locations(split)
        extra = {f"{EXTRA_GROUP}/{name}": values for name, values in extra_columns(split).items()}
        by_split.append(({} if places is None else places.columns()) | extra)
    names = [name for name in by_split[0] if all(name in columns for columns in by_split)]
    return {name: np.concatenate([columns[name] for columns in by_split]) for name in names}


def _check_writable(folder: Path) -> None:
    """Refuse a folder that the split file cannot go to, before the promoter files are written."""
    if (file := file_among(folder)) is not None:
        raise DataError(f"{file} is a file where the folder of the split goes: choose another path")
    # What is not there yet is made with the split: a refusal leaves nothing.
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        probe(there)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}); choose another path") from None
