"""The tables and figures of an explanation, made anew from its parts whenever one of these changes."""

import csv
import hashlib
import io
import itertools
import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from raygenex.config import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.explain import figures
from raygenex.explain.agreement import agreement
from raygenex.explain.feature_importance import measurable, permutation_importance, write_importance
from raygenex.explain.genes import Genes
from raygenex.explain.layout import SCORES, Manifest, read_parts
from raygenex.explain.logos import contribution_logo, strongest_regions
from raygenex.explain.profile import Profile, profiles, top_positions, write_profiles, write_top
from raygenex.explain.projection import FEWEST, project, write_projection
from raygenex.explain.projection_page import write_page
from raygenex.figures import DPI
from raygenex.locking import replace_text

logger = logging.getLogger(__name__)

FIGURES, LOGOS, MOTIFS = "figures", "logos", "motifs"
_DRAWN = (
    "smoothing",
    "top_positions",
    "top_genes",
    "neighbours",
    "min_distance",
    "motifs",
    "discover",
)
"""Keys of the section ``explain`` that the tables and figures depend on, but the parts do not."""
Columns = dict[str, NDArray[Any]]


def derived_key(config: RunConfig, manifest: Manifest) -> str:
    """Return a hash of everything that the tables and figures depend on."""
    found = manifest.model_dump(mode="json", exclude={"derived", "summary", "methods", "checkpoint", "run_name"})
    found["methods"] = {name: record.settings for name, record in sorted(manifest.methods.items())}
    found["drawn"] = {name: getattr(config.explain, name) for name in _DRAWN}
    found["seed"] = config.seed
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def derive(config: RunConfig, folder: Path, genes: Genes, manifest: Manifest) -> dict[str, Any]:
    """Write the tables and figures of every method that is complete.

    Returns
    -------
    ``projection`` (as projection.json, or None), ``halflife`` (``feature``, ``drop``, ``low``, ``high`` of the most
    important feature, or None) and ``agreement`` (the median rank correlation of every two methods).

    Raises
    ------
    CheckpointError
        If parts are missing or damaged.
    """
    for name in (FIGURES, LOGOS, MOTIFS):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / FIGURES).mkdir()
    scores = read_parts(folder / SCORES, manifest.genes)
    methods = [name for name, record in manifest.methods.items() if record.complete and name != SCORES]
    summary: dict[str, Any] = {"projection": _project(config, folder, scores, manifest), "halflife": None}
    if "halflife" in methods:
        summary["halflife"] = _halflife(folder, genes, scores, manifest)
    found = {
        method: _method(config, folder, genes, scores, manifest, method) for method in methods if method != "halflife"
    }
    summary["agreement"] = _agree(folder, manifest, found)
    return summary


def _project(config: RunConfig, folder: Path, scores: Columns, manifest: Manifest) -> dict[str, Any] | None:
    if not scores["dense"].shape[1]:
        logger.info("a %s has no dense layer before its logit, so there is no projection", manifest.model_kind)
        return None
    if manifest.genes < FEWEST:
        logger.info("%d genes are too few for a projection, which needs %d", manifest.genes, FEWEST)
        return None
    options = config.explain
    found = project(
        scores["gene_id"],
        scores["dense"],
        scores["probability"],
        scores["label"],
        manifest.threshold,
        options.neighbours,
        options.min_distance,
        config.seed,
    )
    write_projection(folder, found)
    for colouring in figures.COLOURINGS:
        if colouring in ("prediction", "probability") or (scores["label"] >= 0).any():
            draw = partial(figures.projection, found=found, colouring=colouring)
            _save(folder / FIGURES, f"projection_{colouring}", (4.6, 4.2), draw)
    title = f"Genes of {manifest.split} as {manifest.run_name} sees them"
    caption = f"First dense layer of {manifest.model_kind}, {manifest.genes:,} genes of {manifest.split}, by UMAP."
    write_page(folder / "projection.html", found, title, caption)
    return found.numbers


def _halflife(folder: Path, genes: Genes, scores: Columns, manifest: Manifest) -> dict[str, Any] | None:
    parts = read_parts(folder / "halflife", manifest.genes)
    _save(
        folder / FIGURES,
        "halflife",
        (5.2, 3.6),
        lambda axes: figures.halflife_strips(axes, parts["attribution"], HALFLIFE_FEATURES, genes.halflife),
    )
    if not measurable(scores["label"]) or not parts["permuted"].shape[1]:
        logger.info("the importance of half-life features needs labels, high and low, and there are too few")
        return None
    found = permutation_importance(scores["label"], scores["logit"], parts["permuted"], manifest.confidence)
    write_importance(folder / "halflife_importance.csv", found)
    _save(
        folder / FIGURES,
        "halflife_importance",
        (4.6, 3.2),
        lambda axes: figures.permutation_bars(axes, found.features, found.drop, found.low, found.high),
    )
    best = int(np.argmax(found.drop))
    values = {name: float(getattr(found, name)[best]) for name in ("drop", "low", "high")}
    return {"feature": found.largest} | values


def _method(
    config: RunConfig, folder: Path, genes: Genes, scores: Columns, manifest: Manifest, method: str
) -> NDArray[np.float32]:
    """Write what is made of one method's attributions, and return these."""
    options = config.explain
    attribution = read_parts(folder / method, manifest.genes, ("attribution",))["attribution"]
    high = scores["probability"] >= manifest.threshold
    averaged = profiles(attribution, high, manifest.window_first, options.smoothing, manifest.confidence, config.seed)
    write_profiles(folder / f"importance_{method}.csv", averaged)
    _draw_profile(folder / FIGURES, method, averaged, options.smoothing)
    top = top_positions(
        attribution,
        scores["gene_id"],
        scores["probability"],
        manifest.threshold,
        manifest.window_first,
        options.top_positions,
        options.top_genes,
    )
    write_top(folder, method, top)
    if len(top.gene_id):
        _save(folder / FIGURES, f"top_{method}", (6.0, 5.0), lambda axes: figures.top_heatmap(axes, top))
    (folder / LOGOS).mkdir(exist_ok=True)
    for number, region in enumerate(strongest_regions(attribution, per_gene=1), 1):
        place = slice(region.start, region.stop)
        bases = genes.bases(region.row)[place]
        values = attribution[region.row, place]
        first = manifest.window_first + region.start
        name = f"{method}_{number:02d}_{_file_name(str(scores['gene_id'][region.row]))}"
        _save(
            folder / LOGOS,
            name,
            (7.0, 1.8),
            partial(contribution_logo, bases=bases, attribution=values, first=first),
            vector_only=True,
        )
    return attribution


def _draw_profile(folder: Path, method: str, averaged: dict[str, Profile], smoothing: int) -> None:
    _save(
        folder, f"importance_{method}", (6.4, 3.0), lambda axes: figures.importance_profile(axes, averaged, smoothing)
    )


def _agree(folder: Path, manifest: Manifest, found: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Write how alike every two methods rank the positions of a gene; return the medians over genes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("method", "other", "spearman_median", "spearman_low_quartile", "spearman_high_quartile", "genes"))
    medians = {}
    for one, other in itertools.combinations(found, 2):
        same = agreement(found[one], found[other])
        low, high = same.quartiles
        writer.writerow((one, other, f"{same.median:.6f}", f"{low:.6f}", f"{high:.6f}", same.genes))
        medians[f"{one} and {other}"] = same.median
    if medians:
        replace_text(folder / "agreement.csv", stream.getvalue())
    return medians


def _save(
    folder: Path, name: str, size: tuple[float, float], draw: Callable[[Axes], Any], vector_only: bool = False
) -> None:
    """Draw one figure as SVG and, unless ``vector_only``, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    draw(figure.subplots())
    figure.savefig(folder / f"{name}.svg", format="svg", metadata={"Date": None})
    if not vector_only:
        figure.savefig(folder / f"{name}.png", format="png", dpi=figure.dpi)


def _file_name(gene: str) -> str:
    """Return a gene's name as a part of a file name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in gene)
