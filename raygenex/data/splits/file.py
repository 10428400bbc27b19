"""The split of a data set as a file of its own: which gene is in which split, and by which rule."""

import csv
import io
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.base import SPLITS
from raygenex.data.table_file import opened_table, read_table_file
from raygenex.data.tables import gene_column, shown, words
from raygenex.errors import DataError
from raygenex.files.json_file import parse_json
from raygenex.files.lines import LONGEST_LINE
from raygenex.files.locate import local_copy
from raygenex.files.whole import replace_text

COLUMNS = ("gene_id", "chrom", "group", "split")


_TITLE = "# raygenex split 1"


_RULE = "# rule: "


@dataclass(frozen=True)
class SplitTable:
    """Which split every gene is in, and by which rule; columns of str objects, shape ``(n,)``."""

    gene_id: NDArray[np.object_]
    chrom: NDArray[np.object_]
    """Empty where unknown."""
    group: NDArray[np.object_]
    """The unit that the rule kept together: a gene, chromosome, group or cluster; empty where unknown."""
    split: NDArray[np.object_]
    """train, valid or test; None for a gene that a split file does not name."""
    rule: dict[str, Any]
    """The section ``split`` of the configuration as it was applied."""

    @property
    def counts(self) -> dict[str, int]:
        """Genes of train, valid and test."""
        return {name: int((self.split == name).sum()) for name in SPLITS}


def write_split(table: SplitTable, path: str | Path, overwrite: bool = False) -> None:
    """Write a split file: tab-separated gene_id, chrom, group and split, below the rule as a comment.

    The file appears whole or not at all.

    Raises
    ------
    DataError
        If the file exists and may not be replaced, or cannot be written.
    """
    assert set(table.split) <= set(SPLITS), "a gene without a split"
    target = Path(path).absolute()
    if target.exists() and not overwrite:
        raise DataError(f"{path} exists already: give --force to replace it, or choose another path")
    out = io.StringIO()
    out.write(f"{_TITLE}\n{_RULE}{json.dumps(table.rule)}\n")
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(table.gene_id, table.chrom, table.group, table.split, strict=True))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_text(target, out.getvalue())
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}); make room there, or choose another path"
        ) from None


def read_split(path: str) -> SplitTable:
    """Read a split file, or any table with the columns gene_id and split.

    Parameters
    ----------
    path
        A local path or fsspec URL of a .tsv, .csv (also .gz) or .parquet file; chrom and group are read where they
        are there.

    Raises
    ------
    DataError
        If the file is missing or no table, a column is missing, a gene is there twice, or a split is none of train,
        valid and test.
    """
    rule = _rule(path)
    # Files of our own quote what holds a tab or a quote.
    table = read_table_file(path, quoted=rule is not None)
    gene_id = gene_column(table, path, "gene_id")
    if "split" not in table.columns:
        raise DataError(
            f"{path} has no column split; it has {shown(list(table.columns))}: name it so, with the values "
            f"{', '.join(SPLITS)}"
        )
    columns = {name: words(table[name]) if name in table else "" for name in COLUMNS[1:]}
    chrom, group, split = (np.full(len(gene_id), value, dtype=object) for value in columns.values())
    for gene, name in zip(gene_id, split, strict=True):
        if name not in SPLITS:
            raise DataError(f"{path}: the split of gene {gene} is {name!r}; write train, valid or test")
    return SplitTable(gene_id, chrom, group, split, rule or {"rule": "file", "file": path})


def apply_split(table: SplitTable, gene_id: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the splits of genes, str objects, shape ``(n,)``; None for a gene that the table does not have."""
    split = dict(zip(table.gene_id, table.split, strict=True))
    return np.array([split.get(gene) for gene in gene_id], dtype=object)


def _rule(path: str) -> dict[str, Any] | None:
    """Return the rule in the comments of a split file; None for a table from elsewhere."""
    if path.lower().endswith(".parquet"):
        return None
    try:
        with opened_table(local_copy(path)) as stream:
            if stream.readline(LONGEST_LINE).decode().rstrip("\r\n") != _TITLE:
                return None
            rule = stream.readline(LONGEST_LINE).decode()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        # Whoever reads the table says what is wrong with the file.
        return None
    try:
        return dict(parse_json(rule.removeprefix(_RULE)))
    except (ValueError, TypeError):
        raise DataError(
            f"{path}: its second line holds no rule; write the split again, or remove both comments"
        ) from None
