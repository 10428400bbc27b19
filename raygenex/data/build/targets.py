"""From tables of measured quantities to the targets of a data set: one value per gene, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import TargetTableConfig
from raygenex.config.targets import LABEL
from raygenex.data.build.labels import join_samples
from raygenex.data.gene_ids import match_genes
from raygenex.data.hdf5.schema import Target, check_target
from raygenex.data.repeats import first_repeat
from raygenex.data.table_file import read_table_file
from raygenex.data.tables import choose_columns, gene_column, numbers
from raygenex.errors import DataError


@dataclass(frozen=True)
class BuiltTarget:
    """A target, and its values by gene id; a gene that was not measured has none."""

    target: Target
    values: Mapping[str, float]
    table: str
    ids: frozenset[str]
    """All gene ids of the table."""

    def of(self, gene_id: Sequence[str] | NDArray[np.object_]) -> NDArray[np.float32]:
        """Return the values of genes, shape ``(N,)``, NaN where there is none."""
        return np.array([self.values.get(gene, np.nan) for gene in gene_id], dtype=np.float32)

    def count(self, gene_id: Sequence[str] | NDArray[np.object_]) -> int:
        """Return how many of the genes have a value."""
        return sum(gene in self.values for gene in gene_id)

    def check(self, gene_id: NDArray[np.object_], where: str) -> None:
        """Check that the table is of these genes, named by ``where``, and that the values fit the target's kind.

        Raises
        ------
        DataError
            If the table has fewer than half of the genes, or a value is none of the target's kind.
        """
        matched = match_genes(gene_id.tolist(), dict.fromkeys(sorted(self.ids)), where, self.table)
        if 2 * matched < len(gene_id):
            raise DataError(
                f"{self.table} has {matched} of the {len(gene_id)} genes of {where}, fewer than half: use a table of "
                "the same kind of gene ids"
            )
        check_target(self.table, self.target, gene_id, self.of(gene_id))


def read_target_tables(configs: Sequence[TargetTableConfig], strip_versions: bool) -> list[BuiltTarget]:
    """Read the tables of ``build.targets``.

    Raises
    ------
    DataError
        If a table cannot be read, a gene is in it twice, a column is missing or holds what is not a number, or two
        targets have one name, or one has that of the label.
    """
    found: list[BuiltTarget] = []
    # Several sections may take columns of one table.
    read = cache(read_table_file)
    for config in configs:
        table = read(config.table)
        gene_id = gene_column(table, config.table, config.gene_column, strip_versions, "build.targets.gene_column")
        columns = choose_columns(table, config.table, config.columns, config.gene_column, "build.targets.columns")
        samples = np.stack([numbers(table, config.table, column, gene_id) for column in columns], axis=1)
        if config.name is not None:
            known = ~np.isnan(samples).all(axis=1)
            joined = np.full(len(samples), np.nan)
            joined[known] = join_samples(samples[known], config.aggregate)
            columns, samples = [config.name], joined[:, None]
        for place, name in enumerate(columns):
            known = ~np.isnan(samples[:, place])
            values = dict(zip(gene_id[known].tolist(), samples[known, place].tolist(), strict=True))
            found.append(
                BuiltTarget(Target(name, config.kind, config.unit), values, config.table, frozenset(gene_id.tolist()))
            )
    names = [target.target.name for target in found]
    if (twice := first_repeat(lambda: [names])) is not None or LABEL in names:
        name = LABEL if twice is None else twice.id
        raise DataError(f"build.targets has two targets named {name}, the label among them: rename one by name")
    return found


def target_matrix(targets: Sequence[BuiltTarget], gene_id: NDArray[np.object_]) -> NDArray[np.float32]:
    """Return the values of all targets ``(N, T)``, NaN where a gene has none."""
    return cast(NDArray[np.float32], np.stack([target.of(gene_id) for target in targets], axis=1))
