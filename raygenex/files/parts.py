"""A folder of numbered parts with a manifest, as an embedding store and an explanation are.

The name of a part says which rows it holds: ``rows-00000064-00000128.parquet`` those from 64 to 127. It is written
aside and renamed, so a part is whole or absent; which rows are done is read from the names.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from raygenex.errors import CheckpointError
from raygenex.files import leftovers
from raygenex.files.json_file import load_json
from raygenex.files.whole import replace_text

MANIFEST = "manifest.json"

Manifest = TypeVar("Manifest", bound=BaseModel)


@dataclass(frozen=True)
class Part:
    """One file of a folder, and the rows that it holds."""

    path: str
    """Text, of which a folder of a hundred thousand parts needs less memory than of paths."""
    start: int
    stop: int


@dataclass(frozen=True)
class PartNames:
    """What the parts of a folder are called: ``PREFIX-START-STOP.ENDING``."""

    prefix: str
    ending: str

    def path(self, folder: Path, start: int, stop: int) -> Path:
        """Return the path of the part that holds the rows from ``start``, and before ``stop``."""
        return folder / f"{self.prefix}-{start:08d}-{stop:08d}.{self.ending}"

    def parts(self, folder: Path) -> list[Part]:
        """Return the parts in row order, damaged ones too; none of a folder that is not there."""
        pattern = re.compile(rf"{self.prefix}-(\d+)-(\d+)\.{self.ending}")
        names = os.listdir(folder) if folder.is_dir() else []
        matches = [match for name in names if (match := pattern.fullmatch(name))]
        parts = [Part(f"{folder}{os.sep}{match[0]}", int(match[1]), int(match[2])) for match in matches]
        return sorted(parts, key=lambda part: part.start)

    def remove_leftovers(self, folder: Path) -> None:
        """Remove the unfinished parts of processes that were killed while writing."""
        leftovers.remove_leftovers(folder)
        # What raygenex wrote aside before files had the names of `leftovers`, with the number of the process.
        earlier = re.compile(rf"\.{self.prefix}-\d+-\d+\.{self.ending}\.\d+")
        for path in folder.glob(f".{self.prefix}-*"):
            if earlier.fullmatch(path.name):
                path.unlink()


def gaps(parts: Iterable[Part], count: int) -> list[tuple[int, int]]:
    """Return the ranges of ``count`` rows, start and exclusive stop, that none of the parts, in row order, holds."""
    ranges = []
    reached = 0
    for part in parts:
        if part.start > reached:
            ranges.append((reached, part.start))
        reached = max(reached, part.stop)
    if reached < count:
        ranges.append((reached, count))
    return ranges


def cut(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut a range at multiples of ``step``, so that parts keep their names whatever was missing."""
    while start < stop:
        end = min((start // step + 1) * step, stop)
        yield start, end
        start = end


def read_manifest(kind: type[Manifest], folder: Path, what: str, upgrade: str, repair: str) -> Manifest | None:
    """Read the manifest of a folder; None where there is none.

    Parameters
    ----------
    kind
        Its class; the default of ``schema_version`` is the latest version that can be read.
    folder
        Where it is.
    what
        The folder, as messages name it.
    upgrade, repair
        What to do about a manifest of a later version, beside upgrading, and about a damaged one.

    Raises
    ------
    CheckpointError
        If it is damaged, or a later version of raygenex wrote it.
    """
    path = folder / MANIFEST
    try:
        values = load_json(path)
        if values.get("schema_version", 0) > kind.model_fields["schema_version"].default:
            raise CheckpointError(f"{what} was written by a later raygenex: upgrade, or {upgrade}")
        return kind.model_validate(values)
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError, ValidationError):
        raise CheckpointError(f"{path} is damaged: {repair}") from None


def write_manifest(folder: str | Path, manifest: BaseModel) -> None:
    """Write a manifest aside and rename it into place; the folder is made if it is not there."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    replace_text(Path(folder, MANIFEST), manifest.model_dump_json(indent=2) + "\n")


def changed_fields(there: BaseModel, here: BaseModel, words: Mapping[str, str]) -> list[str]:
    """Name, by ``words``, the fields in which two manifests differ, and the beginnings of their values."""
    values = [(word, getattr(there, field), getattr(here, field)) for field, word in words.items()]
    return [
        f"{word} ({str(mine)[:12]} there, {str(theirs)[:12]} here)" for word, mine, theirs in values if mine != theirs
    ]
