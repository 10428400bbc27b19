"""What a regression on a few numbers per gene tells of labels and quantities: what a model has to beat."""

from dataclasses import dataclass
from typing import Any

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
    found = []
    for name, (fitted, measured) in features_of(train, split).items():
        logits = regress(fitted, train.label, measured[rows])
        assert logits is not None, "train has both classes"
        lead = delong(scores.label, scores.probability, logits, confidence)
        found.append(Baseline(name, auroc(scores.label, logits), lead))
    return tuple(found)


def features_of(
    train: LabelledGenes, split: LabelledGenes
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return what regressions read, in words, and its values in both, ``(genes, features)`` each."""
    found = {"half-life features": (train.halflife, split.halflife)}
    if train.composition is not None and split.composition is not None:
        found["GC content and CpG ratio"] = train.composition, split.composition
        found["both"] = (
            np.hstack([train.halflife, train.composition]),
            np.hstack([split.halflife, split.composition]),
        )
    return found


def regress(
    features: NDArray[np.float32], values: NDArray[Any], others: NDArray[np.float32], is_class: bool = True
) -> NDArray[np.float64] | None:
    """Fit standardised features with scikit-learn's default penalty, and return the predictions for others.

    Parameters
    ----------
    features
        Shape ``(n, features)``.
    values
        Shape ``(n,)``: classes for a logistic regression, or quantities for a ridge regression.
    others
        Shape ``(m, features)``.
    is_class
        Which of the two they are.

    Returns
    -------
    Logits, or predicted values, shape ``(m,)``; None if the values do not differ.
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(values)) < 2:
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression() if is_class else Ridge())
    model.fit(features.astype(np.float64), values)
    found: NDArray[np.float64] = (model.decision_function if is_class else model.predict)(others.astype(np.float64))
    return found
