"""Importing a published table of half-life features, with its promoters from a genome, a BED or a FASTA of windows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import BuildConfig
from raygenex.data.build.bed import Place, read_windows
from raygenex.data.build.candidates import Candidate
from raygenex.data.build.chosen import check_chosen, is_chosen
from raygenex.data.build.halflife import scale_lengths
from raygenex.data.features import GC_FRACTIONS, HALFLIFE_FEATURES, LENGTHS
from raygenex.data.genome import Genome
from raygenex.data.hdf5.schema import Locations
from raygenex.data.tables import gene_column, numbers, read_table_file, shown, text
from raygenex.data.windows import window_bounds
from raygenex.errors import DataError

_NAMES: Mapping[str, tuple[str, ...]] = {
    "gene_id": ("gene_id", "ensid", "ensembl_id", "gene", "geneid", "genename"),
    "chrom": ("chrom", "chr", "chromosome"),
    "tss": ("tss", "tss_position"),
    "strand": ("strand",),
    "label": ("label",),
}
"""Our name of each column, and the names (in lower case) that published tables give it."""


LARGEST_SHARE = 10.0
"""Larger GC contents are percentages: shares end at 1, and no z-score is as large."""

LONGEST_LOG10 = 9.0
"""Larger lengths are bases: no transcript has 10**9 of them, and no z-score is as large."""


@dataclass(frozen=True)
class ImportedFeatures:
    """The features of a table and what else it says; one row per gene."""

    path: str
    gene_id: NDArray[np.object_]
    halflife: NDArray[np.float64]
    """Shape ``(N, 8)``, in the order of `HALFLIFE_FEATURES`; NaN where the table has no value."""
    scale: str
    """``log10`` or ``z-score``: of the lengths."""
    chrom: NDArray[np.object_] | None
    tss: NDArray[np.float64] | None
    """1-based; NaN where the table has no value."""
    strand: NDArray[np.object_] | None
    label: NDArray[np.float64] | None
    """0 or 1; NaN where the table has no value."""

    def locations(self, gene_id: Sequence[str]) -> Locations | None:
        """Return where genes of the table lie, the strand if it says it; None if it lacks a chromosome or TSS."""
        if self.chrom is None or self.tss is None:
            return None
        row = {gene: i for i, gene in enumerate(self.gene_id)}
        rows = [row[gene] for gene in gene_id]
        if np.isnan(self.tss[rows]).any():
            return None
        strand = None if self.strand is None else self.strand[rows]
        return Locations(self.chrom[rows], self.tss[rows].astype(np.int64), strand)


def read_features(config: BuildConfig) -> ImportedFeatures:
    """Read the table of ``build.features``.

    The eight features are found by name, in any order, with or without the ending ``_log10zscore`` of EPInformer's
    table (then the lengths are z-scores). Otherwise lengths that go beyond 9 are bases, and turned into logarithms;
    lengths that are centred on 0 are z-scores; all others are logarithms.

    Raises
    ------
    DataError
        If a column is missing or holds what is not a number, a label is neither 0 nor 1, or a strand neither + nor -.
    """
    assert config.features is not None, "checked by the caller"
    path = config.features
    table = read_table_file(path)
    columns = {name: _find(table.columns, names) for name, names in _NAMES.items()}
    gene_id = gene_column(table, path, columns["gene_id"] or "gene_id", config.strip_versions)
    found = {
        feature: _find(table.columns, (feature.lower(), f"{feature.lower()}_log10zscore"))
        for feature in HALFLIFE_FEATURES
    }
    if missing := [feature for feature, column in found.items() if column is None]:
        raise DataError(
            f"{path} has no column {missing[0]} (or {missing[0]}_log10zscore); it has {shown(list(table.columns))}: "
            f"it must have {', '.join(HALFLIFE_FEATURES)}"
        )
    values = np.stack([numbers(table, path, str(column), gene_id) for column in found.values()], axis=1)
    scale = _scale(values[:, LENGTHS], [str(column) for column in found.values()][LENGTHS], path)
    if scale == "bases":
        values[:, LENGTHS] = scale_lengths(values[:, LENGTHS])
        scale = "log10"
    gc = values[:, GC_FRACTIONS]
    if np.nanmin(gc) >= 0 and np.nanmax(gc) > LARGEST_SHARE:
        raise DataError(f"{path}: GC content reaches {np.nanmax(gc):g}, as in percent; write it as shares of 1")
    label = numbers(table, path, columns["label"], gene_id) if columns["label"] else None
    if label is not None and (wrong := np.flatnonzero(~np.isnan(label) & (label != 0) & (label != 1))).size:
        raise DataError(f"{path}: the label of gene {gene_id[wrong[0]]} is {label[wrong[0]]:g}; it must be 0 or 1")
    strand = text(table, columns["strand"]) if columns["strand"] else None
    if strand is not None:
        strand = np.array([{"1": "+", "-1": "-"}.get(value, value) for value in strand], dtype=object)
        if (wrong := np.flatnonzero((strand != "+") & (strand != "-"))).size:
            raise DataError(f"{path}: the strand of gene {gene_id[wrong[0]]} is {strand[wrong[0]]!r}; write + or -")
    tss = numbers(table, path, columns["tss"], gene_id) if columns["tss"] else None
    if tss is not None and (wrong := np.flatnonzero((tss < 1) | (tss != np.floor(tss)) & ~np.isnan(tss))).size:
        raise DataError(f"{path}: the TSS of gene {gene_id[wrong[0]]} is {tss[wrong[0]]:g}; it must be 1 or more")
    return ImportedFeatures(
        path=path,
        gene_id=gene_id,
        halflife=values,
        scale=scale,
        chrom=text(table, columns["chrom"]) if columns["chrom"] else None,
        tss=tss,
        strand=strand,
        label=label,
    )


def choose_rows(table: ImportedFeatures, config: BuildConfig) -> tuple[list[Candidate], dict[str, str]]:
    """Choose the genes of a table for a data set without promoters.

    Returns
    -------
    Candidates without a window, in the order of the table, and for every other gene the reason why it stays out. A
    table without the columns chrom and tss has its genes at no place; in one with them, every gene needs both.

    Raises
    ------
    DataError
        If ``build.chromosomes`` is set and the table does not say chromosomes, or none of them is there.
    """
    placed = table.chrom is not None and table.tss is not None
    count = len(table.gene_id)
    chroms = _chromosomes(table, config)
    tss = np.zeros(count) if table.tss is None else table.tss
    strands = np.full(count, "", dtype=object) if table.strand is None else table.strand
    found, dropped = [], {}
    for gene, values, chrom, place, strand in zip(table.gene_id, table.halflife, chroms, tss, strands, strict=True):
        if np.isnan(values).any():
            dropped[gene] = "no value of a half-life feature"
        elif placed and (not chrom or np.isnan(place)):
            dropped[gene] = "no chromosome or TSS"
        elif not is_chosen(chrom, config.chromosomes):
            dropped[gene] = "chromosome not chosen"
        else:
            found.append(Candidate(gene, chrom, 0 if np.isnan(place) else int(place), strand, None, "table", 0, 0))
    return found, dropped


def _chromosomes(table: ImportedFeatures, config: BuildConfig) -> NDArray[np.object_]:
    """Return the chromosome of every gene as the table names it, empty where it does not say.

    Raises
    ------
    DataError
        If ``build.chromosomes`` is set and the table has none, or a pattern matches none.
    """
    if table.chrom is not None:
        check_chosen(config.chromosomes, table.chrom.tolist(), table.path)
        return table.chrom
    if config.chromosomes:
        raise DataError(f"{table.path} has no column chrom: add one, or leave build.chromosomes out")
    return np.full(len(table.gene_id), "", dtype=object)


def place_windows(
    table: ImportedFeatures, genome: Genome, config: BuildConfig
) -> tuple[list[Candidate], dict[str, str]]:
    """Find the window of every gene of a table in a genome or in a FASTA of windows.

    Parameters
    ----------
    table
        The genes.
    genome
        The genome, or a FASTA with one record per gene, named as the gene.
    config
        Window, BED of windows, chromosome names.

    Returns
    -------
    Candidates in the order of the genome (chromosome, TSS, gene id), and for every other gene the reason why it stays
    out. The features of the genes are to be taken from the table.

    Raises
    ------
    DataError
        If the table does not say where its genes lie and neither does a BED, no window, or a record of the FASTA, has
        the length of ``build.window``, or a chromosome is not in the genome.
    """
    first, stop = config.window
    order = {chrom: number for number, chrom in enumerate(genome.lengths)}
    records = has_records(config)
    dropped: dict[str, str] = {}
    places: dict[str, Place] = {}
    if config.windows is not None and not records:
        places, dropped = read_windows(config.windows, config, set(table.gene_id.tolist()))
    elif records:
        chroms = _chromosomes(table, config)
        for gene, chrom in zip(table.gene_id, chroms, strict=True):
            if not is_chosen(chrom, config.chromosomes):
                dropped[gene] = "chromosome not chosen"
            elif gene in order:
                places[gene] = (gene, 1 - first, "+")
    elif table.chrom is not None and table.tss is not None and table.strand is not None:
        chroms = _chromosomes(table, config)
        for gene, chrom, tss, strand in zip(table.gene_id, chroms, table.tss, table.strand, strict=True):
            if chrom and not is_chosen(chrom, config.chromosomes):
                dropped[gene] = "chromosome not chosen"
            elif chrom and not np.isnan(tss):
                places[gene] = (str(chrom), int(tss), str(strand))
    else:
        raise DataError(
            f"{table.path} does not say where its genes lie (it needs chrom, tss and strand): add the columns, or name "
            "a BED or a FASTA of windows in build.windows"
        )
    found = []
    for gene, values in zip(table.gene_id, table.halflife, strict=True):
        if np.isnan(values).any():
            dropped[gene] = "no value of a half-life feature"
        elif gene not in places:
            dropped.setdefault(gene, "no window")
        else:
            chrom, tss, strand = places[gene]
            chrom = chrom if chrom in order else _other_name(chrom, order, genome, config.windows or table.path)
            low, high = window_bounds(tss, strand, first, stop)
            length = genome.lengths[chrom]
            if not records:
                _check_place(gene, chrom, tss, length, genome, config.windows or table.path)
            elif length != stop - first:
                raise DataError(
                    f"{genome.path}: {gene} has {length} bases, but build.window [{first}, {stop}] asks for "
                    f"{stop - first}: set build.window to what the file holds, the TSS at 0"
                )
            if config.out_of_bounds == "drop" and (low < 0 or high > length):
                dropped[gene] = "window leaves the chromosome"
            else:
                found.append(Candidate(gene, chrom, tss, strand, None, "table", first, stop))
    found.sort(key=lambda gene: (order[gene.chrom], gene.tss, gene.gene_id))
    return found, dropped


def _check_place(gene: str, chrom: str, tss: int, length: int, genome: Genome, where: str) -> None:
    if tss > length:
        raise DataError(
            f"{where}: the TSS of gene {gene} is base {tss} of {chrom}, but in {genome.path} that has {length} bases: "
            "use the table and the genome of one build"
        )


def has_records(config: BuildConfig) -> bool:
    """Whether ``build.windows`` is a FASTA with one record per gene; a BED on the genome is told by its name."""
    return config.windows is not None and not config.windows.lower().removesuffix(".gz").endswith(".bed")


def _other_name(chrom: str, order: Mapping[str, int], genome: Genome, where: str) -> str:
    """Take 1 for chr1 and the reverse: published tables write either."""
    other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
    if other not in order:
        raise DataError(
            f"{where} has genes on {chrom}, which {genome.path} does not have (it has {shown(list(order))}): "
            "name the chromosomes you want in build.chromosomes, or use the genome of the table"
        )
    return other


def _find(columns: object, names: tuple[str, ...]) -> str | None:
    by_name = {re.sub(r"\s+", "_", str(column).strip()).lower(): str(column) for column in columns}  # type: ignore[attr-defined]
    return next((by_name[name] for name in names if name in by_name), None)


def _scale(lengths: NDArray[np.float64], names: list[str], path: str) -> str:
    if all(name.lower().endswith("_log10zscore") for name in names):
        return "z-score"
    if np.nanmax(lengths) > LONGEST_LOG10:
        if np.nanmin(lengths) < 0:
            raise DataError(f"{path}: lengths such as {np.nanmin(lengths):g} are below 0; correct the table")
        return "bases"
    return "z-score" if (np.abs(np.nanmean(lengths, axis=0)) < 0.5).all() else "log10"
