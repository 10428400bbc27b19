"""Motifs that recur in attributions (TF-MoDISco), and which known motifs they are (Tomtom)."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex import sequence
from raygenex.errors import DataError
from raygenex.explain.results.logos import consensus
from raygenex.explain.results.meme import read_meme, write_meme
from raygenex.explain.results.saving import write_table
from raygenex.extras import require

SHORT_WINDOW = 200
"""Windows below so many bases are searched with narrower seqlets: 15 bases and flanks of 5, not 21 and flanks of 10."""

FEWEST_SEQLETS = 20
"""Seqlets of one sign that are worth clustering, which is also the fewest a pattern is made of."""

RELIABLE_TARGETS = 25
"""With fewer known motifs, p-values depend on which ones they are: Tomtom's background is made of their columns."""

_EDGE = 0.3
"""A pattern's ends are cut where a base contributes less than this share of its strongest one, as modisco-lite does."""


@dataclass(frozen=True)
class Pattern:
    """A motif that was discovered."""

    name: str
    """``pos_0``, ``pos_1`` ..., and ``neg_0`` ... for motifs that lower the score."""
    seqlets: int
    """Places that it was made of, those of one sequence counted once."""
    frequency: NDArray[np.float64]
    """Of A, C, G, T, shape ``(length, 4)``, without the ends that contribute little."""
    contribution: NDArray[np.float64]
    """Mean attribution of each base, shape ``(length, 4)``, in logits."""

    @property
    def consensus(self) -> str:
        """The commonest base of each position, N where it is in less than half of the seqlets."""
        return consensus(self.frequency)

    @property
    def mean_contribution(self) -> float:
        """What one place of it adds to the logit on average."""
        return float(self.contribution.sum())


@dataclass(frozen=True)
class Match:
    """A known motif that resembles a discovered one."""

    pattern: str
    target: str
    p_value: float
    """Probability that a motif of chance columns fits as well, over both strands and all offsets."""
    e_value: float
    """Motifs that would fit as well by chance, among all that were compared."""
    overlap: int
    """Positions that lie on each other."""
    strand: str
    """``+``, or ``-`` where the known motif was turned around."""


def discover(bases: NDArray[np.uint8], hypothetical: NDArray[np.floating], max_seqlets: int = 20_000) -> list[Pattern]:
    """Cluster the stretches with strong contributions into motifs: TF-MoDISco (Shrikumar et al., arXiv:1811.00416).

    Parameters
    ----------
    bases
        Base indices, shape ``(n, L)``.
    hypothetical
        What each of the four bases would contribute, shape ``(n, L, 4)``. Only the longest stretch of positions that
        no gene lacks (NaN) is searched.
    max_seqlets
        Of each sign at most.

    Returns
    -------
    Those with the largest contribution over all their seqlets first; empty if nothing recurs.

    Raises
    ------
    DataError
        If the stretch is too short to hold a seqlet with its flanks.
    ConfigError
        If modisco-lite is not installed.
    """
    assert hypothetical.shape == (*bases.shape, 4), (bases.shape, hypothetical.shape)
    window = complete_stretch(hypothetical)
    length = window.stop - window.start
    short = length < SHORT_WINDOW
    width, flank = (15, 5) if short else (21, 10)
    # Room to find the threshold in: as many places for the seqlet as it and its flanks are long.
    least = 2 * (width + 2 * flank) - 1
    if length < least:
        raise DataError(f"attributions of {length} bases are too few to discover motifs in: explain {least} or more")
    modisco = require("modiscolite.tfmodisco", "modisco-lite", "motifs", "the discovery of motifs")
    # A position without known bases has no frequencies there.
    with np.errstate(invalid="ignore"):
        found = modisco.TFMoDISco(
            one_hot=sequence.to_one_hot(bases[:, window]).astype(np.float32),
            hypothetical_contribs=np.ascontiguousarray(hypothetical[:, window], dtype=np.float32),
            sliding_window_size=width,
            flank_size=flank,
            trim_to_window_size=width + (5 if short else 9),
            initial_flank_to_add=flank,
            min_metacluster_size=FEWEST_SEQLETS,
            # The defaults, 0.03 and 0.2 of all places, are for a few hundred bases; in long windows they would make
            # seqlets of noise. So many places pass around one to ten seqlets per gene.
            min_passing_windows_frac=min(0.03, width / length),
            max_passing_windows_frac=min(0.2, 10 * width / length),
            max_seqlets_per_metacluster=max_seqlets,
            n_leiden_runs=10,
        )
    patterns = []
    for sign, group in zip(("pos", "neg"), found, strict=True):
        ranked = sorted(group or [], key=lambda one: -len(one.seqlets) * abs(one.contrib_scores.sum()))
        patterns += [_pattern(f"{sign}_{i}", one) for i, one in enumerate(ranked)]
    return sorted(patterns, key=lambda one: -one.seqlets * abs(one.mean_contribution))


def complete_stretch(hypothetical: NDArray[np.floating]) -> slice:
    """Return the longest run of positions at which no gene has NaN, the first if several are; shape ``(n, L, 4)``."""
    known = np.concatenate([[False], np.isfinite(hypothetical).all(axis=(0, 2)), [False]])
    edges = np.flatnonzero(known[1:] != known[:-1]).reshape(-1, 2)
    if not len(edges):
        return slice(0, 0)
    start, stop = edges[np.argmax(edges[:, 1] - edges[:, 0])]
    return slice(int(start), int(stop))


def match(
    patterns: Sequence[Pattern], known: Mapping[str, NDArray[np.float64]], count: int = 3, most_p: float = 0.05
) -> list[Match]:
    """Compare discovered motifs with known ones: Tomtom (Gupta et al., Genome Biol 8:R24, 2007).

    Parameters
    ----------
    patterns
        Discovered ones.
    known
        Base frequencies by name, shape ``(length, 4)``, as `raygenex.explain.results.meme.read_meme` returns them.
    count
        Best matches of each pattern that are kept.
    most_p
        Largest p-value that is one.

    Raises
    ------
    ConfigError
        If memelite is not installed.
    """
    if not patterns:
        return []
    memelite = require("memelite", "memelite", "motifs", "matching motifs")
    names = list(known)
    with warnings.catch_warnings():
        # Of few targets; the table says so itself.
        warnings.simplefilter("ignore", UserWarning)
        p_values, _, _, overlaps, strands = memelite.tomtom(
            [one.frequency.T for one in patterns], [known[name].T for name in names]
        )
    return [
        Match(
            one.name,
            names[i],
            float(p[i]),
            float(p[i]) * len(names),
            int(overlap[i]),
            "-" if strand[i] else "+",
        )
        for one, p, overlap, strand in zip(patterns, p_values, overlaps, strands, strict=True)
        for i in np.argsort(p, kind="stable")[:count]
        if p[i] <= most_p
    ]


def write_motifs(
    folder: Path, patterns: Sequence[Pattern], matches: Sequence[Match] | None, targets: int = 0
) -> str | None:
    """Write motifs.csv, motifs.meme and, where motifs were compared, matches.csv.

    Parameters
    ----------
    folder
        Where to; made if it is not there.
    patterns
        Discovered motifs; none makes a table of its heading alone.
    matches
        From `match`; None: nothing was compared.
    targets
        Known motifs that were compared.

    Returns
    -------
    A sentence for the reader: that nothing was found, or why p-values are to be read with care; None if all is well.
    """
    rows: list[tuple[object, ...]] = [
        (one.name, one.seqlets, one.consensus, f"{one.mean_contribution:.6g}") for one in patterns
    ]
    write_table(folder / "motifs.csv", ("motif", "seqlets", "consensus", "mean_contribution"), rows)
    write_meme(
        folder / "motifs.meme",
        {one.name: one.frequency for one in patterns},
        {one.name: one.seqlets for one in patterns},
    )
    if matches is not None:
        names = ("motif", "target", "p_value", "e_value", "overlap", "strand")
        cells = [
            (one.pattern, one.target, f"{one.p_value:.3g}", f"{one.e_value:.3g}", one.overlap, one.strand)
            for one in matches
        ]
        write_table(folder / "matches.csv", names, cells)
    if not patterns:
        return f"no motif recurs in the attributions: fewer than {FEWEST_SEQLETS} alike places stand out"
    if matches is not None and targets < RELIABLE_TARGETS:
        return (
            f"p-values against {targets} known motifs depend on which ones they are: "
            f"compare with at least {RELIABLE_TARGETS}"
        )
    return None


def known_motifs(path: str | None) -> dict[str, NDArray[np.float64]] | None:
    """Read the MEME file of the configuration, before anything long is computed; None where none is named.

    Raises
    ------
    DataError
        If it cannot be read or holds no motif.
    """
    return None if path is None else read_meme(path)


def _pattern(name: str, found: Any) -> Pattern:
    frequency = np.asarray(found.sequence, dtype=np.float64)
    contribution = np.asarray(found.contrib_scores, dtype=np.float64)
    strength = np.abs(contribution.sum(axis=1))
    strong = np.flatnonzero(strength >= _EDGE * strength.max())
    kept = slice(strong[0], strong[-1] + 1)
    # An unknown base adds to no frequency.
    total = np.maximum(frequency[kept].sum(axis=1, keepdims=True), 1e-9)
    return Pattern(name, len(found.seqlets), frequency[kept] / total, contribution[kept])
