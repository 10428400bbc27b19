"""Levels of simulated genes in tissues: what all share, what each reads of the DNA in its own way, and noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import SimulateConfig
from raygenex.data.hdf5.schema import Target
from raygenex.data.simulate.motifs import MOTIFS
from raygenex.data.simulate.truth import SimulatedTruth
from raygenex.stats.quantities import quantity_metrics, specificity

UNIT = "standard deviations of the true level"


@dataclass(frozen=True)
class Tissues:
    """The levels of genes in the tissues of a simulation."""

    names: tuple[str, ...]
    level: NDArray[np.float64]
    """What a perfect model predicts, shape ``(n, T)``."""
    measured: NDArray[np.float32]
    """With noise, shape ``(n, T)``; NaN where nothing was measured."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the promoter files say of them."""
        return tuple(Target(name, "continuous", UNIT) for name in self.names)

    def ceilings(self, rows: slice) -> dict[str, float | None]:
        """Return what a perfect model reaches on some genes.

        Returns
        -------
        ``target_pearson``, the mean of Pearson's r over tissues, and ``target_specificity`` as of
        `raygenex.stats.quantities.specificity`; None where too few genes were measured.
        """
        each = [
            _pearson(measured, level) for measured, level in zip(self.measured[rows].T, self.level[rows].T, strict=True)
        ]
        told = {
            "target_pearson": float(np.mean(each)),
            "target_specificity": specificity(self.measured[rows], self.level[rows]),
        }
        return {name: None if np.isnan(value) else value for name, value in told.items()}


def draw_tissues(config: SimulateConfig, truth: SimulatedTruth, rng: np.random.Generator) -> Tissues:
    """Draw the levels of genes in ``config.targets`` tissues.

    A level is ``sqrt(1 - s)`` times what all tissues share, the standardised log-odds of label 1 without label noise,
    and ``sqrt(s)`` times the tissue's own part, where ``s`` is ``config.target_specific``. That part is a standardised
    sum over motifs: the summed strengths of a gene's sites, standardised over genes, times a weight that is drawn from
    a normal distribution for each tissue and motif; what all share is taken out of it, so that a level's variance is 1.
    What is measured has normal noise of standard deviation ``config.target_noise`` besides, and a share
    ``config.target_missing`` of it is missing.
    """
    count, genes = config.targets, len(truth.sites)
    strengths = np.zeros((genes, len(MOTIFS)))
    place = {motif.name: number for number, motif in enumerate(MOTIFS)}
    for gene, sites in enumerate(truth.sites):
        for site in sites:
            strengths[gene, place[site.motif.name]] += site.strength
    shared = _standardised(config.dna_effect * truth.dna_score + config.halflife_effect * truth.halflife_score)
    own = _standardised(strengths) @ rng.standard_normal((len(MOTIFS), count))
    # What a tissue reads as all do is no part of its own, and a level's variance is the sum of both parts.
    own = _standardised(own - np.outer(shared, shared @ own / max(genes, 1)))
    level = np.sqrt(1 - config.target_specific) * shared[:, None] + np.sqrt(config.target_specific) * own
    measured = level + config.target_noise * rng.standard_normal(level.shape)
    measured[rng.random(level.shape) < config.target_missing] = np.nan
    digits = len(str(count))
    names = tuple(f"tissue{number:0{digits}d}" for number in range(1, count + 1))
    return Tissues(names, level, measured.astype(np.float32))


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns with mean 0 and standard deviation 1 over genes; a constant is 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _pearson(measured: NDArray[np.float32], level: NDArray[np.float64]) -> float:
    known = ~np.isnan(measured)
    return quantity_metrics(measured[known], level[known])["pearson"] if known.any() else np.nan
