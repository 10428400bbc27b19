"""Importing a published table of half-life features, with its promoters from a genome, a BED or a FASTA of windows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import BuildConfig
from raygenex.data.build.chosen import is_chosen
from raygenex.data.build.halflife import scale_lengths
from raygenex.data.features import GC_FRACTIONS, HALFLIFE_FEATURES, LENGTHS
from raygenex.data.gene_ids import strip_version
from raygenex.data.hdf5.schema import Locations
from raygenex.data.table_file import read_table_file
from raygenex.data.tables import gene_column, numbers, shown, text
from raygenex.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

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

LONGEST_LOG10 = np.array([6.0, 6.0, 9.0, 6.0])
"""No exons of a transcript have more bases than 10 to these, and no introns."""

LEAST_LOG10 = float(scale_lengths(np.zeros(()))) - 0.01
"""No length has a smaller logarithm; tables round."""

LARGEST_Z = 20.0
"""No length is as many standard deviations from the mean."""

USUAL_CDS_LOG10 = (1.5, 4.5)
"""Where the median of the coding lengths' logarithms lies; that of natural ones is larger, that of z-scores near 0."""

USUAL_Z = 3.0
"""How far a median of z-scores, which may be those of a few genes alone, lies from 0."""


@dataclass(frozen=True)
class ImportedFeatures:
    """The features of a table and what else it says; one row per gene."""

    path: str
    gene_id: NDArray[np.object_]
    halflife: NDArray[np.float64]
    """Shape ``(N, 8)``, in the order of `HALFLIFE_FEATURES`; NaN where the table has no value."""
    scale: str
    """``log10`` or ``z-score``: of the lengths here."""
    given: str
    """``bases``, ``log10`` or ``z-score``: of the lengths in the table."""
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
    table (then the lengths are z-scores). What their scale is otherwise is told from the values, where
    ``build.features_scale`` does not say it: whole numbers of bases, which are turned into logarithms, logarithms, or
    z-scores.

    Raises
    ------
    DataError
        If a column is missing or holds what is not a number, lengths are on no such scale, a label is neither 0 nor 1,
        or a strand neither + nor -.
    """
    assert config.features is not None, "checked by the caller"
    path = config.features
    table = read_table_file(path)
    columns = {name: _find(table.columns, names) for name, names in _NAMES.items()}
    gene_name = columns["gene_id"] or "gene_id"
    if columns["chrom"] and (config.windows is None or has_records(config)):
        rows = len(table)
        table = _without_copies(table, gene_name, text(table, columns["chrom"]), config)
        # Sentences count the rows that are left.
        path += "" if len(table) == rows else " without the copies of genes on chromosomes that are not chosen"
    gene_id = gene_column(table, path, gene_name, config.strip_versions)
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
    given = _scale(values[:, LENGTHS], list(found.values())[LENGTHS], path, config.features_scale)
    if given == "bases":
        values[:, LENGTHS] = scale_lengths(values[:, LENGTHS])
    gc = values[:, GC_FRACTIONS][~np.isnan(values[:, GC_FRACTIONS])]
    if gc.size and gc.min() >= 0 and gc.max() > LARGEST_SHARE:
        raise DataError(f"{path}: GC content reaches {gc.max():g}, as in percent; write it as shares of 1")
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
        path=config.features,
        gene_id=gene_id,
        halflife=values,
        scale="z-score" if given == "z-score" else "log10",
        given=given,
        chrom=text(table, columns["chrom"]) if columns["chrom"] else None,
        tss=tss,
        strand=strand,
        label=label,
    )


def has_records(config: BuildConfig) -> bool:
    """Whether ``build.windows`` is a FASTA with one record per gene; a BED on the genome is told by its name."""
    return config.windows is not None and not config.windows.lower().removesuffix(".gz").endswith(".bed")


def _find(columns: object, names: tuple[str, ...]) -> str | None:
    by_name = {re.sub(r"\s+", "_", str(column).strip()).lower(): str(column) for column in columns}  # type: ignore[attr-defined]
    return next((by_name[name] for name in names if name in by_name), None)


def _without_copies(
    table: "pd.DataFrame", gene_name: str, chroms: NDArray[np.object_], config: BuildConfig
) -> "pd.DataFrame":
    """Leave out rows on chromosomes that are not chosen if their gene has another row, on a chosen one or before."""
    if not config.chromosomes or gene_name not in table.columns:
        return table
    chosen = np.array([is_chosen(chrom, config.chromosomes) for chrom in chroms])
    ids = [strip_version(gene) if config.strip_versions else gene for gene in text(table, gene_name)]
    known = {gene for gene, is_wanted in zip(ids, chosen, strict=True) if is_wanted}
    kept = chosen.copy()
    for row in np.flatnonzero(~chosen):
        kept[row] = ids[row] not in known or not ids[row]
        known.add(ids[row])
    return table[kept]


def _scale(lengths: NDArray[np.float64], names: Sequence[str | None], path: str, wanted: str) -> str:
    """Return the scale of lengths, shape ``(N, 4)``: the one that is wanted, or that of the names, or of the values."""
    known = [column[~np.isnan(column)] for column in lengths.T]
    if not all(column.size for column in known):
        # Every gene lacks a feature, and stays out.
        return "log10" if wanted == "auto" else wanted
    low, high, middle = (np.array([of(column) for column in known]) for of in (np.min, np.max, np.median))
    possible = {
        "bases": (low >= 0).all() and (high <= 10**LONGEST_LOG10).all(),
        "log10": (low >= LEAST_LOG10).all() and (high <= LONGEST_LOG10).all(),
        "z-score": (np.maximum(-low, high) <= LARGEST_Z).all(),
    }
    if wanted == "auto" and all(str(name).lower().endswith("_log10zscore") for name in names):
        wanted = "z-score"
    if wanted == "auto":
        usual = {
            "bases": high.max() > LONGEST_LOG10.max() and all((column == np.floor(column)).all() for column in known),
            "log10": USUAL_CDS_LOG10[0] <= middle[1] <= USUAL_CDS_LOG10[1],
            "z-score": (np.abs(middle) <= USUAL_Z).all(),
        }
        wanted = next((scale for scale in possible if possible[scale] and usual[scale]), "auto")
    if not possible.get(wanted, False):
        ranges = ", ".join(f"{name} {a:g} to {b:g}" for name, a, b in zip(names, low, high, strict=True))
        what = "neither whole bases, log10(bases + 0.1) nor z-scores" if wanted == "auto" else f"no {wanted}"
        remedy = ", or set build.features_scale" if any(possible.values()) else ""
        raise DataError(f"{path}: these lengths ({ranges}) are {what}: correct them{remedy}")
    return wanted
