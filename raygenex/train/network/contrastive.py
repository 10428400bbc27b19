"""Pretraining of the half-life encoder by a triplet loss, without labels."""

from collections.abc import Callable

import torch
from torch import Tensor

from raygenex.config.model import HalflifeConfig
from raygenex.models.halflife import (
    FeatureScaler,
    HalflifeEncoder,
    fitted_scaler,
    triplet_loss,
    triplet_violation,
)

# Share of satisfied triplets from which a second pass over the others alone costs less than one over all.
FEW = 0.75


def pretrain_encoder(
    halflife: Tensor,
    config: HalflifeConfig,
    seed: int,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    device: str = "cpu",
) -> tuple[FeatureScaler, HalflifeEncoder]:
    """Learn the encoder from the features alone.

    A gene's positive is itself plus Gaussian noise, in units of each feature's standard deviation. Its negative is
    another gene: an epoch draws one permutation of all genes, and within its batches every code is compared with the
    next one's, so each gene is a negative once per epoch, never its own, and no code is computed twice.

    Parameters
    ----------
    halflife
        Features of the training genes, shape ``(N, features)``, N at least 2, in their own units; NaN where missing.
    config
        Sizes, margin, noise, learning rate, batch size and epochs.
    seed
        Seed of weights, permutations and noise.
    on_epoch
        Called after each epoch with ``epoch`` (from 0), ``triplet_loss`` and ``triplet_satisfied`` (a fraction).
    device
        Torch device.

    Returns
    -------
    The fitted scaler and the encoder, on the CPU, in evaluation mode.
    """
    assert len(halflife) >= 2, "a negative needs a second gene"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = HalflifeEncoder(config.channels, config.bins or 1).to(device)
    scaler = fitted_scaler(halflife, config.bins)
    features = scaler.standardise(halflife.float()).to(device)
    scaler.to(device)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate)
    # No piece is smaller than the batch size, so no gene is left alone without a negative.
    pieces = max(1, len(features) // config.batch_size)
    satisfied = 0.0
    for epoch in range(config.epochs):
        loss_sum = satisfied_sum = 0.0
        for rows in torch.randperm(len(features), generator=generator).tensor_split(pieces):
            anchor = features[rows.to(device)]
            noise = torch.randn(anchor.shape, generator=generator).to(device) * config.noise
            # What is missing stays so.
            noise[:, scaler.features :] = 0.0
            inputs = scaler.read(torch.cat([anchor, anchor + noise]))
            optimizer.zero_grad(set_to_none=False)
            step = _sparse_step if satisfied > FEW else _step
            loss, satisfied = step(encoder, inputs, config.margin)
            optimizer.step()
            loss_sum += loss * len(rows)
            satisfied_sum += satisfied * len(rows)
        if on_epoch:
            on_epoch(
                {
                    "epoch": epoch,
                    "triplet_loss": loss_sum / len(features),
                    "triplet_satisfied": satisfied_sum / len(features),
                }
            )
    return scaler.cpu(), encoder.cpu().eval()


def _step(encoder: HalflifeEncoder, inputs: Tensor, margin: float) -> tuple[float, float]:
    """Add the gradient of the mean loss; return the loss and the fraction of satisfied triplets.

    ``inputs`` are anchors and then positives, ``(2 N, channels, positions)``; a gene's negative is the one before.
    """
    code, positive = encoder(inputs).chunk(2)
    loss, satisfied = triplet_loss(code, positive, code.roll(1, dims=0), margin)
    loss.backward()
    return loss.item(), satisfied.item()


def _sparse_step(encoder: HalflifeEncoder, inputs: Tensor, margin: float) -> tuple[float, float]:
    """Do what `_step` does, but go back through the triplets that are not satisfied alone: others have no gradient."""
    genes = len(inputs) // 2
    with torch.no_grad():
        code, positive = encoder(inputs).chunk(2)
        violation = triplet_violation(code, positive, code.roll(1, dims=0), margin)
    hard = (violation > 0).nonzero()[:, 0]
    if len(hard):
        needed, places = torch.cat([hard, hard + genes, (hard - 1) % genes]).unique(return_inverse=True)
        anchor, positive, negative = encoder(inputs[needed])[places].chunk(3)
        (triplet_violation(anchor, positive, negative, margin).clamp(min=0).sum() / genes).backward()
    return violation.clamp(min=0).mean().item(), 1.0 - len(hard) / genes
