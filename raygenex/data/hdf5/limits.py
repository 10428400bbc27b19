"""What a promoter file may claim, and where its values may lie: in itself alone."""

from collections.abc import Mapping
from typing import Any

from raygenex.errors import DataError

MOST_BASES = 10_000_000
"""Bases of a promoter."""

MOST_CHUNK = 2**30
"""Bytes of a chunk, which is unpacked whole for each of its rows."""

MOST_TEXT = 4096
"""Bytes of each value of a field of text of fixed length."""


def check_stored(handle: Any, path: str, names: Mapping[str, str], size: int) -> None:
    """Refuse fields that lie in other files, or whose shape cannot be true; no values are read.

    Parameters
    ----------
    handle
        The open HDF5 file.
    path
        The file, for errors.
    names
        The name in the file of each field; its values are datasets.
    size
        Bytes of the file.

    Raises
    ------
    DataError
        If a field is a link to another file, is stored in one, or is made of others; if there are more rows than bytes
        in the file, more bases than `MOST_BASES`, or a piece is too large to be unpacked.
    """
    for name in names.values():
        refuse_foreign(handle, path, name)
        dataset = handle[name]
        shape = dataset.shape
        # Every gene has an id of its own, which takes a byte at the very least.
        if shape and shape[0] > size:
            raise DataError(
                f"{path}: {name} claims {shape[0]} rows, more than the file has bytes ({size}); write the file again"
            )
        if len(shape) == 3 and shape[1] > MOST_BASES:
            raise DataError(
                f"{path}: {name} claims {shape[1]} bases per gene; at most {MOST_BASES} are read: write less"
            )
        if dataset.dtype.kind == "S" and dataset.dtype.itemsize > MOST_TEXT:
            raise DataError(
                f"{path}: each value of {name} takes {dataset.dtype.itemsize} bytes; write text of varying length"
            )
        chunk = dataset.dtype.itemsize
        for length in dataset.chunks or ():
            chunk *= length
        if chunk > MOST_CHUNK:
            raise DataError(
                f"{path}: {name} is stored in pieces of {chunk} bytes, which would have to be unpacked whole; write it "
                "again in chunks of a few genes"
            )


def refuse_foreign(handle: Any, path: str, name: str) -> None:
    """Refuse a field whose values lie in another file, by a DataError; ``name`` may be below a group."""
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        link = handle.get("/".join(parts[:count]), getlink=True)
        if hasattr(link, "filename"):
            raise _foreign(path, name, link.filename)
    dataset = handle[name]
    if getattr(dataset, "external", None):
        raise _foreign(path, name, dataset.external[0][0])
    if getattr(dataset, "is_virtual", False):
        raise _foreign(path, name, next((source.file_name for source in dataset.virtual_sources()), "others"))


def _foreign(path: str, name: str, other: str) -> DataError:
    return DataError(
        f"{path}: the values of {name} lie in another file ({other}), which is not opened; write them into the file"
    )
