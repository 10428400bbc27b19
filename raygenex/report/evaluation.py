"""What `raygenex evaluate` measured, and the scores that its curves are drawn from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.report.dataset import DataFacts
from raygenex.report.files import read_json
from raygenex.stats.metrics import METRICS
from raygenex.stats.resamples import Interval

SPLITS = ("valid", "test")


class OfCheckpoint(Protocol):
    """Numbers of a split, which know the checkpoint that they are of."""

    @property
    def checkpoint_sha256(self) -> str:
        """The sha256 of its files."""


M = TypeVar("M", bound=OfCheckpoint)


@dataclass(frozen=True)
class LabelledScores:
    """Names, labels (0 or 1) and probabilities of the genes of a split, shape ``(n,)``."""

    gene_id: tuple[str, ...]
    label: NDArray[np.uint8]
    probability: NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """The numbers of one split."""

    split: str
    genes: int
    threshold: float
    confidence: float
    resamples: int
    metrics: dict[str, Interval]
    calibration_error: float
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """[[TN, FP], [FN, TP]]."""
    checkpoint_sha256: str
    fingerprints: tuple[str, ...]
    scores: LabelledScores | None = None
    """None if the labels are not to be had."""
    missing: str = ""
    """Why, a sentence without its full stop."""


def read_measured(folder: Path, checkpoint_sha256: str, data: DataFacts) -> tuple[dict[str, Measured], list[str]]:
    """Read what was measured of the label: see `read_splits`."""
    return read_splits(
        folder, checkpoint_sha256, _measured, lambda measured, path, again: _with_scores(measured, path, data, again)
    )


def read_splits(
    folder: Path,
    checkpoint_sha256: str,
    parse: Callable[[dict[str, Any]], M],
    complete: Callable[[M, Path, str], M],
) -> tuple[dict[str, M], list[str]]:
    """Read what was measured with a checkpoint.

    Parameters
    ----------
    folder
        That of the run.
    checkpoint_sha256
        The checkpoint.
    parse
        Makes the numbers of a split of its metrics.json.
    complete
        Adds what was predicted: takes the numbers, the table of predictions, and the command that makes both again.

    Returns
    -------
    The numbers by split, and a sentence for each split that was measured with another checkpoint.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    found: dict[str, M] = {}
    notes = []
    for split in SPLITS:
        part = folder / "evaluation" / split
        again = f"raygenex evaluate CONFIG --split {split} --force"
        measured = read_json(part / "metrics.json", again, parse)
        if measured is None:
            continue
        if measured.checkpoint_sha256 != checkpoint_sha256:
            notes.append(f"what was measured on {split} is of an earlier checkpoint and is left out")
            continue
        found[split] = complete(measured, part / "predictions.parquet", again)
    return found, notes


def _measured(values: dict[str, Any]) -> Measured:
    (tn, fp), (fn, tp) = values["confusion"]
    key = values["key"]
    return Measured(
        split=str(values["split"]),
        genes=int(values["genes"]),
        threshold=float(values["threshold"]),
        confidence=float(values["confidence"]),
        resamples=int(key["evaluate"]["bootstrap"]),
        metrics={name: Interval(**{end: float(x) for end, x in values["metrics"][name].items()}) for name in METRICS},
        calibration_error=float(values["calibration_error"]),
        confusion=((int(tn), int(fp)), (int(fn), int(tp))),
        checkpoint_sha256=str(key["checkpoint_sha256"]),
        fingerprints=tuple(map(str, key["fingerprints"])),
    )


def _with_scores(measured: Measured, path: Path, data: DataFacts, again: str) -> Measured:
    """Add the scores, where the labels that belong to them are here."""
    truth = data.truth.get(measured.split)
    reason = ""
    if truth is None:
        reason = data.missing or f"data.{measured.split} is not set in this configuration"
    elif truth.fingerprints != measured.fingerprints:
        reason = f"the files of {measured.split} are not those that were measured"
    elif not path.exists():
        reason = f"{path.name} is not in the folder"
    if truth is None or reason:
        return replace(measured, missing=reason)
    gene_id, probability = _predictions(path, again)
    label_of = dict(zip(truth.gene_id.tolist(), truth.label.tolist(), strict=True))
    try:
        label = np.array([label_of[gene] for gene in gene_id], dtype=np.uint8)
    except KeyError as error:
        raise DataError(f"{path} has gene {error}, which {measured.split} has not: run `{again}`") from None
    return replace(measured, scores=LabelledScores(tuple(gene_id), label, probability))


def _predictions(path: Path, again: str) -> tuple[list[str], NDArray[np.float64]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["gene_id", "probability"])
    except (pa.ArrowException, OSError):
        raise DataError(f"{path} is damaged: make it again with `{again}`") from None
    return table["gene_id"].to_pylist(), table["probability"].to_numpy().astype(np.float64)
