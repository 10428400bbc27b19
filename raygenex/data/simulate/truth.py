"""The rule behind simulated genes: islands, sites and half-life features, the scores they make, and the labels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import SimulateConfig
from raygenex.data.simulate.motifs import MOTIFS, Motif
from raygenex.stats import metrics

SCORE_SD = 1.5
"""Standard deviation of both scores: with effects of 1.7 log-odds a unit, the best possible AUROC is about 0.94."""

ISLAND_SHARE = 0.6
"""Share of promoters in a CpG island; Saxonov et al., PNAS 103:1412 (2006), find about 0.7 in human."""

ISLAND_STRENGTH = (0.5, 1.0)
"""Range of the strengths of islands, all equally likely."""

HALFLIFE_EFFECTS = np.array([-0.4, -0.3, 0.3, -0.6, -0.5, 0.3, -0.4, 0.9])
"""What one standard deviation of each half-life feature adds to the raw half-life score, in their order."""

INTERACTIONS = ((3, 7, 1.0),)
"""Pairs of features, here UTR3LEN with ORFEXONDENSITY, and the weight of each pair's product."""

GC_MEAN, GC_SD = np.array([0.62, 0.53, 0.44]), np.array([0.16, 0.09, 0.11])
"""Mean and standard deviation of UTR5GC, CDSGC, UTR3GC: those of human genes, rounded."""

DENSITY_MEDIAN, DENSITY_LOG_SD = 6.0, 0.45
"""Median of ORFEXONDENSITY, that of human genes rounded, and the standard deviation of its natural logarithm."""

COLUMNS = (
    "gene_id",
    "split",
    "dna_score",
    "halflife_score",
    "probability",
    "label",
    "flipped",
    "island",
    "motifs",
)

_PLACING_ATTEMPTS = 20


@dataclass(frozen=True)
class Site:
    """A planted motif."""

    motif: Motif
    position: int
    """Leftmost base on the sense strand, from the TSS."""
    strand: str
    """``+`` or ``-``."""
    mismatches: int

    @property
    def strength(self) -> float:
        """What its effect is multiplied by, 0.5 to 1."""
        return self.motif.strength(self.mismatches)

    def __str__(self) -> str:
        return f"{self.motif.name}:{self.position}:{self.strand}:{self.strength:.3g}"


@dataclass(frozen=True)
class SimulatedTruth:
    """Everything about the genes but their bases; arrays of one value (or row) per gene."""

    island: NDArray[np.float64]
    """Strength of the CpG island, 0 without one."""
    sites: list[list[Site]]
    halflife: NDArray[np.float32]
    """Features in the units of `raygenex.data.features`, shape ``(n, 8)``."""
    dna_score: NDArray[np.float64]
    halflife_score: NDArray[np.float64]
    probability: NDArray[np.float64]
    """Of label 1, label noise included."""
    label: NDArray[np.uint8]
    flipped: NDArray[np.bool_]
    """Whether label noise turned the label."""

    def line(self, i: int, gene_id: str, split: str) -> str:
        """Return the tab-separated values of `COLUMNS` for one gene, without an end of line."""
        scores = f"{self.dna_score[i]:.6f}\t{self.halflife_score[i]:.6f}\t{self.probability[i]:.6f}"
        sites = ";".join(map(str, self.sites[i]))
        return f"{gene_id}\t{split}\t{scores}\t{self.label[i]}\t{self.flipped[i]:d}\t{self.island[i]:.6f}\t{sites}"


def draw_truth(config: SimulateConfig, n: int, rng: np.random.Generator) -> SimulatedTruth:
    """Draw the truth of ``n`` genes.

    The raw DNA score adds ``config.island_effect`` times the island's strength and, of every site,
    ``config.motif_effect`` times its motif's effect times its strength.
    The raw half-life score adds `HALFLIFE_EFFECTS` times the standardised features (ORFEXONDENSITY by its logarithm)
    and ``config.interaction`` times the weighted products of `INTERACTIONS`. Both are centred and scaled to `SCORE_SD`
    over the genes. A label is 1 with probability ``sigmoid(dna_effect * dna_score + halflife_effect *
    halflife_score)``, and is then turned with probability ``label_noise``.
    """
    has_island = rng.random(n) < ISLAND_SHARE
    island = np.where(has_island, rng.uniform(*ISLAND_STRENGTH, n), 0.0)
    sites = [place_motifs(config.window, rng) for _ in range(n)]
    planted = np.array([sum(site.motif.effect * site.strength for site in placed) for placed in sites])
    dna = config.island_effect * island + config.motif_effect * planted
    halflife, features = _draw_halflife(n, rng)
    stability = features @ HALFLIFE_EFFECTS
    for first, second, weight in INTERACTIONS:
        stability += config.interaction * weight * features[:, first] * features[:, second]
    dna_score, halflife_score = _standardised(dna), _standardised(stability)
    logit = config.dna_effect * dna_score + config.halflife_effect * halflife_score
    clean = 1 / (1 + np.exp(-logit))
    flipped = rng.random(n) < config.label_noise
    label = (rng.random(n) < clean) ^ flipped
    probability = config.label_noise + (1 - 2 * config.label_noise) * clean
    return SimulatedTruth(
        island, sites, halflife, dna_score, halflife_score, probability, label.astype(np.uint8), flipped
    )


def place_motifs(window: int, rng: np.random.Generator) -> list[Site]:
    """Give one promoter its sites, none over another; a site that finds no room is left out, of the truth too.

    Parameters
    ----------
    window
        Bases of the promoter, the TSS at ``window // 2``.
    rng
        Draws which motifs, where, on which strand and with how many mismatches.
    """
    tss = window // 2
    taken = np.zeros(window, dtype=bool)
    placed = []
    for motif in MOTIFS:
        if rng.random() >= motif.share:
            continue
        ranges = [(max(low, -tss), min(high, window - tss - motif.length)) for low, high in motif.ranges]
        positions = np.concatenate([np.arange(low, high + 1) for low, high in ranges])
        if not len(positions):
            continue
        for _ in range(int(rng.integers(motif.copies[0], motif.copies[1] + 1))):
            for position in rng.choice(positions, _PLACING_ATTEMPTS).tolist():
                start = tss + position
                if not taken[start : start + motif.length].any():
                    taken[start : start + motif.length] = True
                    strand = "-" if motif.both_strands and rng.random() < 0.5 else "+"
                    placed.append(Site(motif, position, strand, int(rng.integers(motif.mismatches + 1))))
                    break
    return placed


def auroc(label: NDArray[np.uint8], score: NDArray[np.float64]) -> float | None:
    """Return the area under the ROC curve (`raygenex.stats.metrics.auroc`); None if there is one class only."""
    area = metrics.auroc(label, score)
    return None if math.isnan(area) else area


def _draw_halflife(n: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the features in their units, and standardised; the first tell the second, whatever was clipped."""
    features = rng.standard_normal((n, len(HALFLIFE_EFFECTS)))
    halflife = features.copy()
    halflife[:, 4:7] = np.clip(GC_MEAN + GC_SD * features[:, 4:7], 0, 1)
    features[:, 4:7] = (halflife[:, 4:7] - GC_MEAN) / GC_SD
    # Positive with a long tail.
    halflife[:, 7] = DENSITY_MEDIAN * np.exp(DENSITY_LOG_SD * features[:, 7])
    spread = np.exp(DENSITY_LOG_SD**2)
    mean, sd = DENSITY_MEDIAN * np.sqrt(spread), DENSITY_MEDIAN * np.sqrt(spread * (spread - 1))
    features[:, 7] = (halflife[:, 7] - mean) / sd
    return halflife.astype(np.float32), features


def _standardised(score: NDArray[np.float64]) -> NDArray[np.float64]:
    sd = score.std()
    # Few enough genes may all score alike.
    return SCORE_SD * (score - score.mean()) / sd if sd > 0 else np.zeros_like(score)
