"""Numbers of a promoter without a network: how often each short word occurs, where, and which bases are at the TSS.

Everything here is arithmetic on arrays.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raygenex.config.model import KmerConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.sequence import ALPHABET, UNKNOWN, centre_crop

# Positions that are worked on at once: some 32 MiB an array, whatever the number of genes and the window.
_BLOCK = 2**22


def feature_names(config: KmerConfig, length: int, beside: Sequence[str] = HALFLIFE_FEATURES) -> list[str]:
    """Return the names of the columns of `kmer_features` for promoters of some length, in order.

    A k-mer's count is its letters (``ACG``), a count by region has the region's first and last base behind it
    (``ACG[0:14]``), a base its distance from the window's centre (``A@-3``), and a half-life feature its own name.
    """
    if not length:
        return list(beside) * config.halflife
    words = {k: ["".join(word) for word in itertools.product(ALPHABET[:4], repeat=k)] for k in _lengths(config)}
    names = list(itertools.chain.from_iterable(words.values()))
    bounds = _region_bounds(config, length)
    for k in _region_lengths(config):
        for first, stop in itertools.pairwise(bounds):
            names += [f"{word}[{first}:{stop}]" for word in words[k]]
    shown = min(config.onehot_bases, length)
    names += [f"{base}@{place - shown // 2:+d}" for place in range(shown) for base in ALPHABET[:4]]
    return names + list(beside) * config.halflife


def feature_count(config: KmerConfig, length: int, beside: int = len(HALFLIFE_FEATURES)) -> int:
    """Return the number of columns of `kmer_features`, of so many features ``beside`` the DNA."""
    if not length:
        return beside * config.halflife
    regional = config.regions * sum(4**k for k in _region_lengths(config))
    shown = 4 * min(config.onehot_bases, length)
    return sum(4**k for k in _lengths(config)) + regional + shown + beside * config.halflife


def kmer_features(
    sequence: NDArray[np.uint8], halflife: NDArray[np.float32] | None, config: KmerConfig
) -> NDArray[np.float32]:
    """Turn promoters into a table of numbers, one row per gene.

    In order: the counts of all k-mers of each length in ``config.k``; for lengths up to ``config.region_k`` the
    counts in each of ``config.regions`` equal regions, a k-mer belonging to the region of its first base; the
    one-hot bases around the window's centre; the half-life features as they are. A k-mer with an unknown base counts
    nowhere, and an unknown base is four zeros.

    Parameters
    ----------
    sequence
        Base indices, shape ``(n, length)``, values 0 to 4; of length 0 for genes without promoters.
    halflife
        Features in their own units, shape ``(n, features)``; may be None where ``config.halflife`` is false.
    config
        Which features to make.

    Returns
    -------
    Shape ``(n, feature_count(config, length))``, float32.
    """
    genes, length = sequence.shape
    beside = 0 if halflife is None else halflife.shape[1]
    table = np.empty((genes, feature_count(config, length, beside)), dtype=np.float32)
    step = max(1, _BLOCK // max(1, length))
    for start in range(0, genes if length else 0, step):
        rows = slice(start, start + step)
        _fill(table[rows], sequence[rows], config)
    if config.halflife:
        assert halflife is not None, "this model needs half-life features"
        table[:, -beside:] = halflife
    return table


def _fill(table: NDArray[np.float32], sequence: NDArray[np.uint8], config: KmerConfig) -> None:
    """Write the features of some genes, but for the half-life ones, into their rows of the table."""
    length = sequence.shape[1]
    bounds = _region_bounds(config, length)
    region = np.searchsorted(bounds, np.arange(length), side="right") - 1
    counts = _counts(sequence, region, config)
    at = 0
    for k in _lengths(config):
        table[:, at : at + 4**k] = counts[k].sum(axis=1)
        at += 4**k
    for k in _region_lengths(config):
        width = config.regions * 4**k
        table[:, at : at + width] = counts[k].reshape(len(table), width)
        at += width
    shown = min(config.onehot_bases, length)
    hot = centre_crop(sequence, shown)[..., None] == np.arange(4, dtype=np.uint8)
    table[:, at : at + 4 * shown] = hot.reshape(len(table), 4 * shown)


def _counts(sequence: NDArray[np.uint8], region: NDArray[np.intp], config: KmerConfig) -> dict[int, NDArray[np.int64]]:
    """Return the counts of each length's k-mers, shape ``(n, regions, 4**k)``; one region where asked for none."""
    genes, length = sequence.shape
    found = {}
    # Codes of length k come from those of length k - 1 and the next base; an unknown base spoils all that hold it.
    code = np.zeros((genes, length + 1), dtype=np.int64)
    known = np.ones((genes, length + 1), dtype=bool)
    row = np.arange(genes, dtype=np.int64)[:, None]
    for k in range(1, max(_lengths(config)) + 1):
        last = sequence[:, k - 1 :]
        code = 4 * code[:, : last.shape[1]] + last
        known = known[:, : last.shape[1]] & (last < UNKNOWN)
        if k not in _lengths(config):
            continue
        regional = k in _region_lengths(config)
        regions = config.regions if regional else 1
        place = row * regions + region[: last.shape[1]] if regional else row
        # One word more than there are takes the spoilt ones, and is cut off.
        word = np.where(known, code, 4**k)
        bins = np.bincount((place * (4**k + 1) + word).ravel(), minlength=genes * regions * (4**k + 1))
        found[k] = bins.reshape(genes, regions, 4**k + 1)[..., :-1]
    return found


def _lengths(config: KmerConfig) -> list[int]:
    return sorted(set(config.k))


def _region_lengths(config: KmerConfig) -> list[int]:
    """Return the lengths that are counted by region; one region would be the whole window, counted anyway."""
    return [k for k in _lengths(config) if k <= config.region_k and config.regions > 1]


def _region_bounds(config: KmerConfig, length: int) -> list[int]:
    return [region * length // config.regions for region in range(config.regions + 1)]
