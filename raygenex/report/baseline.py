"""What a logistic regression on a few numbers per gene tells of the labels: what a model has to beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.report.dataset import LabelledGenes
from raygenex.report.evaluation import LabelledScores
from raygenex.stats.compare import delong
from raygenex.stats.metrics import auroc
from raygenex.stats.resamples import Comparison


@dataclass(frozen=True)
class Baseline:
    """A logistic regression, fitted to train and measured on the genes of a split."""

    reads: str
    """What it reads, in words."""
    auroc: float
    lead: Comparison
    """AUROC of the trained model minus this one, by DeLong's test."""


def measure_baselines(
    train: LabelledGenes, split: LabelledGenes, scores: LabelledScores, confidence: float
) -> tuple[Baseline, ...]:
    """Compare the scores of a model with those of logistic regressions on features of the same genes.

    Parameters
    ----------
    train, split
        What the regressions are fitted to and measured on.
    scores
        Of the model, for genes of ``split``, which they name.
    confidence
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    One on the half-life features; where there are promoters, one on GC content and CpG ratio, and one on both. None if
    train has a single class, or the split has fewer than two genes of one.
    """
    if len(set(train.label.tolist())) < 2 or min(scores.label.sum(), (1 - scores.label).sum()) < 2:
        return ()
    row_of = {gene: row for row, gene in enumerate(split.gene_id.tolist())}
    rows = [row_of[gene] for gene in scores.gene_id]
    fitted, measured = {"half-life features": train.halflife}, {"half-life features": split.halflife}
    if train.composition is not None and split.composition is not None:
        name = "GC content and CpG ratio"
        fitted[name], measured[name] = train.composition, split.composition
        fitted["both"] = np.hstack([train.halflife, train.composition])
        measured["both"] = np.hstack([split.halflife, split.composition])
    found = []
    for name, features in fitted.items():
        logits = _regress(features, train.label, measured[name][rows])
        lead = delong(scores.label, scores.probability, logits, confidence)
        found.append(Baseline(name, auroc(scores.label, logits), lead))
    return tuple(found)


def _regress(
    features: NDArray[np.float32], label: NDArray[np.uint8], others: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Fit standardised features with scikit-learn's default penalty, and return the logits of others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression())
    logits: NDArray[np.float64] = model.fit(features.astype(np.float64), label).decision_function(
        others.astype(np.float64)
    )
    return logits
