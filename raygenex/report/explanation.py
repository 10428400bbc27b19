"""What `raygenex explain` found out about a model, as its figures need it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.genes import UNLABELLED
from raygenex.explain.parts import ExplanationManifest, read_manifest, read_parts
from raygenex.explain.results.feature_importance import Importance
from raygenex.explain.results.figure_words import METHOD_NAMES
from raygenex.explain.results.profile import Profile, TopPositions
from raygenex.explain.results.projection import Projection
from raygenex.explain.results.words import LABEL_WORDS, Words, words_of
from raygenex.report.files import numbers, read_arrays, read_json, read_table

_AGAIN = "raygenex explain CONFIG"
_GROUPS = ("all", "high", "low")
_TABLES = {
    "Agreement of methods": Path("agreement.csv"),
    "Motifs": Path("motifs", "motifs.csv"),
    "Known motifs they fit": Path("motifs", "matches.csv"),
}


@dataclass(frozen=True)
class Logo:
    """The logo of one stretch of a promoter, or of a motif."""

    path: Path
    """An SVG file."""
    title: str


@dataclass(frozen=True)
class Explanation:
    """What is in the folder of one split; None, or empty, for what is not."""

    manifest: ExplanationManifest
    projection: Projection | None
    profiles: dict[str, dict[str, Profile]]
    """By method and group of genes."""
    tops: dict[str, TopPositions]
    """By method."""
    halflife: NDArray[np.float32] | None
    """Shapley values, shape ``(n, f)``."""
    importance: Importance | None
    halflife_genes: NDArray[np.str_] | None
    """Their genes, shape ``(n,)``."""
    logos: tuple[Logo, ...]
    tables: dict[str, list[dict[str, str]]]
    """Rows of what is shown as a table, by its title."""
    captions: dict[str, str]
    """By name of the figure, as `raygenex.explain.results.draw` wrote them."""


def read_explanations(
    folder: Path, checkpoint_sha256: str, fingerprints: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Explanation], list[str]]:
    """Read a run's explanations of its checkpoint; ``fingerprints`` are of the splits whose data are known.

    Returns
    -------
    What there is by split, and a sentence for each split whose explanation is of another checkpoint, of other data, or
    has tables and figures that are not those of its numbers.

    Raises
    ------
    DataError, CheckpointError
        If a file is damaged.
    """
    found: dict[str, Explanation] = {}
    notes = []
    for split in ("valid", "test", "train"):
        part = folder / "explain" / split
        manifest = read_manifest(part)
        if manifest is None:
            continue
        if manifest.checkpoint_sha256 != checkpoint_sha256:
            notes.append(f"the explanation of {split} is of another checkpoint and is left out")
            continue
        if tuple(manifest.fingerprints) != fingerprints.get(split, tuple(manifest.fingerprints)):
            notes.append(f"the explanation of {split} is of other data and is left out")
            continue
        if manifest.derived is None:
            notes.append(
                f"the explanation of {split} is left out, since its tables and figures are not up to date: "
                "`raygenex explain` must be run again"
            )
            continue
        found[split] = _read(part, manifest)
    return found, notes


def _read(folder: Path, manifest: ExplanationManifest) -> Explanation:
    complete = [name for name, record in manifest.methods.items() if record.complete]
    profiles = {name: read_profiles(folder / f"importance_{name}.csv") for name in complete}
    tops = {name: read_top(folder, name, of["high"].genes) for name, of in profiles.items() if "high" in of}
    halflife = read_parts(folder / "halflife") if "halflife" in complete else {}
    tables = {title: read_table(folder / path, _AGAIN, ()) for title, path in _TABLES.items()}
    return Explanation(
        manifest=manifest,
        projection=read_projection(folder, words_of(manifest.target)),
        profiles={name: one for name, one in profiles.items() if one},
        tops={name: one for name, one in tops.items() if one is not None},
        halflife=halflife.get("attribution"),
        halflife_genes=halflife.get("gene_id"),
        importance=_read_importance(folder / "halflife_importance.csv"),
        logos=(*_logos(folder, complete), *_motif_logos(folder)),
        tables={title: rows for title, rows in tables.items() if rows},
        captions=read_json(folder / "figures" / "captions.json", _AGAIN, _captions) or {},
    )


def _captions(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(one["caption"]) for name, one in values.items()}


def _logos(folder: Path, methods: list[str]) -> list[Logo]:
    """Return the logos of the strongest stretches, the strongest of every method first."""
    found = []
    for method in methods:
        name = METHOD_NAMES.get(method, method)
        rows = read_table(folder / "logos" / f"{method}.csv", _AGAIN, ("file", "gene_id", "first", "last")) or []
        for row in rows:
            # A name, whatever the table says: nothing outside of the folder is read.
            path = folder / "logos" / Path(row["file"]).name
            if path.exists():
                found.append(Logo(path, f"{row['gene_id']}, {row['first']} to {row['last']} by {name}"))
    return found


def _motif_logos(folder: Path) -> list[Logo]:
    return [Logo(path, f"Motif {path.stem}") for path in sorted((folder / "motifs").glob("*.svg"), key=_natural)]


def _natural(path: Path) -> list[str | int]:
    """Sort ``pos_2`` before ``pos_10``: text and numbers take turns."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.stem)]


def read_projection(folder: Path, words: Words = LABEL_WORDS) -> Projection | None:
    """Read where genes lie in the plane; None if that was not computed, DataError if a file is damaged.

    ``words`` say whether they have classes or values.
    """
    path = folder / "projection.csv"
    if words.is_quantity:
        return _read_quantities(path, words)
    rows = read_table(path, _AGAIN, ("gene_id", "x", "y", "probability", "prediction", "label"))
    if not rows:
        return None
    x, y, probability, prediction, label = (
        numbers(rows, name, path, _AGAIN) for name in ("x", "y", "probability", "prediction", "label")
    )
    return Projection(
        gene_id=np.array([row["gene_id"] for row in rows]),
        xy=np.stack([x, y], axis=1),
        probability=probability,
        prediction=prediction.astype(np.int8),
        label=np.where(np.isnan(label), -1, label).astype(np.int8),
        numbers=read_json(folder / "projection.json", _AGAIN, dict.copy) or {},
        words=words,
    )


def _read_quantities(path: Path, words: Words) -> Projection | None:
    rows = read_table(path, _AGAIN, ("gene_id", "x", "y", "predicted", "measured"))
    if not rows:
        return None
    x, y, predicted, measured = (numbers(rows, name, path, _AGAIN) for name in ("x", "y", "predicted", "measured"))
    no_class = np.full(len(rows), UNLABELLED, np.int8)
    return Projection(
        gene_id=np.array([row["gene_id"] for row in rows]),
        xy=np.stack([x, y], axis=1),
        probability=predicted,
        prediction=no_class,
        label=no_class,
        numbers=read_json(path.with_suffix(".json"), _AGAIN, dict.copy) or {},
        measured=measured,
        words=words,
    )


def read_profiles(path: Path) -> dict[str, Profile]:
    """Read the importance of positions by group of genes; nothing if there is no file, DataError if it is damaged."""
    rows = read_table(path, _AGAIN, ("position", "group", "mean", "low", "high", "genes")) or []
    found = {}
    for group in _GROUPS:
        of = [row for row in rows if row["group"] == group]
        if of:
            position, mean, low, high, genes = (
                numbers(of, name, path, _AGAIN) for name in ("position", "mean", "low", "high", "genes")
            )
            signed = numbers(of, "signed", path, _AGAIN) if "signed" in of[0] else np.full(len(of), np.nan)
            found[group] = Profile(position.astype(np.int64), mean, low, high, signed, int(genes[0]))
    return found


def read_top(folder: Path, method: str, predicted_high: int) -> TopPositions | None:
    """Read the most important positions of a method, the mean of so many genes predicted high.

    Returns
    -------
    None if there are no positions, or no genes.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    path = folder / f"top_{method}.csv"
    arrays = read_arrays(folder / f"top_{method}.npz", _AGAIN, ("gene_id", "position", "value"))
    rows = read_table(path, _AGAIN, ("rank", "position", "importance"))
    if arrays is None or rows is None or not arrays["value"].size:
        return None
    importance = numbers(rows, "importance", path, _AGAIN)
    return TopPositions(arrays["position"], importance, arrays["gene_id"], arrays["value"], predicted_high)


def _read_importance(path: Path) -> Importance | None:
    rows = read_table(path, _AGAIN, ("feature", "drop", "low", "high"))
    if not rows:
        return None
    drop, low, high = (numbers(rows, name, path, _AGAIN) for name in ("drop", "low", "high"))
    return Importance(tuple(row["feature"] for row in rows), drop, low, high)
