"""From per-base embeddings to bins: the mean or the maximum over neighbouring bases."""

from typing import Literal

import torch
from torch import Tensor


def bin_count(length: int, bin_size: int) -> int:
    """Return how many bins of ``bin_size`` bases cover ``length`` bases; the last one may be partial."""
    assert length >= 1, length
    assert bin_size >= 1, bin_size
    return -(-length // bin_size)


def pool_bins(hidden: Tensor, bin_size: int, pooling: Literal["mean", "max"]) -> Tensor:
    """Join the bases of each bin.

    Parameters
    ----------
    hidden
        Per-base embeddings, shape ``(N, L, D)``, floating point.
    bin_size
        Bases a bin, at least 1; 1 returns ``hidden`` itself. Bins start at the first base.
    pooling
        ``mean`` or ``max`` over the bases of a bin. A partial last bin counts only the bases it has.

    Returns
    -------
    Shape ``(N, ceil(L / bin_size), D)``, in the number format of ``hidden``; means are accumulated in float32.
    """
    assert pooling in {"mean", "max"}, pooling
    if bin_size == 1:
        return hidden
    length = hidden.shape[1]
    bins = bin_count(length, bin_size)
    whole = length // bin_size
    parts = []
    if whole:
        parts.append(_join(hidden[:, : whole * bin_size].unflatten(1, (whole, bin_size)), pooling))
    if whole < bins:
        parts.append(_join(hidden[:, None, whole * bin_size :], pooling))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _join(grouped: Tensor, pooling: str) -> Tensor:
    """Reduce ``(N, bins, bases, D)`` over its bases."""
    if pooling == "max":
        return grouped.amax(dim=2)
    return grouped.mean(dim=2, dtype=torch.float32).to(grouped.dtype)
