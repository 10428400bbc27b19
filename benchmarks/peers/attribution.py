"""Attributions of a CNN on bases, against captum and tangermeme."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from untrained import save_untrained

from peers.rows import Row, beside, close
from raygenex.explain.methods.deeplift import deeplift
from raygenex.explain.methods.gradients import gradient
from raygenex.explain.methods.integrated import integrated_gradients
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.mutagenesis import mutagenesis
from raygenex.explain.methods.references import shuffled
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import InputInfo

MODEL = {"kind": "cnn_dna_only", "width": 64, "channels": [64, 32, 16], "pool": 4, "dense": [64]}
"""The network of jobs/yeast.yaml, on DNA alone."""
BATCH, STEPS, SHUFFLES = 16, 64, 8


class OnChannels(nn.Module):
    """A network as the peers call it: bases as channels ``(N, 4, L)``, and one column of logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, one_hot: Tensor) -> Tensor:
        """Return logits, shape ``(N, 1)``."""
        return self.model(one_hot.transpose(1, 2), None)[:, None]


def untrained(window: int) -> LogitFunction:
    """Return the logit of the network with random weights."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = InputInfo(kind="bases", length=window, channels=4, window=window)
        save_untrained(Path(folder), {"model": MODEL}, inputs)
        return LogitFunction(Predictor(folder), BATCH)


def compare(small: bool) -> Iterator[Row]:
    """Yield the rows: the same network, genes, references, points and batch size on both sides."""
    genes, window, repeats = (2, 512, 3) if small else (16, 2048, 5)
    function = untrained(window)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (genes, window)).astype(np.uint8)
    halflife = np.zeros((genes, 8), np.float32)
    model = OnChannels(function.model).eval().requires_grad_(False)
    one_hot = function.one_hot(codes).transpose(1, 2).contiguous()
    size = f"{genes} genes of {window:,} bases"

    yield from beside(
        f"gradients, {size}",
        lambda: gradient(function, codes, halflife),
        {
            "captum": lambda: captum_gradients(model, one_hot),
            "tangermeme": lambda: tangermeme_gradients(model, one_hot),
        },
        close(1e-4),
        repeats,
    )
    unknown = np.full((genes, 1, window), 4, np.uint8)
    yield from beside(
        f"integrated gradients, {STEPS} points, {size}",
        # No refining of the path beyond the points that captum has.
        lambda: integrated_gradients(function, codes, halflife, unknown, STEPS, STEPS).attribution,
        {"captum": lambda: captum_integrated(model, one_hot)},
        close(1e-3),
        repeats,
    )
    others = np.stack([shuffled(row, str(gene), SHUFFLES, 0) for gene, row in enumerate(codes)])
    change = function.logits_of_codes(codes, halflife) - [
        function.logits_of_codes(rows, np.zeros((SHUFFLES, 8), np.float32)).mean() for rows in others
    ]

    def adds_up(ours: np.ndarray, theirs: np.ndarray) -> str:
        """Say how near both are, or that one is not what DeepLIFT promises: a sum that is the change of the logit."""
        try:
            return close(1e-3)(ours, theirs)
        except AssertionError:
            off, other = (np.abs(found.sum(axis=1) - change).max() for found in (ours, theirs))
            scale = np.abs(change).max()
            return f"differ: sums miss the change of {scale:.1g} by {off:.0e} (raygenex) and {other:.0e} (peer)"

    yield from beside(
        f"DeepLIFT, {SHUFFLES} references, {size}",
        lambda: deeplift(function, codes, halflife, others).attribution,
        {
            "captum": lambda: captum_deeplift(model, one_hot, function.one_hot(others)),
            "tangermeme (which raygenex calls)": lambda: tangermeme_deeplift(model, one_hot, function.one_hot(others)),
        },
        adds_up,
        repeats,
    )
    few = codes[: max(1, genes // 8)]
    yield from beside(
        f"mutagenesis, {len(few)} gene{'s' * (len(few) > 1)} of {window:,} bases",
        lambda: mutagenesis(function, few, halflife[: len(few)]).hypothetical,
        {"tangermeme": lambda: tangermeme_mutagenesis(model, one_hot[: len(few)])},
        close(1e-3),
        max(1, repeats // 2),
    )


def captum_gradients(model: nn.Module, one_hot: Tensor) -> Callable[[], Any]:
    from captum.attr import Saliency

    def call() -> np.ndarray:
        parts = [
            Saliency(model).attribute(part.clone().requires_grad_(), target=0, abs=False)
            for part in one_hot.split(BATCH)
        ]
        slopes = torch.cat(parts).transpose(1, 2)
        return (slopes - slopes.mean(dim=-1, keepdim=True)).numpy()

    return call


def tangermeme_gradients(model: nn.Module, one_hot: Tensor) -> Callable[[], Any]:
    from tangermeme.saliency import saliency

    return lambda: saliency(model, one_hot, batch_size=BATCH, hypothetical=True, device="cpu").transpose(1, 2).numpy()


def captum_integrated(model: nn.Module, one_hot: Tensor) -> Callable[[], Any]:
    from captum.attr import IntegratedGradients

    options = {"n_steps": STEPS, "method": "riemann_trapezoid", "internal_batch_size": BATCH}

    def call() -> np.ndarray:
        found = IntegratedGradients(model).attribute(one_hot, torch.zeros_like(one_hot), target=0, **options)
        # Its trapezoids between n points are 1 / n wide, so that their sum lacks one of n.
        return found.sum(dim=1).detach().numpy() * STEPS / (STEPS - 1)

    return call


def captum_deeplift(model: nn.Module, one_hot: Tensor, others: Tensor) -> Callable[[], Any]:
    from captum.attr import DeepLift

    def call() -> np.ndarray:
        found = []
        for gene, references in zip(one_hot, others.transpose(2, 3), strict=True):
            own = gene.expand(len(references), -1, -1).contiguous()
            found.append(DeepLift(model).attribute(own, references.contiguous(), target=0).sum(dim=1).mean(dim=0))
        return torch.stack(found).detach().numpy()

    return call


def tangermeme_deeplift(model: nn.Module, one_hot: Tensor, others: Tensor) -> Callable[[], Any]:
    from tangermeme.deep_lift_shap import deep_lift_shap

    references = others.transpose(2, 3).contiguous()

    def call() -> np.ndarray:
        options = {"references": references, "batch_size": BATCH, "raw_outputs": True, "device": "cpu"}
        multipliers = deep_lift_shap(model, one_hot, **options)
        return (multipliers * (one_hot[:, None] - references)).sum(dim=2).mean(dim=1).numpy()

    return call


def tangermeme_mutagenesis(model: nn.Module, one_hot: Tensor) -> Callable[[], Any]:
    from tangermeme.saturation_mutagenesis import saturation_mutagenesis

    def call() -> np.ndarray:
        _, changed = saturation_mutagenesis(model, one_hot, batch_size=BATCH, raw_outputs=True, device="cpu")
        # Shape (N, 4, L, 1): the logit with each base.
        scores = changed.squeeze(-1).detach().numpy().transpose(0, 2, 1)
        return scores - scores.mean(axis=-1, keepdims=True)

    return call
