"""Genes that come as a table or as arrays, checked against the model that scores them."""

import reprlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from raygenex.data.features import HALFLIFE_FEATURES, features_in_words
from raygenex.errors import DataError
from raygenex.sequence import UNKNOWN, from_one_hot, from_string

if TYPE_CHECKING:
    import pandas as pd


def read_table(
    table: "pd.DataFrame", window: int, features: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Read genes from a table with a column ``sequence`` and one per feature.

    Parameters
    ----------
    table
        One row per gene.
    window
        Bases that the model reads; with 0 the column ``sequence`` is not looked at.
    features
        What it reads beside them.

    Returns
    -------
    Base indices, shape ``(genes, window)``, and features, shape ``(genes, features)``.

    Raises
    ------
    DataError
        If a column is missing, or a value does not fit; one sentence that names the row, counted from 0.
    """
    wanted = [*(["sequence"] if window else []), *features]
    if missing := [name for name in wanted if name not in table.columns]:
        raise DataError(f"the table lacks the columns {', '.join(missing)}: add them")
    if repeated := [name for name in wanted if (table.columns == name).sum() > 1]:
        raise DataError(f"the table has the column {repeated[0]} more than once: keep one")
    codes = np.empty((len(table), window), dtype=np.uint8)
    for row, text in enumerate(table["sequence"] if window else ()):
        # A table that came as JSON or CSV has NaN where there was nothing.
        if text is None or (isinstance(text, float) and np.isnan(text)):
            raise DataError(f"row {row}: the sequence is missing: give {window} DNA letters")
        if not isinstance(text, str):
            raise DataError(f"row {row}: the sequence is {reprlib.repr(text)}, not a string of DNA letters")
        if len(text) != window:
            raise DataError(f"row {row}: the model reads {window} bases and this sequence has {len(text)}")
        try:
            codes[row] = from_string(text)
        except ValueError as error:
            raise DataError(f"row {row}: {error}") from None
    return codes, _usable(table[list(features)].to_numpy(na_value=np.nan), features)


def read_arrays(
    sequence: NDArray[Any] | None, halflife: NDArray[Any], window: int, features: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Read genes from arrays, as `read_table` does from a table.

    ``sequence`` is base indices, shape ``(genes, window)``, or one-hot, shape ``(genes, window, 4)``; with a ``window``
    of 0 it is not looked at. ``halflife`` is ``features`` in their own units, shape ``(genes, features)``.
    """
    values = np.asarray(halflife)
    if values.ndim != 2 or values.shape[1] != len(features):
        raise DataError(
            f"halflife has shape {values.shape}: give one row per gene and one column for each of {', '.join(features)}"
        )
    if not window:
        codes = np.empty((len(values), 0), dtype=np.uint8)
    elif sequence is None:
        raise DataError("sequence is None and the model reads promoters: give base indices or one-hot rows")
    else:
        codes = _base_indices(np.asarray(sequence), window)
    if len(codes) != len(values):
        raise DataError(f"sequence has {len(codes)} rows and halflife {len(values)}: give one row per gene in both")
    return codes, _usable(values, features)


def _base_indices(sequence: NDArray[Any], window: int) -> NDArray[np.uint8]:
    """Check base indices or one-hot, and return base indices of shape ``(genes, window)``."""
    if sequence.ndim not in (2, 3) or sequence.shape[1] != window:
        raise DataError(
            f"the model reads {window} bases and sequence has shape {sequence.shape}: give (genes, {window}) base "
            f"indices or (genes, {window}, 4) one-hot"
        )
    if sequence.dtype.kind not in "biuf":
        raise DataError(f"sequence holds values of type {sequence.dtype}: give numbers")
    if sequence.ndim == 3:
        try:
            return from_one_hot(sequence)
        except ValueError as error:
            raise DataError(f"sequence is not one-hot: {error}") from None
    if not np.issubdtype(sequence.dtype, np.integer):
        raise DataError(f"sequence has numbers of type {sequence.dtype}: give base indices as whole numbers 0 to 4")
    bad = np.argwhere((sequence < 0) | (sequence > UNKNOWN))
    if len(bad):
        row, position = bad[0]
        value = sequence[row, position]
        raise DataError(f"row {row}: {value} at position {position} is not a base index: use 0 to {UNKNOWN}")
    return sequence.astype(np.uint8)


def _usable(values: NDArray[Any], features: Sequence[str]) -> NDArray[np.float32]:
    """Return features as float32; those beyond the eight of half-life may be missing."""
    try:
        with np.errstate(over="ignore"):
            found = values.astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        kind = features_in_words(features).removesuffix("s")
        raise DataError(f"a {kind} is not a number: give numbers in {', '.join(features)}") from None
    may_lack = np.array([name not in HALFLIFE_FEATURES for name in features])
    if (wrong := np.argwhere(~np.isfinite(found) & ~(np.isnan(found) & may_lack))).size:
        row, column = wrong[0]
        kind = features_in_words(features[column : column + 1]).removesuffix("s")
        raise DataError(f"row {row}: {kind} {features[column]} is not a finite number")
    return found
