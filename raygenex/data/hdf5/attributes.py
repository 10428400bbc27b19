"""What a promoter file says of all its genes, in attributes of the file."""

from typing import Any

import h5py
import numpy as np

from raygenex.data.hdf5.schema import HALFLIFE_SCALES
from raygenex.errors import DataError


def window_first(handle: h5py.File, path: str) -> int | None:
    """Return the offset of a promoter's first base from the TSS, in bases; None if the file does not say.

    Raises
    ------
    DataError
        If it is no whole number.
    """
    value = _attribute(handle, "window_first")
    if value is None:
        return None
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value != int(value):
        raise DataError(
            f"{path}: the attribute window_first is {value}; it must be a whole number, where the first base lies from "
            "the TSS"
        )
    return int(value)


def halflife_scale(handle: h5py.File, path: str) -> str:
    """Return how the lengths among the half-life features are scaled, one of `HALFLIFE_SCALES`.

    Raises
    ------
    DataError
        If it is none of them.
    """
    scale = text(handle, path, "halflife_scale")
    if scale is None:
        return HALFLIFE_SCALES[0]
    if scale not in HALFLIFE_SCALES:
        known = " or ".join(HALFLIFE_SCALES)
        raise DataError(f"{path}: the attribute halflife_scale is {scale!r}; it must be {known}")
    return scale


def text(handle: h5py.File, path: str, name: str) -> str | None:
    """Return an attribute that is text, of fixed or varying length; None if the file does not have it.

    Raises
    ------
    DataError
        If it is not text.
    """
    value = _attribute(handle, name)
    if isinstance(value, bytes):
        value = value.decode()
    if value is not None and not isinstance(value, str):
        raise DataError(f"{path}: the attribute {name} is {value}; it must be text")
    return None if value is None else str(value)


def _attribute(handle: h5py.File, name: str) -> Any:
    """Return an attribute, or None; some programs write a single value as an array of one."""
    value = handle.attrs.get(name)
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
