"""What tables of the user's say, one row per gene: gene ids, numbers and words."""

import logging
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from raygenex.data.gene_ids import check_unique_ids, strip_version
from raygenex.data.table_file import ROW_NAMES, read_table_file
from raygenex.errors import DataError

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 8
_GENE_ID = "gene_id"
_MISSING = ("", "NA", "N/A", "NaN", "nan", "na", "NULL", "null", "None", ".")


_ANNOTATION_WORDS = (
    "length effectivelength efflength chr chrom chromosome seqname start end tss tsstart txstart txend strand "
    "exoncount exonlength exonnumber gc gccontent percentagegccontent entrez entrezid entrezgene entrezgeneid "
    "ncbigeneid geneid taxid basemean log2foldchange logfc logcpm aveexpr lfcse stat pvalue pval pvaladj padj "
    "adjpval adjpvalue fdr qvalue genestart geneend genestartbp geneendbp transcriptlength fpkmconflo fpkmconfhi "
)
_ANNOTATION = frozenset(_ANNOTATION_WORDS.split())
"""Names, in lower case without blanks and signs, of numbers that describe genes or compare samples: in tables of RSEM,
featureCounts, kallisto, salmon, StringTie, Cufflinks, BioMart, DESeq2, edgeR and limma."""

_MEASURE_WORDS = "count counts expectedcount estcounts numreads coverage cov tpm fpkm rpkm cpm posteriormeancount"
_MEASURES = frozenset(_MEASURE_WORDS.split())
"""The same of measures of one sample, each in a unit of its own."""


def gene_column(
    table: "pd.DataFrame", path: str, column: str, strip_versions: bool = False, key: str | None = None
) -> NDArray[np.object_]:
    """Return the gene ids of a table, str, shape ``(N,)``; without version suffixes if ``strip_versions``.

    The names of rows stand for the column gene_id, where there is none. ``key`` is the key of the configuration that
    names another column, if one does.

    Raises
    ------
    DataError
        If the column is missing, or an id is empty or there twice, as it is or without its version.
    """
    if column == _GENE_ID and column not in table.columns and ROW_NAMES in table.columns:
        logger.info("%s: the names of its rows are taken as gene ids", path)
        column = ROW_NAMES
    if column not in table.columns:
        remedy = f"name the one that holds them in {key}" if key else f"call the one that holds them {column}"
        if any(re.fullmatch(r"-?\d+\.?\d*", name) for name in _named(table)):
            remedy += ", or add a header if that is its first row"
        raise DataError(f"{path} has no column {column} of gene ids; it has {shown(_named(table))}: {remedy}")
    gene_id = words(table[column])
    if (empty := np.flatnonzero(gene_id == "")).size:
        raise DataError(f"{path}: the gene id of row {empty[0] + 1} is empty; give every gene an id or remove the row")
    check_unique_ids(gene_id, path)
    if strip_versions:
        gene_id = np.array([strip_version(gene) for gene in gene_id], dtype=object)
        check_unique_ids(gene_id, f"{path} without version suffixes")
    return gene_id


def _named(table: "pd.DataFrame") -> list[str]:
    return [name for name in table.columns if name != ROW_NAMES]


def choose_columns(
    table: "pd.DataFrame", path: str, patterns: Sequence[str], but: str, key: str = "columns"
) -> list[str]:
    """Return the columns that match names or globs, in the table's order; without patterns, the numeric ones.

    Parameters
    ----------
    table, path
        The table and where it comes from.
    patterns
        Names or globs such as ``E*``.
    but
        A column that is never meant: that of the gene ids. Names of rows are never meant either.
    key
        The key of the configuration that names columns.

    Raises
    ------
    DataError
        If a pattern matches no column. Without patterns, if no column is numeric, one that mostly is holds what is not
        a number, one is known to describe genes and not their expression, or several are measures of one sample.
    """
    names = [name for name in _named(table) if name != but]
    if not patterns:
        return _numeric(table, path, names, but, key)
    for pattern in patterns:
        if not any(name == pattern or fnmatchcase(name, pattern) for name in names):
            raise DataError(f"{path} has no column {pattern}; it has {shown(names)}: correct the name")
    return [name for name in names if any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)]


def _numeric(table: "pd.DataFrame", path: str, names: list[str], but: str, key: str) -> list[str]:
    numeric = []
    for name in names:
        values, wrong = _parse(table[name])
        known = int(np.isfinite(values).sum())
        if known and (wrong is None or _plain(name) in _ANNOTATION):
            numeric.append(name)
        elif wrong is not None and 2 * known > (text(table, name) != "").sum():
            # A stray word must not make a whole sample vanish: this names it.
            numbers(table, path, name, table[but if but in table else ROW_NAMES].to_numpy(dtype=object))
    if not numeric:
        raise DataError(f"{path} has no numeric column; it has {shown(names)}: name the columns that hold numbers")
    for kind, known_names in (("describe genes", _ANNOTATION), ("measure one sample", _MEASURES)):
        found = [name for name in numeric if _plain(name) in known_names]
        if len(found) > (kind == "measure one sample"):
            raise DataError(
                f"{path} has columns that {kind} ({shown(found)}) among its numeric ones ({shown(numeric)}): name the "
                f"columns that are meant in {key}"
            )
    return numeric


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def numbers(table: "pd.DataFrame", path: str, column: str, gene_id: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return a column as numbers, shape ``(N,)``; NaN where the table says nothing (empty, NA, NaN, null, None, .).

    Raises
    ------
    DataError
        If a value is not a finite number; the sentence names the gene, the column and the value.
    """
    values, wrong = _parse(table[column])
    if wrong is not None:
        raise DataError(
            f"{path}: {column} of gene {gene_id[wrong]} (row {wrong + 1}) is {str(table[column].iloc[wrong])!r}, "
            "not a number; correct it, leave it empty, or name other columns"
        )
    return values


class GeneColumns:
    """Columns of tables, one row per gene, for the genes of splits; a table is read and its ids are found once.

    Parameters
    ----------
    section
        The section of the configuration that names the tables, such as ``targets``.
    genes
        The ids of each split, shape ``(N,)``.
    """

    def __init__(self, section: str, genes: Mapping[str, NDArray[np.object_]]) -> None:
        self._section = section
        self._genes = genes
        self._open = cache(self._opened)

    def read(self, path: str, column: str, ids: str) -> dict[str, NDArray[np.float32]]:
        """Return a column of numbers of a table, whose gene ids are in the column ``ids``.

        Returns
        -------
        By split, shape ``(N,)``, NaN for a gene without a row or without a value.

        Raises
        ------
        DataError
            If a column is missing, a value is not a finite number, or, where train is among the splits, the table has
            fewer than half of the genes.
        """
        table, gene_id, rows = self._open(path, ids)
        if column not in table.columns:
            raise DataError(
                f"{path} has no column {column}; it has {shown(list(table.columns))}: name it in {self._section}.column"
            )
        # Genes without a row have the last one, of nothing.
        values = np.append(numbers(table, path, column, gene_id), np.nan).astype(np.float32)
        total = sum(map(len, rows.values()))
        matched = sum(int((found >= 0).sum()) for found in rows.values())
        # A split of few genes that is measured later may have fewer.
        if "train" in rows and 2 * matched < total:
            raise DataError(
                f"{path} has {matched} of the {total} genes of {', '.join(f'data.{name}' for name in rows)}, fewer "
                f"than half (its ids are such as {next(iter(gene_id), 'none')}): use a table of the same kind of gene "
                "ids"
            )
        return {name: values[found] for name, found in rows.items()}

    def _opened(self, path: str, ids: str) -> "tuple[pd.DataFrame, NDArray[np.object_], dict[str, NDArray[np.intp]]]":
        """Return a table, its gene ids, and the row of each gene of every split, -1 where it has none."""
        table = read_table_file(path)
        gene_id = gene_column(table, path, ids, key=f"{self._section}.gene_column")
        row_of = {gene: row for row, gene in enumerate(gene_id)}
        rows = {name: np.array([row_of.get(gene, -1) for gene in own], np.intp) for name, own in self._genes.items()}
        return table, gene_id, rows


def words(column: "pd.Series[Any]") -> NDArray[np.object_]:
    """Return a column as str objects without blanks around them, shape ``(N,)``; empty where it holds nothing."""
    found: NDArray[np.object_] = (
        column.astype(object).where(column.notna(), "").astype(str).str.strip().to_numpy(dtype=object)
    )
    return found


def text(table: "pd.DataFrame", column: str) -> NDArray[np.object_]:
    """Return a column as str objects, shape ``(N,)``; empty where the table says nothing."""
    values = words(table[column])
    values[np.isin(values.astype(str), _MISSING)] = ""
    return values


def is_numeric(table: "pd.DataFrame", column: str) -> bool:
    """Whether every value of a column is a finite number or missing."""
    return _parse(table[column])[1] is None


def shown(names: Sequence[Any]) -> str:
    """Join names for a sentence: the first eight, and how many more."""
    first = ", ".join(str(name) for name in names[:_SHOWN]) or "none"
    return first if len(names) <= _SHOWN else f"{first} and {len(names) - _SHOWN} more"


def _parse(column: "pd.Series[Any]") -> tuple[NDArray[np.float64], int | None]:
    """Return the numbers of a column and the first row that does not hold a finite number, None if there is none."""
    import pandas as pd

    raw = column
    if column.dtype.kind not in "fiu":
        # Dates, durations and truth values become words, though pandas would make numbers of them.
        raw = pd.Series(words(column))
        raw = raw.where(~raw.isin(_MISSING), None)
    values = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero((np.isnan(values) & raw.notna().to_numpy()) | np.isinf(values))
    return values, int(wrong[0]) if wrong.size else None
