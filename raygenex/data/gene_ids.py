"""Gene ids of tables and files: versions, repeats, and whether two sources name genes in one way."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.data.repeats import Repeat, first_repeat
from raygenex.errors import DataError

_VERSION = re.compile(r"(?<=\d{5})\.\d+(?=(_PAR_Y)?$)")


def check_unique_ids(gene_id: NDArray[np.object_], where: str) -> None:
    """Refuse gene ids that are there twice, by a `DataError` that names ``where``, the gene and both rows (from 1)."""
    if (repeat := first_repeat(lambda: [gene_id])) is not None:
        first, second = repeat.rows
        raise DataError(
            f"{where}: gene {repeat.id} is in rows {first + 1} and {second + 1}; keep one, or join them into one row"
        )


def strip_version(gene_id: str) -> str:
    """Return a gene id without its version: ENSG00000182378.15_PAR_Y becomes ENSG00000182378_PAR_Y."""
    return re.sub(r"(?<=.)\.\d+(?=(_PAR_Y)?$)", "", gene_id)


def version_twins(tables: Callable[[], Iterable[Sequence[str] | NDArray[Any]]]) -> Repeat | None:
    """Find the first two ids that differ by a version suffix alone, as `first_repeat` finds equal ones.

    A version is what follows a point behind at least five digits, as in ENSG00000182378.15: a worm's ZK1067.1 and
    ZK1067.2 are two genes.
    """
    return first_repeat(lambda: ([_VERSION.sub("", gene) for gene in ids] for ids in tables()))


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
