"""Motifs as base frequencies, read from and written to MEME's minimal text format."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.files.whole import replace_text

_SUM = 0.02
"""Frequencies of a position may miss 1 by so much: files are written with few digits."""

_HEAD = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\n"


def read_meme(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """Read the motifs of a MEME file.

    Returns
    -------
    Frequencies of A, C, G, T by name, shape ``(length, 4)``, each position's made to sum to 1; in the file's order.

    Raises
    ------
    DataError
        If the file cannot be read, is not of DNA, has no motif, a motif twice, or a matrix that is not one.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): name a MEME file that is there") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file: name one in MEME's minimal format") from None
    motifs: dict[str, list[list[float]]] = {}
    name, inside = None, False
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if line.startswith("ALPHABET=") and line.split("=")[1].strip() != "ACGT":
            raise DataError(f"{path}, line {number}: the alphabet is not ACGT: give motifs of DNA")
        if fields[:1] == ["MOTIF"]:
            name, inside = " ".join(fields[1:]), False
            if not name or name in motifs:
                raise DataError(f"{path}, line {number}: a motif has no name or one that was there before: rename it")
            motifs[name] = []
        elif line.startswith("letter-probability matrix") and name is not None:
            inside = True
        elif inside and name is not None:
            # The matrix ends at the first line that is not a row of numbers: a blank, URL, or the next motif.
            if not fields or not _is_number(fields[0]):
                inside = False
            else:
                motifs[name].append(_row(fields, f"{path}, line {number}"))
    if not motifs:
        raise DataError(f"{path} has no line that starts with MOTIF: name a file in MEME's minimal format")
    if empty := [name for name, rows in motifs.items() if not rows]:
        raise DataError(f"{path}: the motif {empty[0]} has no letter-probability matrix: add it or leave the motif out")
    return {name: _normalised(rows) for name, rows in motifs.items()}


def write_meme(path: Path, motifs: Mapping[str, NDArray[np.floating]], sites: Mapping[str, int]) -> None:
    """Write motifs in MEME's minimal format; frequencies of A, C, G, T, shape ``(length, 4)``, have 6 digits."""
    parts = [f"{_HEAD}A 0.25 C 0.25 G 0.25 T 0.25\n"]
    for name, frequency in motifs.items():
        head = f"letter-probability matrix: alength= 4 w= {len(frequency)} nsites= {sites[name]} E= 0"
        rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in frequency)
        parts.append(f"\nMOTIF {name}\n{head}\n{rows}\n")
    replace_text(path, "".join(parts))


def _row(fields: list[str], where: str) -> list[float]:
    row = [float(field) for field in fields if _is_number(field)]
    if len(fields) != 4 or len(row) != 4:
        raise DataError(f"{where}: {len(fields)} columns, of which {len(row)} are numbers, should be 4 frequencies")
    if min(row) < 0 or abs(sum(row) - 1) > _SUM:
        raise DataError(
            f"{where}: the frequencies of a position should be 0 to 1 and sum to 1, they sum to {sum(row):g}"
        )
    return row


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _normalised(rows: list[list[float]]) -> NDArray[np.float64]:
    frequency = np.array(rows, dtype=np.float64)
    return frequency / frequency.sum(axis=1, keepdims=True)
