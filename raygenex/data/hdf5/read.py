"""Promoter files in HDF5: inspecting and reading them.

A file has four fields, one row per gene: ``gene_id`` (N,) text, ``halflife`` (N, 8) numbers, ``promoter`` (N, L, 4)
one-hot in the order A, C, G, T (all zero where the base is unknown) and ``label`` (N,) 0 or 1. Xpresso's names
``geneName`` and ``data`` are understood too. Files that `data build` wrote also say where each gene lies (``chrom``,
``tss``, ``strand``), and hold the user's own columns in the group ``extra``. The files of half-life features alone are
the same without ``promoter``: their window is 0, and their sequences are read as (N, 0). A handle lives no longer than
the call that opened it, so that everything else can travel between processes.
"""

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from raygenex import sequence
from raygenex.data.hdf5.attributes import halflife_scale, targets, text, window_first
from raygenex.data.hdf5.chunks import ChunkReader, NotPlainError, is_plain
from raygenex.data.hdf5.handle import MIB, opened, opened_known, reading
from raygenex.data.hdf5.limits import OwnItems, check_stored, refuse_foreign
from raygenex.data.hdf5.schema import (
    ACCEPTED_NAMES,
    EXTRA_GROUP,
    LOCATION_FIELDS,
    PROMOTER,
    SMALL_CHUNK_ROWS,
    TARGETS,
    GeneTable,
    Locations,
    PromoterFile,
    check_columns,
    check_field,
    check_unique,
    find_fields,
    one_hot_problem,
)
from raygenex.errors import DataError
from raygenex.files.locate import is_url, local_copy

logger = logging.getLogger(__name__)

CONTIGUOUS_CHUNK_BYTES = 8 * MIB


def inspect(path: str, require_label: bool = True) -> PromoterFile:
    """Read the metadata of a promoter file and check names, shapes and types; no values are read.

    Parameters
    ----------
    path
        A local path or an fsspec URL.
    require_label
        Whether a file without labels is an error.

    Returns
    -------
    What is known of the file, with an absolute path.

    Raises
    ------
    DataError
        If the file is missing, a folder, no HDF5 or truncated, a field is missing or of a wrong shape or type, fields
        differ in rows, or there are no rows.
    """
    path = path if is_url(path) else local_copy(path)
    with opened(path) as handle, reading(path):
        for name in (*chain.from_iterable(ACCEPTED_NAMES.values()), *LOCATION_FIELDS, EXTRA_GROUP, TARGETS):
            refuse_foreign(handle, path, name)
        fields = find_fields(OwnItems(handle), path, require_label)
        extra = _extra_names(handle, path, handle[fields["gene_id"]].shape)
        places = [name for name in LOCATION_FIELDS if getattr(handle.get(name), "shape", None) is not None]
        columns = [*fields.values(), *places, *(f"{EXTRA_GROUP}/{name}" for name in extra)]
        columns += [TARGETS] if getattr(handle.get(TARGETS), "shape", None) is not None else []
        check_stored(handle, path, columns, handle.id.get_filesize())
        for field, name in fields.items():
            check_field(path, field, name, handle[name].shape, handle[name].dtype)
        counts = {name: handle[name].shape[0] for name in fields.values()}
        promoter = handle[fields[PROMOTER]] if PROMOTER in fields else None
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise DataError(f"{path}: the fields differ in rows ({shown}); each needs one row per gene")
        rows, window = counts[fields["gene_id"]], 0 if promoter is None else int(promoter.shape[1])
        if rows == 0:
            raise DataError(f"{path} is empty: it has the fields but no genes; leave it out or write it again")
        itemsize = 0 if promoter is None else promoter.dtype.itemsize
        chunk_rows = SMALL_CHUNK_ROWS
        if promoter is not None:
            row_bytes = window * 4 * itemsize
            chunk_rows = promoter.chunks[0] if promoter.chunks else max(1, CONTIGUOUS_CHUNK_BYTES // row_bytes)
        return PromoterFile(
            path=path,
            rows=rows,
            window=window,
            chunk_rows=min(int(chunk_rows), rows),
            has_label="label" in fields,
            fields=fields,
            itemsize=itemsize,
            has_locations=_has_locations(handle, path, rows, strands=promoter is not None),
            extra=extra,
            first=window_first(handle, path),
            genome_build=text(handle, path, "genome_build"),
            halflife_scale=halflife_scale(handle, path),
            targets=targets(handle, path, rows),
        )


def read_table(file: PromoterFile) -> GeneTable:
    """Read and check the small columns of a whole file.

    Returns
    -------
    Gene ids, half-life features and labels of all rows.

    Raises
    ------
    DataError
        If a value is not usable (an empty or repeated gene id, a half-life feature that is NaN or infinite, a label
        other than 0 and 1), or the file is damaged.
    """
    with opened_known(file) as handle:
        table = _read_columns(handle, file, 0, file.rows)
    check_unique(file, table.gene_id)
    return table


def read_locations(file: PromoterFile) -> Locations | None:
    """Read where the genes of a file lie; None if the file does not say.

    Raises
    ------
    DataError
        If a TSS is below 0, a strand neither + nor -, or the file is damaged.
    """
    if not file.has_locations:
        return None
    with opened_known(file) as handle, reading(file.path, (0, file.rows), "chrom or strand"):
        chrom, tss = _stripped(handle["chrom"].asstr()[:]), handle["tss"][:].astype(np.int64)
        strand = _stripped(handle["strand"].asstr()[:]) if "strand" in handle else None
    # A number beyond int64 has become one too.
    if (wrong := np.flatnonzero(tss < 0)).size:
        raise DataError(f"{file.path}: the tss in row {wrong[0]} is {tss[wrong[0]]}; write it counted from 1")
    if strand is not None and (wrong := np.flatnonzero((strand != "+") & (strand != "-"))).size:
        raise DataError(f"{file.path}: the strand in row {wrong[0]} is {strand[wrong[0]]!r}; write + or -")
    return Locations(chrom, tss, strand)


def read_extra(file: PromoterFile, name: str) -> NDArray[Any]:
    """Read a column that the user added: float64 or str objects, shape ``(N,)``; ``name`` is one of ``file.extra``.

    Raises
    ------
    DataError
        If it is neither, or the file is damaged.
    """
    assert name in file.extra, name
    field = f"{EXTRA_GROUP}/{name}"
    with opened_known(file) as handle, reading(file.path, (0, file.rows), field):
        dataset = handle[field]
        if h5py.check_string_dtype(dataset.dtype):
            return dataset.asstr()[:]
        if dataset.dtype.kind not in "biuf":
            raise DataError(f"{file.path}: {field} is of type {dataset.dtype}, but must hold text or numbers")
        return dataset[:].astype(np.float64)


def read_targets(file: PromoterFile, name: str) -> NDArray[np.float32]:
    """Read one target of a whole file, shape ``(N,)``, NaN where nothing was measured; ``name`` is in its `targets`.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    place = [target.name for target in file.targets].index(name)
    with opened_known(file) as handle, reading(file.path, (0, file.rows), TARGETS), np.errstate(over="ignore"):
        # What float32 cannot hold is infinite there, and refused as such.
        return handle[TARGETS][:, place].astype(np.float32)


def read_rows(file: PromoterFile, start: int, stop: int, window: int | None = None) -> dict[str, NDArray[Any]]:
    """Read and check some rows.

    Parameters
    ----------
    file
        As returned by `inspect`.
    start, stop
        First row and the one after the last, counted from 0.
    window
        Bases to keep around the centre, cut like `raygenex.sequence.centre_crop`; 0 reads no bases, None keeps all.

    Returns
    -------
    ``gene_id`` (n,) str objects, ``sequence`` (n, window) uint8 base indices (of a file without promoters, (n, 0)),
    ``halflife`` (n, 8) float32 and, if the file has labels, ``label`` (n,) uint8.

    Raises
    ------
    DataError
        If ``window`` is longer than the promoters, a value is not usable, or the file is damaged.
    """
    window = _checked_window(file, window)
    with opened_known(file) as handle:
        return _read_block(handle, file, start, stop, window, _chunk_reader(handle, file, window))


def iter_rows(
    file: PromoterFile, start: int, stop: int, rows_per_block: int, window: int | None = None
) -> Iterator[dict[str, NDArray[Any]]]:
    """Read some rows block by block with one handle; memory is bounded by a block and the chunks it touches.

    Takes, yields and raises what `read_rows` does, for at least one row at once; the last block may be shorter.
    """
    assert rows_per_block >= 1, rows_per_block
    window = _checked_window(file, window)
    with opened_known(file) as handle:
        reader = _chunk_reader(handle, file, window)
        for first in range(start, stop, rows_per_block):
            yield _read_block(handle, file, first, min(first + rows_per_block, stop), window, reader)


def _has_locations(handle: h5py.File, path: str, rows: int, strands: bool) -> bool:
    present = [name for name in LOCATION_FIELDS if getattr(handle.get(name), "shape", None) == (rows,)]
    if not present:
        return False
    # Without promoters nothing depends on the strand, and published tables leave it out.
    needed = [name for name in LOCATION_FIELDS if strands or name != "strand" or "strand" in handle]
    if missing := [name for name in needed if name not in present]:
        raise DataError(
            f"{path} has {present[0]} but no {missing[0]} of {rows} rows; write all of chrom, tss and strand"
        )
    texts = all(h5py.check_string_dtype(handle[name].dtype) for name in present if name != "tss")
    if not texts or handle["tss"].dtype.kind not in "iu":
        raise DataError(f"{path}: chrom and strand must hold text and tss whole numbers; write the fields again")
    return True


def _extra_names(handle: h5py.File, path: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    group = handle.get(EXTRA_GROUP)
    if not isinstance(group, h5py.Group):
        return ()
    for name in group:
        refuse_foreign(handle, path, f"{EXTRA_GROUP}/{name}")
    return tuple(name for name, column in OwnItems(group).items() if getattr(column, "shape", None) == shape)


def _checked_window(file: PromoterFile, window: int | None) -> int:
    if window is None:
        return file.window
    if window > file.window:
        raise DataError(f"{file.path}: a window of {window} bases is longer than its promoters of {file.window} bases")
    return window


def _read_columns(handle: h5py.File, file: PromoterFile, start: int, stop: int) -> GeneTable:
    with reading(file.path, (start, stop), file.fields["gene_id"]):
        gene_id = _stripped(handle[file.fields["gene_id"]].asstr()[start:stop])
        with np.errstate(over="ignore"):
            # What float32 cannot hold is infinite there, and refused as such.
            halflife = handle[file.fields["halflife"]][start:stop].astype(np.float32)
        label = handle[file.fields["label"]][start:stop] if file.has_label else None
    table = GeneTable(gene_id, halflife, None if label is None else (label == 1).astype(np.uint8))
    check_columns(file, start, table, label)
    return table


def _stripped(names: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return names without the blanks around them: two that differ by these alone are one."""
    return np.array([name.strip() for name in names], dtype=object)


def _chunk_reader(handle: h5py.File, file: PromoterFile, window: int) -> ChunkReader | None:
    """Return what reads the middle ``window`` of promoters without HDF5's filters, where their file is plain enough."""
    if not window:
        return None
    with reading(file.path):
        dataset = handle[PROMOTER]
        return ChunkReader(dataset, sequence.crop_start(file.window, window), window) if is_plain(dataset) else None


def _read_block(
    handle: h5py.File, file: PromoterFile, start: int, stop: int, window: int, reader: ChunkReader | None
) -> dict[str, NDArray[Any]]:
    assert 0 <= start <= stop <= file.rows, (start, stop, file.rows)
    table = _read_columns(handle, file, start, stop)
    bases = _read_bases(handle, file, table, start, window, reader)
    block = {"gene_id": table.gene_id, "sequence": bases, "halflife": table.halflife}
    if table.label is not None:
        block["label"] = table.label
    return block


def _read_bases(
    handle: h5py.File, file: PromoterFile, table: GeneTable, start: int, window: int, reader: ChunkReader | None
) -> NDArray[np.uint8]:
    """Return the bases of the genes of ``table``, the first of which is in row ``start``."""
    stop = start + len(table.gene_id)
    if not window:
        return np.empty((stop - start, 0), dtype=np.uint8)
    if reader is not None:
        try:
            return reader.read(start, stop)
        except NotPlainError as reason:
            logger.debug("%s: rows %d to %d are read through HDF5: %s", file.path, start, stop - 1, reason)
    # The middle of sequence.centre_crop, cut while reading: the rest never enters memory.
    first = sequence.crop_start(file.window, window)
    with reading(file.path, (start, stop)):
        one_hot = handle[PROMOTER][start:stop, first : first + window]
    try:
        return sequence.from_one_hot(one_hot)
    except ValueError:
        # A file may hold more in a byte than true and false.
        values = one_hot.view(np.uint8) if one_hot.dtype == np.bool_ else one_hot
        raise DataError(one_hot_problem(file, table.gene_id, values, first)) from None
