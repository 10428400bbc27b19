"""Tables of the user's, one row per gene: expression, features, groups, measured half-lives."""

import csv
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from raygenex.data.repeats import first_repeat
from raygenex.errors import DataError
from raygenex.files.lines import LONGEST_LINE, unpacked
from raygenex.files.locate import local_copy

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 8
_MOST_COMMENTS = 100_000
_MISSING = ("", "NA", "N/A", "NaN", "nan", "na", "NULL", "null", "None", ".")


def read_table_file(path: str, quoted: bool = False) -> "pd.DataFrame":
    """Read a whole table; every value stays text, but in Parquet.

    Parameters
    ----------
    path
        A local path or fsspec URL whose name ends in .parquet, .csv or .tsv (also .txt), the last three also with .gz.
    quoted
        Whether quotes enclose values in tab-separated tables; they always do in CSV.

    Raises
    ------
    DataError
        If the file is missing, not such a table, truncated or empty, or a column is in it twice.
    """
    import pandas as pd
    from pandas.errors import EmptyDataError, ParserError
    from pyarrow import ArrowInvalid

    name = path.lower().removesuffix(".gz")
    header: list[str] = []
    try:
        if name.endswith(".parquet"):
            table = pd.read_parquet(local_copy(path))
        elif name.endswith((".csv", ".tsv", ".txt")):
            separator = "," if name.endswith(".csv") else "\t"
            local = local_copy(path)
            # Lines that start with # before the header are comments; a later # may belong to a value.
            with opened_table(local) as stream:
                skipped, line = _header_line(stream)
            header = next(csv.reader([line], delimiter=separator), [])
            with opened_table(local) as stream:
                table = pd.read_csv(
                    stream,
                    sep=separator,
                    dtype=str,
                    skiprows=skipped,
                    keep_default_na=False,
                    # A tab at the end of every line must not shift the columns.
                    index_col=False,
                    # In most tab-separated tables a quote is a letter: 5' and 3" are in names.
                    quoting=csv.QUOTE_MINIMAL if quoted or separator == "," else csv.QUOTE_NONE,
                )
            table.columns = table.columns.str.strip()
        else:
            raise DataError(f"{path} is not a table that can be read: name a .tsv, .csv (also .gz) or .parquet file")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except EOFError:
        raise DataError(f"{path} is truncated: its end is missing; copy or download it again") from None
    except (ParserError, EmptyDataError, UnicodeDecodeError, ArrowInvalid, OSError, zlib.error, csv.Error) as error:
        reason = " ".join(str(error).split()).replace(". ", ", ")[:160]
        raise DataError(f"{path} cannot be read as a table ({reason}); check the file") from None
    except MemoryError:
        raise DataError(f"{path} does not fit into the memory as a table; leave out what is not needed") from None
    if (repeat := first_repeat(lambda: [header])) is not None:
        raise DataError(f"{path} has the column {repeat.id} twice; rename one of them")
    if table.empty:
        raise DataError(f"{path} has no rows; check the file")
    return table


def gene_column(table: "pd.DataFrame", path: str, column: str, strip_versions: bool = False) -> NDArray[np.object_]:
    """Return the gene ids of a table, str, shape ``(N,)``; without version suffixes if ``strip_versions``.

    Raises
    ------
    DataError
        If the column is missing, or an id is empty or there twice, as it is or without its version.
    """
    if column not in table.columns:
        raise DataError(f"{path} has no column {column} of gene ids; it has {shown(list(table.columns))}: name the one")
    gene_id = table[column].fillna("").astype(str).str.strip().to_numpy(dtype=object)
    if (empty := np.flatnonzero(gene_id == "")).size:
        raise DataError(f"{path}: the gene id of row {empty[0] + 1} is empty; give every gene an id or remove the row")
    check_unique_ids(gene_id, path)
    if strip_versions:
        gene_id = np.array([strip_version(gene) for gene in gene_id], dtype=object)
        check_unique_ids(gene_id, f"{path} without version suffixes")
    return gene_id


def check_unique_ids(gene_id: NDArray[np.object_], where: str) -> None:
    """Refuse gene ids that are there twice, by a `DataError` that names ``where``, the gene and both rows (from 1)."""
    if (repeat := first_repeat(lambda: [gene_id])) is not None:
        first, second = repeat.rows
        raise DataError(
            f"{where}: gene {repeat.id} is in rows {first + 1} and {second + 1}; keep one, or join them into one row"
        )


def choose_columns(table: "pd.DataFrame", path: str, patterns: Sequence[str], but: str) -> list[str]:
    """Return the columns that match names or globs, in the table's order; without patterns, the numeric ones.

    Parameters
    ----------
    table, path
        The table and where it comes from.
    patterns
        Names or globs such as ``E*``.
    but
        A column that is never meant: that of the gene ids.

    Raises
    ------
    DataError
        If a pattern matches no column, no column is numeric, or one that mostly is holds what is not a number.
    """
    names = [str(name) for name in table.columns if name != but]
    if not patterns:
        numeric = []
        for name in names:
            values, wrong = _parse(table[name])
            known = int(np.isfinite(values).sum())
            if wrong is None and known:
                numeric.append(name)
            elif wrong is not None and 2 * known > (text(table, name) != "").sum():
                # A stray word must not make a whole sample vanish: this names it.
                numbers(table, path, name, table[but].to_numpy(dtype=object))
        if not numeric:
            raise DataError(f"{path} has no numeric column; it has {shown(names)}: name the columns that hold numbers")
        return numeric
    for pattern in patterns:
        if not any(name == pattern or fnmatchcase(name, pattern) for name in names):
            raise DataError(f"{path} has no column {pattern}; it has {shown(names)}: correct the name")
    return [name for name in names if any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)]


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
            f"{path}: {column} of gene {gene_id[wrong]} (row {wrong + 1}) is {table[column].iloc[wrong]!r}, "
            "not a number; correct it, leave it empty, or name other columns"
        )
    return values


def text(table: "pd.DataFrame", column: str) -> NDArray[np.object_]:
    """Return a column as str objects, shape ``(N,)``; empty where the table says nothing."""
    values = table[column].fillna("").astype(str).str.strip().to_numpy(dtype=object)
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

    raw = column.where(~column.isin(_MISSING), None) if column.dtype.kind not in "fiub" else column
    values = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero((np.isnan(values) & raw.notna().to_numpy()) | np.isinf(values))
    return values, int(wrong[0]) if wrong.size else None


@contextmanager
def opened_table(local: str) -> Iterator[BinaryIO]:
    """Open a table, plain or, if its name says so, gzip; reading raises what `unpacked` does."""
    with open(local, "rb") as raw:
        yield unpacked(raw) if local.lower().endswith(".gz") else raw


def _header_line(stream: BinaryIO) -> tuple[int, str]:
    """Return how many comment lines are before the header, and the header; empty if there is none."""
    number = 0
    while line := stream.readline(LONGEST_LINE):
        if not line.startswith(b"#"):
            return number, line.decode().rstrip("\r\n")
        if (number := number + 1) > _MOST_COMMENTS:
            raise OSError(f"over {_MOST_COMMENTS} lines of comments")
    return 0, ""


def strip_version(gene_id: str) -> str:
    """Return a gene id without its version: ENSG00000182378.15_PAR_Y becomes ENSG00000182378_PAR_Y."""
    return re.sub(r"(?<=.)\.\d+(?=(_PAR_Y)?$)", "", gene_id)


def match_genes(wanted: Sequence[str], found: Mapping[str, object], wanted_in: str, found_in: str) -> int:
    """Count the genes that a table has, and refuse a table of other names.

    Parameters
    ----------
    wanted
        Gene ids of the annotation.
    found
        Gene ids of the table.
    wanted_in, found_in
        The two files, for the sentence.

    Returns
    -------
    How many of ``wanted`` are in ``found``.

    Raises
    ------
    DataError
        If there is none, or if more than twice as many would be found without version suffixes; the fix is offered.
    """
    matched = sum(gene in found for gene in wanted)
    bare = {strip_version(gene) for gene in found}
    without = sum(strip_version(gene) in bare for gene in wanted)
    example, other = next(iter(wanted), "none"), next(iter(found), "none")
    if without > 2 * matched:
        raise DataError(
            f"{matched} of {len(wanted)} genes of {wanted_in} (such as {example}) are in {found_in} (such as {other}), "
            f"but {without} are without version suffixes: set build.strip_versions to true"
        )
    if matched == 0:
        raise DataError(
            f"no gene of {wanted_in} (such as {example}) is in {found_in} (such as {other}): "
            "use tables of the same kind of gene ids, or name another gene_column"
        )
    return matched
