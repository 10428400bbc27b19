"""Genes as a trained network sees them: its first dense layer's output, laid out in the plane, and how it separates."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.explain.results.explained import Explained, PredictedGenes
from raygenex.explain.results.saving import write_table
from raygenex.explain.results.words import LABEL_WORDS, Words
from raygenex.files.whole import replace_text

FEWEST = 5
"""Genes that a projection needs: with fewer, UMAP has no neighbourhoods to lay out."""


@dataclass(frozen=True)
class Projection(PredictedGenes):
    """Places of genes in the plane, and how well their classes separate."""

    prediction: NDArray[np.int8]
    """1 high, 0 low, shape ``(n,)``."""
    xy: NDArray[np.float64]
    """Shape ``(n, 2)``; distances have no unit."""
    numbers: dict[str, Any]
    """As in projection.json: see `separation`."""
    measured: NDArray[np.float64] | None = None
    """Of a quantity, what was measured, shape ``(n,)``, NaN where nothing was; None of classes."""
    words: Words = LABEL_WORDS
    """What is predicted."""

    @property
    def error(self) -> NDArray[np.int8]:
        """1 where the prediction is not the label, 0 where it is, -1 where the label is unknown; shape ``(n,)``."""
        return np.where(self.label < 0, -1, self.prediction != self.label).astype(np.int8)


def project(genes: Explained, neighbours: int = 15, min_distance: float = 0.1) -> Projection:
    """Lay genes out in the plane by UMAP (McInnes, Healy and Melville, arXiv:1802.03426, 2018).

    A gene has ``neighbours``, for UMAP and for the purity, or one less than the genes where there are fewer. They are
    at least ``min_distance`` apart in the plane, and the same seed gives the same places.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` genes, no dense layer, or values that are not finite.
    ConfigError
        If umap-learn is not installed.
    """
    xy = embed(genes.dense, neighbours, min_distance, genes.seed)
    prediction = (genes.probability >= genes.threshold).astype(np.int8)
    settings: dict[str, Any] = {"min_distance": min_distance, "seed": genes.seed}
    if genes.words.is_quantity:
        count, width = genes.dense.shape
        numbers = {"genes": count, "width": width, "neighbours": min(neighbours, count - 1)}
    else:
        numbers = separation(genes.dense, xy, prediction, genes.label, neighbours)
        settings["threshold"] = float(genes.threshold)
    every = numbers | settings
    return Projection(genes.gene_id, genes.label, genes.probability, prediction, xy, every, genes.measured, genes.words)


def embed(dense: NDArray[np.float32], neighbours: int, min_distance: float, seed: int) -> NDArray[np.float64]:
    """Return the places of genes in the plane, shape ``(n, 2)``; see `project`."""
    from raygenex.extras import require

    genes, width = dense.shape
    if not width:
        raise DataError("the model has no dense layer whose output could be projected: explain a network instead")
    if genes < FEWEST:
        raise DataError(f"{genes} genes are too few for a projection: explain at least {FEWEST}")
    if not np.isfinite(dense).all():
        raise DataError("the first dense layer gave values that are not finite: check the checkpoint")
    umap = require("umap", "umap-learn", "explain", "the projection")
    # A fixed seed allows one thread only; said here, UMAP need not warn of it. The spectral layout needs more genes
    # than a handful; a random one starts as well with few.
    layout = umap.UMAP(
        n_neighbors=min(neighbours, genes - 1),
        min_dist=min_distance,
        init="spectral" if genes > 2 * neighbours else "random",
        random_state=seed % 2**32,
        n_jobs=1,
    )
    return np.asarray(layout.fit_transform(dense), dtype=np.float64)


def separation(
    dense: NDArray[np.float32],
    xy: NDArray[np.float64],
    prediction: NDArray[np.int8],
    label: NDArray[np.int8],
    neighbours: int,
) -> dict[str, Any]:
    """Measure how well classes separate, in the dense layer's space and in the plane.

    Returns
    -------
    ``genes``, ``width`` (of the dense layer), ``neighbours`` (those used), ``silhouette`` of the predicted classes
    (Rousseeuw, J Comput Appl Math 20:53, 1987; -1 to 1), and ``knn_purity`` and ``knn_purity_label``: the mean share of
    a gene's nearest neighbours that have its predicted, or its true, class. Each has ``dense`` and ``plane``, purities
    also ``chance``, the share if classes were shuffled. None where there is one class only.
    """
    k = min(neighbours, len(dense) - 1)
    known = label >= 0
    spaces = {"dense": np.asarray(dense, dtype=np.float64), "plane": xy}
    return {
        "genes": len(dense),
        "width": dense.shape[1],
        "neighbours": k,
        "silhouette": {name: silhouette(space, prediction) for name, space in spaces.items()},
        "knn_purity": _purities(spaces, prediction, k),
        "knn_purity_label": _purities({name: space[known] for name, space in spaces.items()}, label[known], k),
    }


def silhouette(points: NDArray[np.float64], classes: NDArray[np.int8]) -> float | None:
    """Return the mean silhouette of points ``(n, d)`` by Euclidean distance; None unless there are 2 to n-1 classes."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(classes)) < len(classes):
        return None
    return float(silhouette_score(points, classes))


def knn_purity(points: NDArray[np.float64], classes: NDArray[np.int8], neighbours: int) -> float:
    """Return the mean share of each point's nearest neighbours, itself left out, that have its class.

    Points are ``(n, d)``, classes ``(n,)``, and neighbours 1 to ``n - 1``.
    """
    from sklearn.neighbors import NearestNeighbors

    assert 1 <= neighbours < len(points), (neighbours, len(points))
    # Asked without points, each one's own place among its neighbours is left out, also where points coincide.
    found = NearestNeighbors(n_neighbors=neighbours).fit(points).kneighbors(return_distance=False)
    return float((classes[found] == classes[:, None]).mean())


def chance_purity(classes: NDArray[np.int8]) -> float:
    """Return the expected purity if classes were shuffled: the share of ordered pairs of points of one class."""
    count = np.unique(classes, return_counts=True)[1]
    return float((count * (count - 1)).sum() / (len(classes) * (len(classes) - 1)))


def write_projection(folder: Path, found: Projection) -> None:
    """Write projection.csv, a row per gene (labels and errors empty where unknown), and projection.json.

    Of a quantity the table has its predicted and its measured values in place of probabilities and classes.
    """
    replace_text(folder / "projection.json", json.dumps(found.numbers, indent=2) + "\n")
    if found.measured is not None:
        values = zip(*(column.tolist() for column in (found.probability, found.measured)), strict=True)
        rows = [
            (gene, f"{x:.5f}", f"{y:.5f}", f"{one:.7g}", "" if truth != truth else f"{truth:.7g}")
            for gene, (x, y), (one, truth) in zip(found.gene_id.tolist(), found.xy.tolist(), values, strict=True)
        ]
        write_table(folder / "projection.csv", ("gene_id", "x", "y", "predicted", "measured"), rows)
        return
    columns = (found.gene_id, *found.xy.T, found.probability, found.prediction, found.label, found.error)
    rows = [
        (gene, f"{x:.5f}", f"{y:.5f}", f"{p:.7g}", prediction, *("" if v < 0 else v for v in (label, error)))
        for gene, x, y, p, prediction, label, error in zip(*(column.tolist() for column in columns), strict=True)
    ]
    names = ("gene_id", "x", "y", "probability", "prediction", "label", "split_error")
    write_table(folder / "projection.csv", names, rows)


def _purities(
    spaces: dict[str, NDArray[np.float64]], classes: NDArray[np.int8], neighbours: int
) -> dict[str, float | None]:
    if len(np.unique(classes)) < 2:
        return {"dense": None, "plane": None, "chance": None}
    k = min(neighbours, len(classes) - 1)
    found: dict[str, float | None] = {name: knn_purity(space, classes, k) for name, space in spaces.items()}
    return found | {"chance": chance_purity(classes)}
