"""From an expression table to labels: one value a gene, a threshold, and high above it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import LabelConfig
from raygenex.data.build.annotation import strip_version
from raygenex.data.tables import choose_columns, gene_column, numbers, read_table_file
from raygenex.errors import DataError


@dataclass(frozen=True)
class Expression:
    """One value a gene, and how it came about."""

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
        column is missing or holds what is no number, or no gene has a value.
    """
    assert config.table is not None, "checked by the caller"
    table = read_table_file(config.table)
    gene_id = gene_column(table, config.table, config.gene_column, strip_versions)
    columns = choose_columns(table, config.table, config.columns, config.gene_column)
    samples = np.stack([numbers(table, config.table, column, gene_id) for column in columns], axis=1)
    known = ~np.isnan(samples).all(axis=1)
    if not known.any():
        raise DataError(f"{config.table}: no gene has a value in {', '.join(columns[:5])}; name other columns")
    join = np.nanmedian if config.aggregate == "median" else np.nanmean
    values = join(samples[known], axis=1)
    return Expression(
        value=dict(zip(gene_id[known].tolist(), values.tolist(), strict=True)),
        path=config.table,
        columns=tuple(columns),
        unmeasured=int((~known).sum()),
    )


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
        raise DataError(
            f"all {len(label)} genes of {path} are {which} the threshold {threshold:g} (values from {values.min():g} "
            f"to {values.max():g}): set build.label.threshold between them, or to median"
        )
    return label
