"""From an expression table to labels: one value per gene, a threshold, and high above it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import ExtraConfig, LabelConfig
from raygenex.data.table_file import read_table_file
from raygenex.data.tables import choose_columns, gene_column, is_numeric, numbers, text
from raygenex.errors import DataError


@dataclass(frozen=True)
class Expression:
    """One value per gene, and how it came about."""

    value: Mapping[str, float]
    """Expression by gene id, in the unit of the table; genes without any value are absent."""
    path: str
    """The table."""
    columns: tuple[str, ...]
    """The samples that were joined."""
    unmeasured: int
    """Genes of the table without a value in any of the columns."""


def read_expression(config: LabelConfig, strip_versions: bool) -> Expression:
    """Read the table of a label rule and join its samples, gene by gene; missing samples are left out of the join.

    Raises
    ------
    DataError
        If the table cannot be read, a gene is in it twice (with ``strip_versions`` also when only versions differ), a
        column is missing or holds what is not a number, or no gene has a value.
    """
    assert config.table is not None, "checked by the caller"
    table = read_table_file(config.table)
    gene_id = gene_column(table, config.table, config.gene_column, strip_versions, "build.label.gene_column")
    columns = choose_columns(table, config.table, config.columns, config.gene_column, "build.label.columns")
    samples = np.stack([numbers(table, config.table, column, gene_id) for column in columns], axis=1)
    known = ~np.isnan(samples).all(axis=1)
    if not known.any():
        raise DataError(f"{config.table}: no gene has a value in {', '.join(columns[:5])}; name other columns")
    values = join_samples(samples[known], config.aggregate)
    return Expression(
        value=dict(zip(gene_id[known].tolist(), values.tolist(), strict=True)),
        path=config.table,
        columns=tuple(columns),
        unmeasured=int((~known).sum()),
    )


def join_samples(samples: NDArray[np.float64], aggregate: str) -> NDArray[np.float64]:
    """Return the ``median`` or ``mean`` of each gene's samples ``(N, S)``, at least one of which is no NaN."""
    found: NDArray[np.float64] = (np.nanmedian if aggregate == "median" else np.nanmean)(samples, axis=1)
    return found


def threshold_of(config: LabelConfig, values: NDArray[np.float64]) -> float:
    """Return the threshold of a label rule over the genes that are kept, values of shape ``(N,)``."""
    return float(np.median(values)) if config.threshold == "median" else config.threshold


def label_genes(values: NDArray[np.float64], threshold: float, path: str) -> NDArray[np.uint8]:
    """Label genes 1 (high) if their value is above the threshold, else 0 (low); shape ``(N,)`` in and out.

    Raises
    ------
    DataError
        If all genes would get the same label.
    """
    label = (values > threshold).astype(np.uint8)
    if label.min() == label.max():
        which = "above" if label[0] else "at or below"
        low, high = values.min(), values.max()
        remedy = "they have one value, so name other columns in build.label.columns"
        if low < high:
            remedy = f"set build.label.threshold to a number from {low:g} to below {high:g}"
            # Of a median that is the highest value, nothing is above it.
            remedy += "" if threshold == np.median(values) else ", or to median"
        raise DataError(
            f"all {len(label)} genes of {path} are {which} the threshold {threshold:g} (values from {low:g} to "
            f"{high:g}): {remedy}"
        )
    return label


@dataclass(frozen=True)
class ExtraColumn:
    """One column, by gene id."""

    name: str
    values: Mapping[str, Any]
    """float or str by gene id."""
    numeric: bool

    def of(self, gene_id: Sequence[str]) -> NDArray[Any]:
        """Return the values of genes, shape ``(N,)``: float64, NaN where there is none; or str, empty there."""
        if self.numeric:
            return np.array([self.values.get(gene, np.nan) for gene in gene_id], dtype=np.float64)
        return np.array([self.values.get(gene, "") for gene in gene_id], dtype=object)


def read_extras(tables: Sequence[ExtraConfig], strip_versions: bool) -> list[ExtraColumn]:
    """Read the columns of ``build.extra``; one of numbers only is numeric, any other text.

    Raises
    ------
    DataError
        If a table cannot be read, a gene is in it twice, a column is missing, or two columns have one name.
    """
    found: dict[str, ExtraColumn] = {}
    for config in tables:
        table = read_table_file(config.table)
        gene_id = gene_column(table, config.table, config.gene_column, strip_versions, "build.label.gene_column")
        chosen = choose_columns(table, config.table, config.columns, config.gene_column, "build.extra.columns")
        for name in chosen:
            if name in found or "/" in name or name in (".", ".."):
                raise DataError(
                    f"{config.table}: the column {name} cannot be added; rename it (names differ, without /)"
                )
            numeric = is_numeric(table, name)
            values = numbers(table, config.table, name, gene_id) if numeric else text(table, name)
            found[name] = ExtraColumn(name, dict(zip(gene_id.tolist(), values.tolist(), strict=True)), numeric)
    return list(found.values())
