"""The table of effects, written row group by row group: Parquet, CSV or TSV."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from raygenex.errors import ConfigError
from raygenex.train.targets import TargetInfo

SUFFIXES = (".parquet", ".csv", ".tsv")

COLUMNS: Mapping[str, str] = {
    "variant_id": "string",
    "chrom": "string",
    "pos": "int64",
    "ref": "string",
    "alt": "string",
    "gene_id": "string",
    "strand": "string",
    "position": "int64",
    "kind": "string",
    "ref_match": "bool",
    "logit_ref": "float64",
    "logit_alt": "float64",
    "delta_logit": "float64",
    "probability_ref": "float64",
    "probability_alt": "float64",
    "delta_probability": "float64",
    "prediction_ref": "int8",
    "prediction_alt": "int8",
    "note": "string",
}
"""Columns of the table and their types; a prediction is null where there is no logit."""

_CALLED = [name for name in COLUMNS if name.startswith(("logit_", "probability_", "prediction_", "delta_"))]


def columns_for(targets: Sequence[TargetInfo]) -> dict[str, str]:
    """Return the columns of the table for the targets of a model, `COLUMNS` for none.

    A binary target ``NAME`` has those that tell of the label behind ``NAME_``; another one has ``NAME_ref``,
    ``NAME_alt`` and ``NAME_delta``.

    Raises
    ------
    ConfigError
        If two targets would have a column of one name.
    """
    if not targets:
        return dict(COLUMNS)
    found = {name: kind for name, kind in COLUMNS.items() if name not in (*_CALLED, "note")}
    for target in targets:
        if target.kind == "binary":
            own = {f"{target.name}_{name}": COLUMNS[name] for name in _CALLED}
        else:
            own = {f"{target.name}_{end}": "float64" for end in ("ref", "alt", "delta")}
        if twice := found.keys() & own.keys():
            raise ConfigError(
                f"two targets of the model would have the column {min(twice)}: train it with other names of targets"
            )
        found |= own
    return found | {"note": COLUMNS["note"]}


class TableWriter:
    """Writes rows into a new file of one of the kinds in `SUFFIXES`; a context manager."""

    def __init__(self, path: Path, suffix: str, columns: Mapping[str, str] = COLUMNS) -> None:
        assert suffix in SUFFIXES, suffix
        self._path, self._suffix, self._columns = path, suffix, columns

    def __enter__(self) -> Self:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._suffix == ".parquet":
            self._schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in self._columns.items()])
            self._parquet = pq.ParquetWriter(self._path, self._schema)
        else:
            self._file = self._path.open("w", newline="", encoding="utf-8")
            separator = "," if self._suffix == ".csv" else "\t"
            self._rows = csv.writer(self._file, delimiter=separator, lineterminator="\n")
            self._rows.writerow(self._columns)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        (self._parquet if self._suffix == ".parquet" else self._file).close()

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows: the values of all columns, as lists of plain values or as arrays of one length."""
        import pyarrow as pa

        if self._suffix == ".parquet":
            self._parquet.write_table(pa.table({name: columns[name] for name in self._columns}, schema=self._schema))
            return
        lists = [_plain(columns[name]) for name in self._columns]
        self._rows.writerows([_text(value) for value in row] for row in zip(*lists, strict=True))


def _plain(column: Any) -> list[Any]:
    """Return the values of a list, of a numpy array or of one of Arrow as those of Python."""
    if isinstance(column, np.ndarray):
        return column.tolist()
    return column if isinstance(column, list) else column.to_pylist()


def _text(value: Any) -> str:
    """Return a value as text: a float so that it reads back the same, nothing for NaN and null."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
