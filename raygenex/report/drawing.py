"""The figures of a report, as SVG that follows the page's colours."""

from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from raygenex.data.features import features_in_words
from raygenex.drawing import figures
from raygenex.drawing.style import COLOURS, SIZE, frame
from raygenex.drawing.svg import DOTS_PER_INCH, draw, from_figure, from_file
from raygenex.errors import DataError
from raygenex.explain.results import feature_figures
from raygenex.explain.results import figures as looking
from raygenex.explain.results.figure_words import COLOURING_WORDS, METHOD_NAMES, QUANTITY_COLOURINGS, Colouring
from raygenex.explain.results.projection import Projection
from raygenex.explain.results.words import words_of
from raygenex.predict.target_scores import target_figure
from raygenex.report.dataset import LabelledGenes
from raygenex.report.evaluation import Measured
from raygenex.report.explanation import Explanation
from raygenex.report.studies import Benchmark, StudyTable
from raygenex.report.targets import MeasuredTargets
from raygenex.train.targets import TargetInfo

LOGOS = 12
"""As many logos are shown."""

TARGETS = 12
"""As many targets have a figure of each split."""

_SQUARE, _WIDE = (4.1, 3.5), (4.6, 2.8)


@dataclass(frozen=True)
class Picture:
    """A figure of the page."""

    svg: str
    title: str
    caption: str
    """What it shows, with its numbers of genes."""
    genes: dict[str, Any] | None = None
    """For a projection: the names of its genes and where they are, from 0 to 10,000 across and down."""
    look: str = ""
    """``paper``: on white in a dark room too, for colours that need it; ``broad``: wider than others."""


def learning(history: list[dict[str, float]], monitor: str = "valid_auroc") -> Picture:
    """Draw the losses and the validation AUROC by epoch, or the score of a training of targets."""
    score = "AUROC" if monitor == "valid_auroc" else "score"
    title = f"Losses and validation {score} by epoch"
    svg = from_figure("learning", title, figures.loss_figure(history, monitor))
    count = f"{len(history)} epochs" if len(history) > 1 else "1 epoch"
    return Picture(svg, title, f"{count}. The dotted line is the epoch that was kept: the highest {score} on valid.")


def target_curves(targets: list[TargetInfo], measured: MeasuredTargets) -> list[Picture]:
    """Draw predicted against measured values of the first targets of a split, of a binary one the ROC curve."""
    pictures = []
    for target in targets[:TARGETS] if measured.scores else ():
        scores, level = measured.scores[target.name], measured.confidence
        figure = target_figure(target, scores.truth, scores.predicted, measured.metrics[target.name], level)
        title = f"{target.name} on {measured.split}"
        svg = from_figure(f"{measured.split}-{_dashed(target.name)}-target", title, figure)
        pictures.append(Picture(svg, title, f"n = {len(scores.truth):,} genes of {measured.split} with a value."))
    return pictures


def curves(measured: Measured) -> list[Picture]:
    """Draw ROC, precision and recall, and calibration of a split; nothing where its labels are not to be had."""
    scores = measured.scores
    if scores is None:
        return []
    label, probability, level = scores.label, scores.probability, measured.confidence
    split, n = measured.split, f"n = {measured.genes:,} genes of {measured.split}, {int(label.sum()):,} of them high"
    area, precision = (measured.metrics[name] for name in ("auroc", "auprc"))
    drawn = (
        ("roc", "ROC curve", f"{n}.", figures.roc_figure(label, probability, area, level)),
        (
            "precision-recall",
            "Precision and recall",
            f"{n}.",
            figures.precision_recall_figure(label, probability, precision, level),
        ),
        (
            "calibration",
            "Calibration",
            f"{n}, in bins of nearly equal numbers; bars are Wilson's {100 * level:g} % intervals.",
            figures.calibration_figure(label, probability, confidence=level),
        ),
    )
    return [
        Picture(from_figure(f"{split}-{name}", f"{title} on {split}", figure), f"{title} on {split}", caption)
        for name, title, caption, figure in drawn
    ]


def search(study: StudyTable) -> Picture:
    """Draw the valid AUROC, or score of targets, of every trial, and the best so far."""
    name = study.title[0].upper() + study.title[1:]

    def plot(axes: Axes) -> Axes:
        number = np.array([trial.number for trial in study.trials])
        known = np.isfinite(study.scores)
        best = np.fmax.accumulate(study.scores)
        axes.plot(number[known], study.scores[known], "o", color=COLOURS["faint"], markersize=4, label="trial")
        axes.plot(number, best, color=COLOURS["blue"], linewidth=1.5, drawstyle="steps-post", label="best so far")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(loc="lower right", fontsize=SIZE, frameon=False, labelcolor=COLOURS["ink"])
        return frame(axes, "Trial", name)

    failed = sum(trial.state == "failed" for trial in study.trials)
    stopped = sum(trial.state == "stopped" for trial in study.trials)
    title = f"{name} by trial"
    text = f"n = {len(study.trials)} trials, {stopped} of them stopped early and {failed} failed."
    return Picture(draw("search", title, _WIDE, plot), title, text)


def comparison(benchmark: Benchmark) -> Picture | None:
    """Return the figure of the compared models' areas, if the comparison drew one."""
    return marks(benchmark.figure, "AUROC", "", benchmark.split, benchmark.genes, benchmark.confidence)


def marks(figure: Path | None, metric: str, target: str, split: str, genes: int, confidence: float) -> Picture | None:
    """Return the figure of a metric of the compared models, if the comparison drew one.

    ``target`` is what they were compared on, empty for the label.
    """
    if figure is None:
        return None
    name = f"comparison-{_dashed(target)}" if target else "comparison"
    title = f"{metric} of the compared models on {split}"
    text = f"n = {genes:,} genes of {split}; bars are {100 * confidence:g} % intervals."
    return Picture(from_file(name, title, figure), title, text, look="broad")


def projections(found: Explanation) -> list[Picture]:
    """Draw the genes in the plane by prediction and by probability, as the paper's Figure 3 does."""
    if found.projection is None:
        return []
    split, n = found.manifest.split, len(found.projection.gene_id)
    pictures = []
    is_quantity = found.projection.measured is not None
    colourings: tuple[Colouring, ...] = QUANTITY_COLOURINGS if is_quantity else ("prediction", "probability")
    for colouring in colourings:
        title = f"Genes of {split} by {COLOURING_WORDS[colouring]}"
        svg, genes = _projection(f"{split}-by-{colouring}", title, found.projection, colouring)
        text = f"UMAP of the first dense layer's output, n = {n:,} genes of {split}; distances have no unit."
        text = found.captions.get(f"projection_{colouring}", text)
        # Half of the colours of probabilities are too dark for a dark ground.
        pictures.append(Picture(svg, title, text, genes, "" if colouring == "prediction" else "paper"))
    return pictures


def _projection(name: str, title: str, found: Projection, colouring: Colouring) -> tuple[str, dict[str, Any]]:
    figure = Figure(figsize=_SQUARE, dpi=DOTS_PER_INCH, layout="constrained")
    axes = looking.projection(figure.subplots(), found, colouring)
    svg = from_figure(name, title, figure)
    # Drawing settled the layout, so that places in the axes are places in the figure from here on.
    places = figure.transFigure.inverted().transform(axes.transData.transform(found.xy))
    across, down = np.rint(10_000 * np.stack([places[:, 0], 1 - places[:, 1]])).astype(int).tolist()
    genes = {"id": found.gene_id.tolist(), "x": across, "y": down}
    if found.measured is not None:
        said = [
            f"predicted {one:.4g}, {'not measured' if truth != truth else f'measured {truth:.4g}'}"
            for one, truth in zip(found.probability.tolist(), found.measured.tolist(), strict=True)
        ]
        return svg, genes | {"said": said}
    return svg, genes | {
        "p": [round(value, 3) for value in found.probability.tolist()],
        "called": found.prediction.tolist(),
        "label": found.label.tolist(),
    }


def along_the_promoter(found: Explanation) -> list[Picture]:
    """Draw the importance of positions, as the paper's Figure 4 does, and its top positions, as Figure 5 does."""
    split, level = found.manifest.split, found.manifest.confidence
    # Where the explanation does not say how its tables were smoothed, the label does not either.
    smoothing = (found.manifest.summary or {}).get("smoothing", 1)
    words = words_of(found.manifest.target)
    pictures = []
    for method, groups in found.profiles.items():
        name = METHOD_NAMES.get(method, method)
        title = f"{name} along the promoter, {split}"

        def profile(axes: Axes, groups: Any = groups) -> Axes:
            return looking.importance_profile(axes, groups, smoothing, words=words)

        named = {"high": words.high, "low": words.low}
        counts = ", ".join(f"{groups[key].genes:,} {name}" for key, name in named.items() if key in groups)
        text = f"Mean absolute attribution by position; n = {counts}; bands are {100 * level:g} % intervals over genes."
        text = found.captions.get(f"importance_{method}", text)
        svg = draw(f"{split}-{_dashed(method)}-profile", title, _WIDE, profile)
        pictures.append(Picture(svg, title, text + _assumed(found)))
    for method, top in found.tops.items():
        name = METHOD_NAMES.get(method, method)
        title = f"The {len(top.position)} most important positions by {name}, {split}"

        def heatmap(axes: Axes, top: Any = top) -> Axes:
            return looking.top_heatmap(axes, top, words=words)

        text = (
            f"Attributions of n = {len(top.gene_id):,} of {top.predicted_high:,} genes {words.high}, a row per gene, "
            "a column per position."
        )
        text = found.captions.get(f"top_{method}", text)
        svg = draw(f"{split}-{_dashed(method)}-top", title, _SQUARE, heatmap)
        pictures.append(Picture(svg, title, text + _assumed(found)))
    return pictures


def halflife(found: Explanation, truth: LabelledGenes | None) -> list[Picture]:
    """Draw what the features do to the logit, and what the AUROC loses without them.

    ``truth`` has their values, for their colours; None: one colour.
    """
    split, words = found.manifest.split, words_of(found.manifest.target)
    names = found.manifest.features
    said = features_in_words(names).capitalize()
    pictures = []
    if (shapley := found.halflife) is not None:
        values = _values(found, truth)
        title = f"{said}, Shapley values, {split}"
        svg = draw(
            f"{split}-halflife",
            title,
            _WIDE,
            lambda axes: feature_figures.halflife_strips(axes, shapley, names, values, words),
        )
        n = f"n = {len(shapley):,} genes"
        text = f"What each feature adds to the {words.unit}, a dot per gene, {n}; the largest on top."
        text = found.captions.get("halflife", text)
        pictures.append(Picture(svg, title, text, look="paper" if values is not None else ""))
    if (loss := found.importance) is not None:
        title = f"{said}, loss of {words.metric}, {split}"
        svg = draw(
            f"{split}-halflife-loss",
            title,
            _WIDE,
            lambda axes: feature_figures.permutation_bars(axes, loss.features, loss.drop, loss.low, loss.high, words),
        )
        what = f"Loss of {words.metric} when a feature is shuffled"
        text = f"{what} among the {found.manifest.genes:,} genes, with its interval."
        pictures.append(Picture(svg, title, found.captions.get("halflife_importance", text)))
    return pictures


def _values(found: Explanation, truth: LabelledGenes | None) -> NDArray[np.float32] | None:
    """Return the features of the explained genes, shape ``(n, f)``, if they are known."""
    if truth is None or found.halflife_genes is None:
        return None
    row_of = {gene: row for row, gene in enumerate(truth.gene_id.tolist())}
    genes = found.halflife_genes.tolist()
    if not row_of.keys() >= set(genes):
        split = found.manifest.split
        raise DataError(
            f"the explanation of {split} has genes that {split} has not: run `raygenex explain` with --force"
        )
    return truth.features[[row_of[gene] for gene in genes]]


def logos(found: Explanation) -> list[Picture]:
    """Return the sequence logos, the first if there are many."""
    split = found.manifest.split
    return [
        Picture(from_file(f"{split}-logo-{letter}", f"Logo of {logo.title}", logo.path), logo.title, "")
        for letter, logo in zip(ascii_lowercase, found.logos[:LOGOS], strict=False)
    ]


def _assumed(found: Explanation) -> str:
    if not found.manifest.window_first_assumed:
        return ""
    return " The files do not say where the TSS is; the window was taken as centred on it."


def _dashed(method: str) -> str:
    return method.replace("_", "-")
