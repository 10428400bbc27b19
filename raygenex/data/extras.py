"""Columns of the user's own: carried along with the genes, or used to group them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import ExtraConfig, GroupSplit
from raygenex.data.build.labels import match_genes
from raygenex.data.tables import (
    choose_columns,
    gene_column,
    is_numeric,
    numbers,
    read_table_file,
    text,
)
from raygenex.errors import ConfigError, DataError


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
        gene_id = gene_column(table, config.table, config.gene_column, strip_versions)
        for name in choose_columns(table, config.table, config.columns, config.gene_column):
            if name in found or "/" in name or name in (".", ".."):
                raise DataError(
                    f"{config.table}: the column {name} cannot be added; rename it (names differ, without /)"
                )
            numeric = is_numeric(table, name)
            values = numbers(table, config.table, name, gene_id) if numeric else text(table, name)
            found[name] = ExtraColumn(name, dict(zip(gene_id.tolist(), values.tolist(), strict=True)), numeric)
    return list(found.values())


def groups_of(
    split: GroupSplit, gene_id: NDArray[np.object_], columns: Mapping[str, NDArray[Any]]
) -> NDArray[np.object_]:
    """Return the group of every gene, str, shape ``(N,)``; empty for a gene without one.

    Parameters
    ----------
    split
        The rule; its groups come from its table, or else from ``columns``.
    gene_id
        Genes, shape ``(N,)``.
    columns
        The columns that the promoter files have, or will have.

    Raises
    ------
    ConfigError
        If there is no such column.
    DataError
        If the table cannot be read or has other genes.
    """
    if split.table is None:
        if split.column not in columns:
            known = ", ".join(columns) or "none"
            raise ConfigError(
                f"split.column {split.column} is no column of the data (they have {known}): set split.table"
            )
        values = columns[split.column]
        return np.array([_group_name(value) for value in values], dtype=object)
    table = read_table_file(split.table)
    known_genes = gene_column(table, split.table, split.gene_column)
    (name,) = choose_columns(table, split.table, (split.column,), split.gene_column)
    group = dict(zip(known_genes.tolist(), text(table, name).tolist(), strict=True))
    match_genes(gene_id.tolist(), group, "the data", split.table)
    return np.array([group.get(gene, "") for gene in gene_id], dtype=object)


def _group_name(value: object) -> str:
    """Write a group as a table of text has it: 3, not 3.0; empty for NaN."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return str(value)
