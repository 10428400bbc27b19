"""From per-base embeddings to bins: the mean or the maximum over neighbouring bases."""

import torch
from torch import Tensor

from raygenex.config.embed import Pooling


def bin_count(length: int, bin_size: int) -> int:
    """Return how many bins of ``bin_size`` bases cover ``length`` bases; the last one may be partial."""
    assert length >= 1, length
    assert bin_size >= 1, bin_size
    return -(-length // bin_size)


def pool_bins(hidden: Tensor, bin_size: int, pooling: Pooling) -> Tensor:
    """Join the bases of each bin.

    Parameters
    ----------
    hidden
        Per-base embeddings, shape ``(N, L, D)``, floating point.
    bin_size
        Bases per bin, at least 1; 1 returns ``hidden`` itself. Bins start at the first base.
    pooling
        ``mean``: the sum over the bases of a bin, divided by ``bin_size``. So every base has the same weight, and a
        partial last bin is smaller by the share that it holds. ``unweighted_mean``: a partial last bin is divided by
        the bases it has, each of which weighs more than the others. ``max``: the maximum over the bases it has.

    Returns
    -------
    Shape ``(N, ceil(L / bin_size), D)``, in the number format of ``hidden``; means are accumulated in float32.
    """
    if bin_size == 1:
        return hidden
    length = hidden.shape[1]
    whole = length // bin_size
    parts = []
    if whole:
        parts.append(_join(hidden[:, : whole * bin_size].unflatten(1, (whole, bin_size)), pooling, 1.0))
    if rest := length % bin_size:
        share = rest / bin_size if pooling == "mean" else 1.0
        parts.append(_join(hidden[:, None, whole * bin_size :], pooling, share))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _join(grouped: Tensor, pooling: Pooling, share: float) -> Tensor:
    """Reduce ``(N, bins, bases, D)`` over its bases; means are multiplied by ``share``."""
    if pooling == "max":
        return grouped.amax(dim=2)
    mean = grouped.mean(dim=2, dtype=torch.float32)
    return (mean if share == 1.0 else mean * share).to(grouped.dtype)
