"""Tables, figures and pages of an explained split, drawn from what was computed for its genes."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raygenex.config.explain import ExplainConfig
from raygenex.errors import DataError
from raygenex.explain.results import figures
from raygenex.explain.results.agreement import agreement
from raygenex.explain.results.draw_features import draw_features
from raygenex.explain.results.explained import Columns, Drawn, Explained, attribution_of
from raygenex.explain.results.figure_words import (
    COLOURING_WORDS,
    COLOURINGS,
    METHOD_NAMES,
    QUANTITY_COLOURINGS,
    caption,
)
from raygenex.explain.results.logos import contribution_logo, frequency_logo, strongest_stretches
from raygenex.explain.results.motifs import complete_stretch, discover, known_motifs, match, write_motifs
from raygenex.explain.results.profile import mean_importance, profiles, top_positions, write_profiles, write_top
from raygenex.explain.results.projection import FEWEST, project, write_projection
from raygenex.explain.results.projection_page import write_page
from raygenex.explain.results.saving import save_figure, write_table
from raygenex.files.whole import replace_text
from raygenex.terminal.progress import progress

LOGOS = 6
"""Strongest stretches that have a logo, one per gene at most."""

LOGO_WIDTH = 40
"""Bases of such a stretch, of a shorter window all."""

# Where contributions of all four bases come from, the most faithful first.
_HYPOTHETICAL = ("deeplift", "integrated_gradients", "mutagenesis", "input_x_gradient", "saliency")


def draw_results(
    folder: Path,
    settings: ExplainConfig,
    explained: Explained,
    methods: Sequence[str],
    read: Callable[[str], Columns],
) -> Drawn:
    """Write everything that is drawn from the scores and attributions of a split.

    Parameters
    ----------
    folder
        That of the split's results, which is there: tables, ``projection.html``, ``figures/``, ``logos/`` and
        ``motifs/`` are written into it, ``halflife_importance.csv`` is read where it is there.
    settings
        The section ``explain``.
    explained
        The genes.
    methods
        Those that are complete.
    read
        Returns the columns of a method, all genes in the order of ``explained``; called again for each use, so that
        few methods are in memory at a time.

    Raises
    ------
    DataError
        If ``explain.motifs`` cannot be read, which is found before anything is drawn.
    ConfigError
        If a package of the extras is missing.
    """
    known = known_motifs(settings.motifs)
    drawn = Drawn()
    along = [name for name in methods if name != "halflife"]
    with progress("tables and figures", len(methods) + 2 + settings.discover) as advance:
        _projection(folder, settings, explained, drawn)
        advance(1, "projection")
        means = {}
        for name in along:
            means[name] = _method(folder, settings, explained, name, read(name), drawn)
            advance(1, name)
        _agreements(folder, explained, means, read, drawn)
        advance(1, "agreement")
        if "halflife" in methods:
            draw_features(folder, explained, read("halflife"), drawn)
            advance(1, "halflife")
        if settings.discover:
            _motifs(folder, explained, along, read, known, drawn)
            advance(1, "motifs")
    (folder / "figures").mkdir(exist_ok=True)
    replace_text(folder / "figures" / "captions.json", json.dumps(drawn.captions, indent=2) + "\n")
    return drawn


def _projection(folder: Path, settings: ExplainConfig, explained: Explained, drawn: Drawn) -> None:
    genes, width = explained.dense.shape
    if not width:
        drawn.notes.append("no projection: the model has no dense layer")
        return
    if genes < FEWEST:
        drawn.notes.append(f"no projection: {genes} genes are explained, it needs {FEWEST}")
        return
    found = project(explained, settings.neighbours, settings.min_distance)
    drawn.numbers["projection"] = found.numbers
    write_projection(folder, found)
    neighbours = found.numbers["neighbours"]
    text = f"UMAP of the first dense layer's output ({width} values per gene), {neighbours} neighbours."
    title = f"How the network sees {genes:,} genes of {explained.split}"
    write_page(folder / "projection.html", found, title, caption(text, genes, explained.split))
    for colouring in QUANTITY_COLOURINGS if explained.words.is_quantity else COLOURINGS:
        drawn.add(
            folder,
            f"projection_{colouring}",
            (4.2, 3.9),
            partial(figures.projection, found=found, colouring=colouring),
            f"Genes by {COLOURING_WORDS[colouring]}",
            caption(text, genes, explained.split),
        )


def _method(
    folder: Path, settings: ExplainConfig, explained: Explained, method: str, columns: Columns, drawn: Drawn
) -> NDArray[np.float64]:
    """Write the profile, the top positions and the logos of a method; returns the mean importance, not smoothed."""
    attribution = attribution_of(explained, columns)
    high, words = explained.probability >= explained.threshold, explained.words
    genes = len(attribution)
    found = profiles(
        attribution, high, explained.window_first, settings.smoothing, explained.confidence, explained.seed
    )
    write_profiles(folder / f"importance_{method}.csv", found)
    name = METHOD_NAMES[method]
    drawn.add(
        folder,
        f"importance_{method}",
        (6.2, 3.2),
        partial(figures.importance_profile, found=found, smoothing=settings.smoothing, words=words),
        f"{name}: importance along the promoter",
        caption(
            "Mean absolute attribution at every position; the dotted line is the TSS.",
            *(genes, explained.split, method, settings.smoothing, explained.confidence),
        ),
    )
    top = top_positions(
        attribution,
        *(explained.gene_id, explained.probability, explained.threshold, explained.window_first),
        *(settings.top_positions, settings.top_genes),
    )
    write_top(folder, method, top)
    if len(top.gene_id) and len(top.position):
        text = (
            f"Attributions of the {len(top.position)} positions that matter most to the {top.predicted_high:,} genes "
            f"predicted high, for those with the highest probability."
        )
        if words.is_quantity:
            text = (
                f"Attributions of the {len(top.position)} positions that matter most to the {top.predicted_high:,} "
                "genes with the highest predicted values."
            )
        for order in ("probability", "clustered"):
            drawn.add(
                folder,
                f"top_{method}" if order == "probability" else f"top_{method}_clustered",
                (5.0, 5.0),
                partial(figures.top_heatmap, top=top, order=order, words=words),
                f"{name}: the most important positions",
                caption(text, len(top.gene_id), explained.split, method),
            )
    else:
        drawn.notes.append(f"{method}: no top positions, as no gene is predicted high")
    if explained.bases is not None:
        _logos(folder, explained, explained.bases, attribution, method)
    return mean_importance(attribution)


def _logos(
    folder: Path, explained: Explained, bases: NDArray[np.uint8], attribution: NDArray[np.floating], method: str
) -> None:
    regions = strongest_stretches(attribution, LOGO_WIDTH, LOGOS, per_gene=1)
    rows = []
    for rank, region in enumerate(regions, start=1):
        first = explained.window_first + region.start
        inside = slice(region.start, region.stop)
        name = f"{method}_{rank}"
        save_figure(
            folder / "logos",
            name,
            (6.2, 1.7),
            partial(
                contribution_logo,
                bases=bases[region.row, inside],
                attribution=attribution[region.row, inside],
                first=first,
                unit=explained.words.unit,
            ),
        )
        last = explained.window_first + region.stop - 1
        rows.append((f"{name}.svg", explained.gene_id[region.row], first, last, f"{region.score:.6g}"))
    names = ("file", "gene_id", "first", "last", "sum_of_absolute_attributions")
    write_table(folder / "logos" / f"{method}.csv", names, rows)


def _agreements(
    folder: Path,
    explained: Explained,
    means: Mapping[str, NDArray[np.float64]],
    read: Callable[[str], Columns],
    drawn: Drawn,
) -> None:
    rows = []
    for one, other in combinations(means, 2):
        found = agreement(attribution_of(explained, read(one)), attribution_of(explained, read(other)))
        low, high = found.quartiles
        rows.append((one, other, *map(_known, (found.median, low, high)), found.genes))
        text = "Mean absolute attribution of every position by two methods, a dot per position."
        drawn.add(
            folder,
            f"agreement_{one}_{other}",
            (3.9, 3.7),
            partial(
                figures.agreement_scatter,
                methods=(one, other),
                x=means[one],
                y=means[other],
                spearman=found.median,
                words=explained.words,
            ),
            f"{METHOD_NAMES[one]} and {METHOD_NAMES[other]}",
            caption(text, len(explained.gene_id), explained.split),
        )
    if rows:
        names = ("method", "other", "spearman_median", "spearman_lower_quartile", "spearman_upper_quartile", "genes")
        write_table(folder / "agreement.csv", names, rows)
        drawn.numbers["agreement"] = [dict(zip(names, row, strict=True)) for row in rows]


def _known(value: float) -> float | None:
    """Return None for NaN, which is an empty field in CSV and null in JSON."""
    return None if math.isnan(value) else value


def _motifs(
    folder: Path,
    explained: Explained,
    methods: Iterable[str],
    read: Callable[[str], Columns],
    known: Mapping[str, NDArray[np.float64]] | None,
    drawn: Drawn,
) -> None:
    for method in sorted(methods, key=_HYPOTHETICAL.index):
        columns = read(method)
        if "hypothetical" in columns and explained.bases is not None:
            break
    else:
        drawn.notes.append("no motifs: no method kept what each base would contribute; set explain.hypothetical=true")
        return
    attribution_of(explained, columns)
    hypothetical = columns["hypothetical"]
    try:
        patterns = discover(explained.bases, hypothetical)
    except DataError as error:
        # The other results stand.
        drawn.notes.append(f"no motifs: {error}")
        return
    stretch = complete_stretch(hypothetical)
    if stretch.stop - stretch.start < hypothetical.shape[1]:
        places = [explained.window_first + at for at in (stretch.start, stretch.stop - 1)]
        drawn.notes.append(
            f"motifs of {method}: only the bases {places[0]:+,} to {places[1]:+,} from the TSS are searched, "
            "the longest stretch that no gene lacks"
        )
    matches = match(patterns, known) if known is not None else None
    note = write_motifs(folder / "motifs", patterns, matches, len(known or ()))
    if note:
        drawn.notes.append(f"motifs of {method}: {note}")
    for one in patterns:
        save_figure(
            folder / "motifs",
            one.name,
            (max(0.22 * len(one.frequency) + 0.8, 2.0), 1.7),
            partial(frequency_logo, frequency=one.frequency),
        )
