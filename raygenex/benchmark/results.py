"""What the trainings of a comparison leave behind: one record for each, and one score per gene for each model.

Several seeds of a model are shown by their mean and spread, never by the best of them. The mean probability over
the seeds stands for the model where one score per gene is needed, and the seed of the median valid AUROC where one
training is. The best model is the one with the highest mean valid AUROC: the split that models are compared on
chooses nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from raygenex.errors import DataError
from raygenex.stats.compare import mean_probability, seed_summary
from raygenex.stats.metrics import METRICS
from raygenex.stats.resamples import Floats


class Trained(Protocol):
    """What the trainings of all kinds of comparisons have: of the label, and of targets."""

    @property
    def seed(self) -> int:
        """Seed of the training."""

    @property
    def score(self) -> float:
        """The number on valid that chooses between trainings; more is better."""

    @property
    def epochs(self) -> tuple[float, ...]:
        """The same after every epoch, epoch 0 first; empty for a model without epochs."""

    @property
    def error(self) -> str | None:
        """Why the training failed; None otherwise."""


S = TypeVar("S", bound=Trained)


@dataclass(frozen=True, eq=False)
class SeedResult:
    """One training: what it scored and cost, or the sentence that says why it failed."""

    seed: int
    valid: Mapping[str, float] = field(default_factory=dict)
    """All of `METRICS` on valid."""
    test: Mapping[str, float] = field(default_factory=dict)
    """All of `METRICS` on the split that the models are compared on."""
    gene_ids: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))
    """Genes of that split, shape ``(N,)``, in any order."""
    labels: NDArray[np.integer] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Their labels, 0 or 1, shape ``(N,)``."""
    probability: Floats = field(default_factory=lambda: np.empty(0))
    """Their probabilities of high expression, shape ``(N,)``."""
    threshold: float = math.nan
    """Probability from which a gene is called high, chosen on valid."""
    seconds: float = math.nan
    """Seconds the training took; NaN if it was interrupted and went on later."""
    peak_mb: float = math.nan
    """Most memory it held, in MB."""
    epochs: tuple[float, ...] = ()
    """Valid AUROC after every epoch, epoch 0 first; empty for a model without epochs."""
    error: str | None = None
    """Why the training failed; everything but the seed is empty then."""

    @property
    def score(self) -> float:
        """AUROC on valid."""
        return self.valid["auroc"]

    def __post_init__(self) -> None:
        if self.error is None:
            assert set(METRICS) <= set(self.valid) & set(self.test), (sorted(self.valid), sorted(self.test))
            assert len(self.gene_ids) == len(self.labels) == len(self.probability) > 0, len(self.gene_ids)
            assert len(np.unique(self.gene_ids)) == len(self.gene_ids), "a gene is there twice"


@dataclass(frozen=True, eq=False)
class ModelResult(Generic[S]):
    """All trainings of one model."""

    name: str
    kind: str
    seeds: tuple[S, ...]

    @property
    def finished(self) -> tuple[S, ...]:
        """The trainings that did not fail."""
        return tuple(result for result in self.seeds if result.error is None)

    @property
    def mean_score(self) -> float | None:
        """Mean score on valid, the AUROC of a label, of the trainings that did not fail; None if all failed."""
        scores = [result.score for result in self.finished]
        return seed_summary(scores).mean if scores else None

    @property
    def median_seed(self) -> S | None:
        """The training whose score on valid is the median, the lower of two in the middle; None if all failed."""
        ranked = sorted(self.finished, key=lambda result: (result.score, result.seed))
        return ranked[(len(ranked) - 1) // 2] if ranked else None


class MeanScores(NamedTuple):
    """Genes and labels, shape ``(N,)``, and the mean probability of each model, shape ``(N,)``."""

    gene_ids: NDArray[np.str_]
    labels: NDArray[np.integer]
    probability: dict[str, Floats]


def best_model(results: Sequence[ModelResult[S]]) -> str | None:
    """Return the name of the model with the highest mean score on valid, the first of equals; None if all failed."""
    means = {result.name: result.mean_score for result in results}
    known = {name: mean for name, mean in means.items() if mean is not None}
    return max(known, key=known.__getitem__, default=None)


def mean_scores(results: Sequence[ModelResult[SeedResult]]) -> MeanScores:
    """Average the probabilities of every model over its finished seeds, all in one order of genes.

    Parameters
    ----------
    results
        The models; those that failed altogether are left out.

    Returns
    -------
    Genes in ascending order of their names; empty arrays if every training failed.

    Raises
    ------
    DataError
        If two trainings scored other genes, or other labels of them.
    """
    genes, labels = np.empty(0, dtype=np.str_), np.empty(0, dtype=np.int64)
    probability: dict[str, Floats] = {}
    first = ""
    for model in results:
        seeds = []
        for result in model.finished:
            order = np.argsort(result.gene_ids)
            found, truth = np.asarray(result.gene_ids)[order], np.asarray(result.labels)[order]
            name = f"{model.name}, seed {result.seed}"
            if not first:
                first, genes, labels = name, found, truth
            elif not np.array_equal(found, genes):
                common = np.intersect1d(found, genes).size
                raise DataError(
                    f"{name} scored {found.size} genes and {first} {genes.size}, of which {common} are the same: "
                    "evaluate both on the same split, then compare them"
                )
            elif not np.array_equal(truth, labels):
                gene = genes[np.flatnonzero(truth != labels)[0]]
                raise DataError(
                    f"{name} and {first} disagree on the label of gene {gene}: evaluate both on the same data"
                )
            seeds.append(np.asarray(result.probability)[order])
        if seeds:
            probability[model.name] = mean_probability(seeds)
    return MeanScores(genes, labels, probability)
