"""The tables and figures of an explanation, made again from its parts whenever something that they show changes."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.run import RunConfig
from raygenex.data.features import features_in_words
from raygenex.explain.genes import UNLABELLED, ExplainedGenes
from raygenex.explain.parts import SCORES, ExplanationManifest, column_names, read_parts
from raygenex.explain.results.draw import draw_results
from raygenex.explain.results.explained import Explained
from raygenex.explain.results.feature_importance import (
    measurable,
    permutation_importance,
    quantity_importance,
    write_importance,
)
from raygenex.explain.results.words import words_of
from raygenex.files.fingerprint import array_sha256, fingerprint

logger = logging.getLogger(__name__)

_FOLDERS = ("figures", "logos", "motifs")
_FILES = ("*.csv", "projection.*", "top_*.npz")
_DRAWN = ("smoothing", "top_positions", "top_genes", "neighbours", "min_distance", "discover")
"""Keys of the section ``explain`` that tables and figures depend on, and parts do not; ``motifs`` counts by content."""


class _Parts(Mapping[str, NDArray[Any]]):
    """The columns of one method, each read when it is asked for: the hypothetical ones are large and seldom needed."""

    def __init__(self, folder: Path, genes: int) -> None:
        self._folder = folder
        self._genes = genes
        self._names = column_names(folder)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        return read_parts(self._folder, self._genes, (name,))[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def derived_key(config: RunConfig, manifest: ExplanationManifest, measured: NDArray[np.float64] | None = None) -> str:
    """Return a hash of everything that the tables and figures depend on, what was ``measured`` of a target among it.

    Raises
    ------
    DataError
        If ``explain.motifs`` cannot be read.
    """
    shown = {name for name, record in manifest.methods.items() if record.complete} | set(config.explain.methods)
    found = manifest.model_dump(mode="json", exclude={"derived", "summary", "methods", "checkpoint", "run_name"})
    found["methods"] = {name: manifest.methods[name].settings for name in sorted(shown | {SCORES})}
    found["drawn"] = {name: getattr(config.explain, name) for name in _DRAWN}
    found["motifs"] = config.explain.motifs and fingerprint(config.explain.motifs)
    found["seed"] = config.seed
    if measured is not None:
        found["measured"] = array_sha256(measured)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def derive(config: RunConfig, folder: Path, genes: ExplainedGenes, manifest: ExplanationManifest) -> dict[str, Any]:
    """Write the tables and figures of every method that is complete.

    Returns
    -------
    ``smoothing`` (bases of the moving average in the profiles), ``projection`` (as projection.json, or None),
    ``agreement`` (rows of agreement.csv; None for what is undefined), ``halflife`` (``feature``, ``drop``, ``low`` and
    ``high`` of the most important feature, of a target also ``metric``; or None) and ``notes``, sentences on what is
    not drawn.

    Raises
    ------
    ConfigError, DataError
        If a package is missing, or ``explain.motifs`` cannot be used.
    CheckpointError
        If parts are missing or damaged.
    """
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in {path for pattern in _FILES for path in folder.glob(pattern)}:
        path.unlink()
    scores = read_parts(folder / SCORES, manifest.genes)
    methods = [name for name, record in manifest.methods.items() if record.complete and name != SCORES]
    notes: list[str] = []
    words = words_of(manifest.target)
    label, predicted = _compared(scores, genes)
    halflife = _importance(folder, scores, label, genes, manifest, notes) if "halflife" in methods else None
    if manifest.threshold is None:
        threshold = float(np.sort(predicted)[-min(config.explain.top_genes, len(predicted))])
    else:
        threshold = manifest.threshold
    explained = Explained(
        scores["gene_id"],
        label,
        predicted,
        scores["dense"],
        threshold,
        manifest.split,
        manifest.window_first,
        manifest.confidence,
        config.seed,
        genes.bases() if manifest.window and set(methods) - {"halflife"} else None,
        genes.halflife,
        genes.measured if words.is_quantity else None,
        words,
        manifest.features,
    )
    logger.info("drawing tables and figures of %d genes", manifest.genes)
    drawn = draw_results(
        folder, config.explain, explained, methods, lambda method: _Parts(folder / method, manifest.genes)
    )
    for note in notes + drawn.notes:
        logger.info("%s", note)
    return {
        "smoothing": config.explain.smoothing,
        "projection": drawn.numbers.get("projection"),
        "agreement": drawn.numbers.get("agreement", []),
        "halflife": halflife,
        "notes": notes + drawn.notes,
    }


def _compared(
    scores: Mapping[str, NDArray[Any]], genes: ExplainedGenes
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return the labels of the genes, -1 where there is none, and their probabilities, or predicted values."""
    if genes.target is None or genes.measured is None:
        return scores["label"], scores["probability"]
    if genes.target.kind != "binary":
        return np.full(genes.count, UNLABELLED, np.int8), scores["predicted"]
    known = np.isfinite(genes.measured)
    return np.where(known, np.nan_to_num(genes.measured), UNLABELLED).astype(np.int8), scores["predicted"]


def _importance(
    folder: Path,
    scores: Mapping[str, NDArray[Any]],
    label: NDArray[np.int8],
    genes: ExplainedGenes,
    manifest: ExplanationManifest,
    notes: list[str],
) -> dict[str, Any] | None:
    """Write the importance of features, and return that of the most important one."""
    permuted = read_parts(folder / "halflife", manifest.genes, ("permuted",))["permuted"]
    # Of the label all genes count, or none; of a target those that were measured.
    known = np.ones(len(label), bool) if genes.target is None else label >= 0
    how, found = (manifest.features, manifest.confidence), None
    if genes.target is not None and genes.target.kind != "binary":
        assert genes.measured is not None, "comes with the target"
        predicted = genes.target.of_additive(permuted)
        found = quantity_importance(genes.measured, scores["predicted"], predicted, *how)
        needs = "measured values that differ, of three genes or more"
    else:
        needs = "labels, two genes or more of each class"
        if permuted.shape[1] and measurable(label[known]):
            found = permutation_importance(label[known], scores["logit"][known], permuted[known], *how)
    if found is None:
        notes.append(f"no importance of {features_in_words(manifest.features)}: it needs {needs}")
        return None
    write_importance(folder / "halflife_importance.csv", found)
    best = int(np.argmax(found.drop))
    values = {name: float(getattr(found, name)[best]) for name in ("drop", "low", "high")}
    metric = {} if manifest.target is None else {"metric": words_of(manifest.target).metric}
    return {"feature": found.largest} | values | metric
