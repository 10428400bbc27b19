"""The folder of an explanation: a manifest, and for each method parts named by their genes.

The part ``saliency/part-00000032-00000064.npz`` holds the explained genes 32 to 63. It is written aside and renamed,
so a part is whole or absent; which genes are done is read from the names.
"""

import contextlib
import errno
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from raygenex.config.run import RunConfig
from raygenex.config.targets import TargetKind
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import CheckpointError, RaygenexError
from raygenex.files.parts import Part, PartNames, changed_fields, gaps
from raygenex.files.parts import read_manifest as read_manifest_of
from raygenex.files.whole import whole_file
from raygenex.train.targets import TargetInfo

PARTS = PartNames("part", "npz")
SCORES = "scores"
"""The folder of what goes with every method: scores, labels and the output of the first dense layer."""
# What a damaged zip file raises, beside errors of values and of files.
_UNZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
# Names that become folders: none of them leads out of the folder of the explanation.
_FOLDER = r"^[A-Za-z][A-Za-z0-9_]*$"
_AGAIN = "run `raygenex explain` again, it adds what is missing"


class MethodRecord(BaseModel):
    """What is known of one method: what its numbers depend on, how far it is, and how well it did."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any] = Field(default_factory=dict)
    """What this method's numbers depend on beside the model and the data."""
    complete: bool = False
    genes: int = 0
    """Genes that are done."""
    seconds: float = 0.0
    """Time that the actors spent on them, summed over actors and runs."""
    largest_delta: float | None = None
    """Largest gap between the sum of a gene's attributions and the change of its logit, in logits."""
    unconverged: int | None = None
    """Genes whose gap is above ``explain.tolerance`` times that change and above ``FLOOR`` of
    `raygenex.explain.methods.integrated`."""


class ExplainedTarget(BaseModel):
    """Which target of a model of targets is explained, as its figures name it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: TargetKind
    title: str
    """Its name and the scale of its values, such as ``level, hours``."""
    unit: str
    """Of attributions: name and scale of what they share out, such as ``ln reads`` or ``high, logit``."""

    @classmethod
    def of(cls, target: TargetInfo) -> "ExplainedTarget":
        """Return what is kept of a model's target."""
        return cls(name=target.name, kind=target.kind, title=target.title, unit=target.additive_title)

    @property
    def is_quantity(self) -> bool:
        """Whether it has values in place of two classes."""
        return self.kind != "binary"


class ExplanationManifest(BaseModel):
    """What an explanation was made from, and what is in its folder."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    package_version: str
    checkpoint: str
    """The model as it was named: a registered one by its name, any other by its folder."""
    checkpoint_sha256: str
    run_name: str
    model_kind: str
    split: Annotated[str, Field(pattern=_FOLDER)]
    genes: int
    """Genes that are explained."""
    window: int
    """Bases of a promoter; 0 for a model that reads no DNA."""
    window_first: int
    """Where the window's first base lies, in bases from the TSS."""
    window_first_assumed: bool = False
    """Whether nothing said where the window lies, and it was taken as centred on the TSS."""
    threshold: float | None
    """Probability from which a gene is called high; None of a quantity."""
    target: ExplainedTarget | None = None
    """None of a model of the label, whose manifests do not have it."""
    features: tuple[str, ...] = HALFLIFE_FEATURES
    """What the model reads beside the DNA, in order; manifests of the eight half-life features do not have it."""
    confidence: float
    """Level of the intervals in the tables, such as 0.95."""
    fingerprints: list[str]
    """The sha256 of each file of the split."""
    methods: dict[Annotated[str, Field(pattern=_FOLDER)], MethodRecord] = Field(default_factory=dict)
    derived: str | None = None
    """What the tables and figures were made from, as a hash; None while they are not all there."""
    summary: dict[str, Any] | None = None
    """The numbers that the tables end in."""

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = values(self)
        if found.get("target", "") is None:
            del found["target"]
        if self.features == HALFLIFE_FEATURES:
            found.pop("features", None)
        return found

    def differences(self, other: "ExplanationManifest") -> list[str]:
        """Name, in words, everything that makes the other folder's numbers those of something else."""
        words = {
            "checkpoint_sha256": "checkpoint",
            "window": "window",
            "genes": "number of genes",
            "split": "split",
        }
        changes = changed_fields(self, other, words)
        names = ["the label" if one.target is None else one.target.name for one in (self, other)]
        if names[0] != names[1]:
            changes.append(f"target ({names[0]} there, {names[1]} here)")
        if self.fingerprints != other.fingerprints:
            changes.append(f"data of the {other.split} split")
        return changes


def folder_of(config: RunConfig) -> Path:
    """Return the folder of the configured split's explanation."""
    return Path(config.folder, "explain", config.explain.split)


def refuse_differences(folder: Path, differences: list[str]) -> None:
    """Raise a CheckpointError that names what a folder was made from otherwise, if anything."""
    if differences:
        raise CheckpointError(
            f"the explanation in {folder} is of another {' and another '.join(differences)}: "
            "pass --force to replace it, or use another name"
        )


def read_manifest(folder: Path) -> ExplanationManifest | None:
    """Read the manifest of an explanation; None where there is none.

    Raises
    ------
    CheckpointError
        If it is damaged, or a later version of raygenex wrote it.
    """
    what, upgrade = f"the explanation in {folder}", "pass --force to replace it"
    repair = "pass --force to `raygenex explain` to start again"
    return read_manifest_of(ExplanationManifest, folder, what, upgrade, repair)


def write_part(folder: Path, start: int, columns: Mapping[str, NDArray[Any]]) -> Path:
    """Write consecutive explained genes of one method.

    Parameters
    ----------
    folder
        The method's folder; made if it is not there.
    start
        Number of the first gene among those that are explained, from 0.
    columns
        Arrays with one entry per gene, among them ``gene_id``.

    Returns
    -------
    The part's path.
    """
    count = len(columns["gene_id"])
    assert all(len(column) == count for column in columns.values()), "one entry per gene in every column"
    folder.mkdir(parents=True, exist_ok=True)
    path = PARTS.path(folder, start, start + count)
    values = {name: _plain(column) for name, column in columns.items()}
    with whole_file(path, sweep=False) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **values)
    return path


def _plain(column: NDArray[Any]) -> NDArray[Any]:
    """Return text as fixed-width unicode, which needs no pickle, and numbers as they are."""
    return column.astype(str) if column.dtype.kind in "OT" else np.asarray(column)


def read_part(part: Part, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read one part, or the columns of it that are named; every byte that is read is checked against its checksum.

    Raises
    ------
    CheckpointError
        If it is damaged.
    """
    with _opened(part) as file:
        columns = {name: file[name] for name in file.files if names is None or name in names}
    if not columns or any(len(column) != part.stop - part.start for column in columns.values()):
        raise CheckpointError(f"{part.path} does not hold the genes of its name: {_AGAIN}")
    return columns


@contextlib.contextmanager
def _opened(part: Part) -> Iterator[Any]:
    try:
        with np.load(part.path, allow_pickle=False) as file:
            yield file
    except RaygenexError:
        raise
    except (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, *_UNZIP) as error:
        # The system numbers its errors; one of them may be of a place outside a file, which flipped bits name.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            error.filename = error.filename or part.path
            raise
        raise CheckpointError(f"{part.path} is damaged: {_AGAIN}") from None


def damaged_parts(folder: Path) -> list[Part]:
    """Return the parts of one method that cannot be read; every byte of all of them is."""
    damaged = []
    for part in PARTS.parts(folder):
        try:
            read_part(part)
        except CheckpointError:
            damaged.append(part)
    return damaged


def missing_ranges(folder: Path, genes: int, damaged: Collection[Part]) -> list[tuple[int, int]]:
    """Return the ranges of explained genes, of ``genes``, that no part of one method but the ``damaged`` holds."""
    return gaps((part for part in PARTS.parts(folder) if part not in damaged), genes)


def read_parts(folder: Path, genes: int | None = None, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read all parts of one method, or some of their columns, joined in the order of their genes.

    Without ``genes`` there must be as many as the last part says.

    Raises
    ------
    CheckpointError
        If there is no part, genes are missing or doubled, a part is damaged, or parts differ in their columns.
    """
    parts = PARTS.parts(folder)
    reached = 0
    for part in parts:
        if part.start > reached:
            raise CheckpointError(f"{folder} lacks the explained genes {reached} to {part.start - 1}: {_AGAIN}")
        if part.start < reached:
            raise CheckpointError(f"{part.path} holds genes that another part holds too: pass --force to start again")
        reached = part.stop
    if not parts or reached < (genes or 0):
        raise CheckpointError(f"{folder} holds {reached} of {genes or 'all'} explained genes: {_AGAIN}")
    columns = [read_part(part, names) for part in parts]
    for part, read in zip(parts, columns, strict=True):
        if set(read) != set(columns[0]):
            raise CheckpointError(f"{part.path} has other columns than {parts[0].path}: pass --force to start again")
    return {name: np.concatenate([read[name] for read in columns]) for name in columns[0]}


def column_names(folder: Path) -> set[str]:
    """Return the names of the columns of one method, from its first part.

    Raises
    ------
    CheckpointError
        If there is no part, or the first is damaged.
    """
    parts = PARTS.parts(folder)
    if not parts:
        raise CheckpointError(f"{folder} holds no explained genes: {_AGAIN}")
    with _opened(parts[0]) as file:
        return set(file.files)
