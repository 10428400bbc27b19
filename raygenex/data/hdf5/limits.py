"""What a promoter file may claim, how it may be packed, and where its values may lie: in itself alone."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from h5py import ExternalLink, Group, SoftLink, h5z

from raygenex.errors import DataError

MOST_BASES = 10_000_000
"""Bases of a promoter."""

MOST_CHUNK = 2**30
"""Bytes of a chunk, which is unpacked whole for each of its rows."""

MOST_TEXT = 4096
"""Bytes of each value of a field of text of fixed length."""

_MOST_LINKS = 100


class OwnItems(Mapping[str, Any]):
    """What an open HDF5 file, or a group of it, holds by name, without links that lead to another file or nowhere."""

    def __init__(self, group: Any) -> None:
        self._group = group

    def __getitem__(self, name: str) -> Any:
        if linked_file(self._group, name) is not None:
            raise KeyError(name)
        return self._group[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._group if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def check_stored(handle: Any, path: str, names: Iterable[str], size: int) -> None:
    """Refuse fields that lie in other files, cannot be unpacked, or whose shape cannot be true; no values are read.

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
        If a field is a link to another file, is stored in one, or is made of others; if it is packed by a filter that
        is not installed; if there are more rows than bytes in the file, more bases than `MOST_BASES`, or a piece is too
        large to be unpacked.
    """
    for name in names:
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
        _refuse_packed(dataset, path, name)


def refuse_foreign(handle: Any, path: str, name: str) -> None:
    """Refuse a name whose values lie in another file, by a DataError; no other file is opened.

    A name that is not there, or leads nowhere, is none of another file; ``name`` may be below a group.
    """
    if (other := linked_file(handle, name)) is not None:
        raise _foreign(path, name, other)
    dataset = handle.get(name)
    if getattr(dataset, "external", None):
        raise _foreign(path, name, dataset.external[0][0])
    if getattr(dataset, "is_virtual", False):
        raise _foreign(path, name, next((source.file_name for source in dataset.virtual_sources()), "others"))


def linked_file(group: Any, name: str) -> str | None:
    """Return the other file that a name leads to, through links of any kind; None if it stays in this one.

    HDF5 itself follows a link to another file wherever it is on the way, also on that of a soft link.
    """
    parts = name.split("/")
    for _ in range(_MOST_LINKS):
        parts = [part for part in parts if part not in ("", ".")]
        link = group.get(parts[0], getlink=True) if parts and isinstance(group, Group) else None
        if link is None or isinstance(link, ExternalLink):
            return None if link is None else str(link.filename)
        first, *parts = parts
        if isinstance(link, SoftLink):
            group = group.file if link.path.startswith("/") else group
            parts = [*link.path.split("/"), *parts]
        else:
            group = group[first]
    return None


def _refuse_packed(dataset: Any, path: str, name: str) -> None:
    """Refuse what is packed by a filter that is not installed."""
    stored = dataset.id.get_create_plist()
    for number, _, _, title in (stored.get_filter(place) for place in range(stored.get_nfilters())):
        if not h5z.filter_avail(number):
            known = f"{title.decode(errors='replace')}, " if title else ""
            raise DataError(
                f"{path}: {name} is packed by a filter that is not installed here ({known}number {number} of HDF5): "
                "where it is, write the file again with gzip, as `h5repack -f GZIP=4 old.h5 new.h5` does"
            )


def _foreign(path: str, name: str, other: str) -> DataError:
    return DataError(
        f"{path}: the values of {name} lie in another file ({other}), which is not opened; write them into the file"
    )
