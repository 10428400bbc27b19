"""Importance along the promoter: the mean over genes at every position, with its uncertainty, and the top positions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.results.saving import write_table
from raygenex.files.whole import whole_file

Floats = NDArray[np.float64]

RESAMPLES = 1000
"""Resamples of the genes for a band: its ends are then off by about a tenth of their distance from the mean."""

# Values of one block, resamples x positions or genes x positions: 16 MiB an array of float32.
_BLOCK = 2**22


@dataclass(frozen=True)
class Profile:
    """Importance of every position, averaged over a group of genes."""

    position: NDArray[np.int64]
    """Bases from the TSS, shape ``(L,)``."""
    mean: Floats
    """Mean absolute attribution, shape ``(L,)``, smoothed; NaN where no gene has a value."""
    low: Floats
    """Lower end of the interval of ``mean``, shape ``(L,)``."""
    high: Floats
    """Upper end of it, shape ``(L,)``."""
    signed: Floats
    """Mean attribution with its sign, shape ``(L,)``, smoothed in the same way."""
    genes: int
    """Genes in the group."""


@dataclass(frozen=True)
class TopPositions:
    """The positions that matter most to the genes predicted high, and their attributions gene by gene."""

    position: NDArray[np.int64]
    """Bases from the TSS, shape ``(k,)``, the most important first."""
    importance: Floats
    """Mean absolute attribution over all genes predicted high, shape ``(k,)``."""
    gene_id: NDArray[np.str_]
    """Genes predicted high, shape ``(g,)``, the most probable first."""
    value: NDArray[np.float32]
    """Attributions with their sign, shape ``(g, k)``."""
    predicted_high: int
    """Genes that ``importance`` is the mean of."""


def profiles(
    attribution: NDArray[np.float32],
    predicted_high: NDArray[np.bool_],
    window_first: int,
    smoothing: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Profile]:
    """Average the absolute attributions of all genes, of those predicted high, and of those predicted low.

    Parameters
    ----------
    attribution
        Shape ``(n, L)``; NaN where nothing was computed, which is left out of every mean.
    predicted_high
        Shape ``(n,)``.
    window_first
        Bases from the TSS of the first position.
    smoothing
        Width in bases of the moving average, see `smooth`.
    confidence
        Coverage of the intervals, each for its own position, in (0, 1).
    seed
        Of the resamples.
    resamples
        How often the genes are drawn again, with replacement; the percentile bootstrap of Efron (1979).

    Returns
    -------
    By ``all``, ``high`` and ``low``; a group without genes is left out.
    """
    assert len(attribution) == len(predicted_high), (attribution.shape, predicted_high.shape)
    members = {"all": np.ones(len(predicted_high), dtype=bool), "high": predicted_high, "low": ~predicted_high}
    return {
        name: _profile(attribution, np.flatnonzero(chosen), window_first, smoothing, confidence, seed, resamples)
        for name, chosen in members.items()
        if chosen.any()
    }


def _profile(
    attribution: NDArray[np.float32],
    rows: NDArray[np.intp],
    window_first: int,
    smoothing: int,
    confidence: float,
    seed: int,
    resamples: int,
) -> Profile:
    genes, length = len(rows), attribution.shape[1]
    rng = np.random.default_rng(seed)
    # How often each gene is in each resample: a mean of a resample is then one row of a matrix product.
    counts = rng.multinomial(genes, np.full(genes, 1 / genes), size=resamples).astype(np.float32)
    mean, signed, low, high = (np.full(length, np.nan) for _ in range(4))
    before, after = smoothing // 2, (smoothing - 1) // 2
    width = max(_BLOCK // max(genes, resamples) - smoothing, smoothing)
    tail = 100 * (1 - confidence) / 2
    for start in range(0, length, width):
        stop = min(start + width, length)
        # With the neighbours that the moving average needs.
        first, last = max(start - before, 0), min(stop + after, length)
        inner = slice(start - first, stop - first)
        block = attribution[rows, first:last]
        known = np.isfinite(block)
        block = np.where(known, block, np.float32(0))
        total = known.sum(axis=0)
        with np.errstate(invalid="ignore"):
            signed[start:stop] = smooth(block.sum(axis=0, dtype=np.float64) / total, smoothing)[inner]
            block = np.abs(block)
            mean[start:stop] = smooth(block.sum(axis=0, dtype=np.float64) / total, smoothing)[inner]
            if known.all():
                drawn = counts @ block / np.float32(genes)
            else:
                drawn = counts @ block / (counts @ known.astype(np.float32))
        drawn = smooth(drawn, smoothing)[:, inner]
        some = np.isfinite(mean[start:stop])
        # In a resample that misses every gene with a value there is none.
        ends = np.nanpercentile(drawn[:, some], [tail, 100 - tail], axis=0)
        low[start:stop][some], high[start:stop][some] = ends
    return Profile(window_first + np.arange(length), mean, low, high, signed, genes)


def smooth(values: NDArray[np.floating], width: int) -> NDArray[np.floating]:
    """Return the moving average of ``width`` positions, at least 1, centred, along the last axis.

    Near the ends, and beside NaN, the mean is of the values that are there; a NaN stays one. An even width reaches one
    position further to the left.
    """
    assert width >= 1, width
    if width == 1:
        return values
    length = values.shape[-1]
    known = np.isfinite(values)
    starts = np.maximum(np.arange(length) - width // 2, 0)
    stops = np.minimum(np.arange(length) + (width - 1) // 2 + 1, length)
    totals = _running(np.where(known, values, 0.0))
    counts = _running(known)
    with np.errstate(invalid="ignore"):
        means = (totals[..., stops] - totals[..., starts]) / (counts[..., stops] - counts[..., starts])
    return np.where(known, means, np.nan)


def _running(values: NDArray[np.generic]) -> Floats:
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=sums[..., 1:])
    return sums


def mean_importance(attribution: NDArray[np.floating]) -> Floats:
    """Return the mean absolute attribution of every position over genes, shape ``(L,)``, NaN where there is none."""
    total, known = np.zeros((2, attribution.shape[1]))
    size = max(_BLOCK // attribution.shape[1], 1)
    for start in range(0, len(attribution), size):
        block = np.abs(attribution[start : start + size])
        total += np.nansum(block, axis=0, dtype=np.float64)
        known += np.isfinite(block).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return total / known


def top_positions(
    attribution: NDArray[np.float32],
    gene_id: NDArray[np.str_],
    probability: NDArray[np.float64],
    threshold: float,
    window_first: int,
    positions: int = 20,
    genes: int = 100,
) -> TopPositions:
    """Find the positions with the largest mean absolute attribution over the genes predicted high.

    Attributions, ``(n, L)``, are NaN where nothing was computed, and begin ``window_first`` bases from the TSS.
    There are at most so many positions and genes; equal ones are in their order in the data.
    """
    rows = np.flatnonzero(probability >= threshold)
    importance = mean_importance(attribution[rows])
    order = np.argsort(-importance, kind="stable")[: min(positions, int(np.isfinite(importance).sum()))]
    shown = rows[np.argsort(-probability[rows], kind="stable")[:genes]]
    return TopPositions(
        window_first + order, importance[order], gene_id[shown], attribution[np.ix_(shown, order)], len(rows)
    )


def write_profiles(path: Path, found: Mapping[str, Profile]) -> None:
    """Write profiles as CSV: ``position, group, mean, low, high, genes, signed``, a row per position and group."""
    rows = [
        (position, group, _cell(mean), _cell(low), _cell(high), one.genes, _cell(signed))
        for group, one in found.items()
        for position, mean, low, high, signed in zip(one.position, one.mean, one.low, one.high, one.signed, strict=True)
    ]
    write_table(path, ("position", "group", "mean", "low", "high", "genes", "signed"), rows)


def write_top(folder: Path, method: str, top: TopPositions) -> None:
    """Write ``top_METHOD.csv``, a row per position, and ``top_METHOD.npz`` with the attributions of the genes."""
    ranked = enumerate(zip(top.position, top.importance, strict=True), start=1)
    rows = [(rank, position, _cell(importance)) for rank, (position, importance) in ranked]
    write_table(folder / f"top_{method}.csv", ("rank", "position", "importance"), rows)
    with whole_file(folder / f"top_{method}.npz") as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, gene_id=top.gene_id, position=top.position, value=top.value)


def _cell(value: float) -> str:
    """Write a number in 7 digits, as many as a float32 has; nothing for NaN."""
    return "" if np.isnan(value) else f"{value:.7g}"
