"""Base indices through a frozen backbone into binned embeddings, a batch at a time."""

from typing import Any

import numpy as np
import torch


def lowered(settings: dict[str, Any], device: str) -> torch.autocast:
    """Return the context that embeds in the configured precision; only a GPU lowers it."""
    lower = device.startswith("cuda") and settings["precision"] == "bf16"
    return torch.autocast("cuda", torch.bfloat16, enabled=lower)


def embed_sequences(
    backbone: Any, sequence: np.ndarray, settings: dict[str, Any], device: str, batch_size: int
) -> np.ndarray:
    """Embed base indices and pool them into bins.

    Parameters
    ----------
    backbone
        A HyenaDNA in evaluation mode on ``device``.
    sequence
        Base indices, shape ``(n, window)``, uint8.
    settings
        ``bin_size``, ``pooling``, ``dtype`` and ``precision`` as in the ``embed`` section.
    device
        Torch device.
    batch_size
        Genes per forward pass.

    Returns
    -------
    Shape ``(n, bins, d_model)`` in the configured number format.
    """
    on_gpu = device.startswith("cuda")
    pooled = []
    with torch.inference_mode(), lowered(settings, device):
        for start in range(0, len(sequence), batch_size):
            codes = torch.from_numpy(np.array(sequence[start : start + batch_size]))
            # Between page-locked memory and a GPU nothing waits: batches queue up behind each other.
            codes = codes.pin_memory().to(device, non_blocking=True) if on_gpu else codes.to(device)
            bins = backbone.embed_bins(codes, settings["bin_size"], settings["pooling"])
            pooled.append(bins.to(getattr(torch, settings["dtype"])).to("cpu", non_blocking=on_gpu))
    if on_gpu:
        torch.cuda.synchronize(device)
    return np.concatenate([bins.numpy() for bins in pooled])
