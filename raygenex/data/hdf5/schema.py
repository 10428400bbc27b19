"""What a promoter file holds: its fields, their values, and the sentences for what breaks them.

Everything here is about names, shapes and values; files are opened in `raygenex.data.hdf5.handle`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.targets import TargetKind
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.repeats import first_repeat
from raygenex.errors import DataError

PROMOTER = "promoter"
"""The field of the bases; a file of half-life features alone has none."""

ACCEPTED_NAMES: Mapping[str, tuple[str, ...]] = {
    "gene_id": ("gene_id", "geneName"),
    "halflife": ("halflife", "data"),
    "promoter": (PROMOTER,),
    "label": ("label",),
}
"""Our name of each field, and the names it may have in a file: ours, then that of Xpresso's files."""

SHAPES: Mapping[str, str] = {
    "gene_id": "(N,)",
    "halflife": f"(N, {len(HALFLIFE_FEATURES)})",
    "promoter": "(N, L, 4)",
    "label": "(N,)",
}

LOCATION_FIELDS = ("chrom", "tss", "strand")
"""Optional fields, one value per gene: all of them or none; in a file without promoters, strand may be absent."""

EXTRA_GROUP = "extra"
"""The group that holds the columns the user added, one dataset each."""

TARGETS = "targets"
"""The field of the measured quantities, float32 (N, T), NaN where there is none; its attributes name them."""

HALFLIFE_SCALES = ("z-score", "log10")
"""Values of the file attribute ``halflife_scale``; a file without it is taken for ``z-score``, as published."""

SMALL_CHUNK_ROWS = 1024
"""Rows of the small columns that are stored together."""

_KINDS: Mapping[str, str] = {"halflife": "fiu", "promoter": "biuf", "label": "biuf"}


@dataclass(frozen=True)
class Target:
    """A quantity that files hold for genes."""

    name: str
    kind: TargetKind
    unit: str = ""

    @property
    def scale(self) -> str:
        """Its kind and its unit, in words."""
        return f"{self.kind} in {self.unit}" if self.unit else self.kind


@dataclass(frozen=True)
class PromoterFile:
    """What is known of one promoter file from its metadata; small and picklable."""

    path: str
    """Absolute local path, or URL."""
    rows: int
    """Genes in the file, at least 1."""
    window: int
    """Bases per promoter; 0 in a file without promoters."""
    chunk_rows: int
    """Rows that are stored, and so best read, together."""
    has_label: bool
    """Whether the file has labels."""
    fields: Mapping[str, str]
    """The name in the file of each field that it has."""
    itemsize: int
    """Bytes per stored one-hot value; 0 in a file without promoters."""
    has_locations: bool = False
    """Whether the file says where its genes lie (`Locations`)."""
    extra: tuple[str, ...] = ()
    """Names of the columns that the user added."""
    first: int | None = None
    """Offset of a promoter's first base from the TSS, in bases on the gene's strand; None if the file does not say."""
    genome_build: str | None = None
    """The genome that the promoters come from; None if the file does not say."""
    halflife_scale: str = "z-score"
    """How the lengths among the half-life features are scaled: see `raygenex.data.features`."""
    targets: tuple[Target, ...] = ()
    """The columns of the field `TARGETS`, in its order."""

    @property
    def stored_row_bytes(self) -> int:
        """Bytes of one row's one-hot promoter when uncompressed: what reading a row costs in memory; 0 without one."""
        return self.window * 4 * self.itemsize

    def rows_within(self, n_bytes: int) -> int:
        """Return how many rows (at least 1, at most all) can be read at once in about ``n_bytes`` of memory."""
        row_bytes = self.stored_row_bytes or 4 * len(HALFLIFE_FEATURES)
        return max(1, min(self.rows, n_bytes // row_bytes))


@dataclass(frozen=True)
class Locations:
    """Where genes lie on the genome; one value per gene."""

    chrom: NDArray[np.object_]
    """Chromosome names of the genome, str."""
    tss: NDArray[np.int64]
    """Transcription start sites, counted from 1 as in annotations."""
    strand: NDArray[np.object_] | None
    """``+`` or ``-``; None where it is not known, of genes without promoters."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns by the name that they have in files, those of `LOCATION_FIELDS` that are known."""
        return {name: values for name in LOCATION_FIELDS if (values := getattr(self, name)) is not None}


@dataclass(frozen=True)
class GeneTable:
    """The small columns of a file, whole."""

    gene_id: NDArray[np.object_]
    """Gene ids, str, shape ``(N,)``."""
    halflife: NDArray[np.float32]
    """Half-life features in the order of `HALFLIFE_FEATURES`, shape ``(N, 8)``, finite."""
    label: NDArray[np.uint8] | None
    """0 low, 1 high, shape ``(N,)``; None if the file has no labels."""


def find_fields(handle: Mapping[str, Any], path: str, require_label: bool) -> dict[str, str]:
    """Find the name in a file of each field.

    A file without labels, or without promoters and anything that looks like them, lacks the field here too.

    Parameters
    ----------
    handle
        The open file: a mapping of names to datasets (which have a shape) and groups (which have none).
    path
        The file, for errors.
    require_label
        Whether ``label`` must be there.

    Raises
    ------
    DataError
        If a field is missing; the message names it, the accepted names and what the file has.
    """
    fields = {}
    for field, names in ACCEPTED_NAMES.items():
        stored = next((name for name in names if getattr(handle.get(name), "shape", None) is not None), None)
        if stored is not None:
            fields[field] = stored
        elif field == PROMOTER and not _looks_like_promoters(handle):
            continue
        elif field != "label" or require_label:
            present = ", ".join(sorted(handle)) or "no fields"
            raise DataError(
                f"{path} has no field {' or '.join(names)}, which must be {SHAPES[field]}; "
                f"the file has {present}: rename the field that holds it or write it"
            )
    return fields


def check_field(path: str, field: str, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check the shape and type of one field, by our name of it and its name in the file.

    Raises
    ------
    DataError
        If the shape is not the one in `SHAPES`, or the type cannot hold such values.
    """
    width_ok = {"halflife": shape[1:] == (len(HALFLIFE_FEATURES),), "promoter": len(shape) == 3 and shape[-1] == 4}
    if not width_ok.get(field, len(shape) == 1):
        message = f"{path}: {name} has shape {shape}, but must be {SHAPES[field]}"
        if field == "promoter" and len(shape) == 3 and shape[1] == 4:
            message += "; this one looks like (N, 4, L): swap the last two axes"
        elif field == "halflife":
            message += f": one column each for {', '.join(HALFLIFE_FEATURES)}"
        else:
            message += "; write the file again in this shape"
        raise DataError(message)
    if field == "promoter" and shape[1] == 0:
        raise DataError(f"{path}: {name} has shape {shape}, so promoters of no bases; write the file again")
    suitable = _is_text(dtype) if field == "gene_id" else dtype.kind in _KINDS[field]
    if not suitable:
        wanted = "text" if field == "gene_id" else "numbers"
        raise DataError(f"{path}: {name} is of type {dtype}, but must hold {wanted}; write the field again")


def check_columns(file: PromoterFile, start: int, table: GeneTable, label: NDArray[Any] | None) -> None:
    """Check the values of some rows' small columns.

    Parameters
    ----------
    file
        Where they come from.
    start
        Row of the first one, counted from 0.
    table
        The columns.
    label
        The labels as they were stored, before they became uint8.

    Raises
    ------
    DataError
        If a gene id is empty, a half-life feature NaN or infinite, or a label neither 0 nor 1.
    """
    if (empty := np.flatnonzero(table.gene_id == "")).size:
        raise DataError(f"{file.path}: the gene id of row {start + empty[0]} is empty; give every gene an id")
    if (bad := np.argwhere(~np.isfinite(table.halflife))).size:
        row, column = bad[0]
        raise DataError(
            f"{file.path}: {HALFLIFE_FEATURES[column]} of gene {table.gene_id[row]} (row {start + row}) is "
            f"{table.halflife[row, column]}; fill in the half-life feature or leave the gene out"
        )
    if label is not None and (wrong := np.flatnonzero((label != 0) & (label != 1))).size:
        row = wrong[0]
        raise DataError(
            f"{file.path}: the label of gene {table.gene_id[row]} (row {start + row}) is {label[row]}; "
            "labels must be 0 (low) or 1 (high)"
        )


def check_target(where: str, target: Target, gene_id: NDArray[np.object_], values: NDArray[np.float32]) -> None:
    """Check that values ``(N,)``, NaN where nothing was measured, are of a target's kind.

    Raises
    ------
    DataError
        Naming ``where`` they are, the first gene whose value is not, and what it must be.
    """
    known = ~np.isnan(values)
    wrong, rule = np.isinf(values), "must be finite"
    if target.kind == "binary":
        wrong, rule = known & (values != 0) & (values != 1), "must be 0 or 1 in a binary target"
    elif target.kind == "counts":
        wrong, rule = wrong | (known & (values < 0)), "must not be below 0, or infinite, in a target of counts"
    if (rows := np.flatnonzero(wrong)).size:
        row = rows[0]
        raise DataError(f"{where}: {target.name} of gene {gene_id[row]} is {values[row]:g}; it {rule}")


def check_unique(file: PromoterFile, gene_id: NDArray[np.object_]) -> None:
    """Check that no gene is in a file twice.

    Raises
    ------
    DataError
        Naming the gene and both of its rows.
    """
    if (repeat := first_repeat(lambda: [gene_id])) is not None:
        first, second = repeat.rows
        raise DataError(f"{file.path}: gene {repeat.id} is in rows {first} and {second}; keep one of them")


def one_hot_problem(file: PromoterFile, genes: NDArray[np.object_], one_hot: NDArray[Any], first: int) -> str:
    """Say which value makes a promoter other than one-hot.

    Parameters
    ----------
    file
        Where the promoters come from.
    genes
        Gene ids, shape ``(n,)``.
    one_hot
        Shape ``(n, window, 4)``; at least one value or position is wrong.
    first
        Position in the file of the first base of ``one_hot``.

    Returns
    -------
    A sentence that names file, gene, position (counted from 0 in the file) and value.
    """
    stray = (one_hot != 0) & (one_hot != 1)
    hot = (one_hot == 1).sum(axis=-1)
    row, position = np.argwhere(stray.any(axis=-1) | (hot > 1))[0]
    here = f"{file.path}: the promoter of gene {genes[row]} at position {first + position}"
    rule = "a position is one 1 and three 0, or four 0 where the base is unknown"
    if stray[row, position].any():
        return f"{here} holds the value {one_hot[row, position][stray[row, position]][0]}; {rule}"
    count = {2: "two", 3: "three", 4: "four"}[int(hot[row, position])]
    return f"{here} has {count} bases that are hot at once; {rule}"


def _looks_like_promoters(handle: Mapping[str, Any]) -> bool:
    """Whether a file has something of three axes, such as promoters under another name."""
    return any(len(getattr(item, "shape", None) or ()) == 3 for item in handle.values())


def _is_text(dtype: np.dtype[Any]) -> bool:
    # Strings of varying length are Python objects to numpy; the file format keeps their type next to it.
    metadata: Mapping[str, Any] = dtype.metadata or {}
    return dtype.kind == "S" or (dtype.kind == "O" and metadata.get("vlen") in (str, bytes))
