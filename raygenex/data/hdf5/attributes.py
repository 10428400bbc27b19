"""What a promoter file says of all its genes, in attributes of the file."""

from typing import Any, cast, get_args

import h5py
import numpy as np

from raygenex.config.targets import TargetKind
from raygenex.data.hdf5.schema import HALFLIFE_SCALES, TARGETS, Target
from raygenex.data.repeats import first_repeat
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


def targets(handle: h5py.File, path: str, rows: int) -> tuple[Target, ...]:
    """Return what the columns of the field `TARGETS` are; none if the file does not have it.

    Raises
    ------
    DataError
        If its shape does not fit, a column has no name or two have one, or a kind is none of a target.
    """
    field = handle.get(TARGETS)
    if getattr(field, "shape", None) is None:
        return ()
    if len(field.shape) != 2 or field.shape[0] != rows or field.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: {TARGETS} is of type {field.dtype} and shape {field.shape}, but must hold numbers, one row for "
            f"each of {rows} genes and one column per target"
        )
    found = {name: _texts(field, path, name) for name in ("names", "kinds", "units")}
    for name, values in found.items():
        if len(values) != field.shape[1] and (values or name != "units"):
            raise DataError(
                f"{path}: the attribute {name} of {TARGETS} has {len(values)} entries for {field.shape[1]} columns; "
                "write one for each"
            )
    if (twice := first_repeat(lambda: [found["names"]])) is not None:
        raise DataError(f"{path}: two columns of {TARGETS} are named {twice.id}; rename one of them")
    known = get_args(TargetKind)
    if wrong := next((kind for kind in found["kinds"] if kind not in known), None):
        raise DataError(f"{path}: {wrong} is not a kind of target: write one of {', '.join(known)}")
    units = found["units"] or [""] * field.shape[1]
    kinds = cast(list[TargetKind], found["kinds"])
    return tuple(Target(*parts) for parts in zip(found["names"], kinds, units, strict=True))


def _texts(field: h5py.Dataset, path: str, name: str) -> list[str]:
    """Return an attribute that is a list of texts; empty if there is none."""
    values = np.atleast_1d(field.attrs.get(name, []))
    found = [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]
    if any(not isinstance(value, str) for value in found):
        raise DataError(f"{path}: the attribute {name} of {field.name.strip('/')} must be a list of texts")
    return found


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
