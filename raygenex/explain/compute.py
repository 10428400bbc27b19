"""One block of genes by one method: the columns of a part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex.config.explain import ExplainConfig
from raygenex.data.rows import Columns
from raygenex.explain.methods.deeplift import deeplift
from raygenex.explain.methods.gradients import gradient, input_x_gradient, saliency
from raygenex.explain.methods.integrated import integrated_gradients
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.mutagenesis import mutagenesis
from raygenex.explain.methods.needs import SHARED
from raygenex.explain.methods.references import references
from raygenex.explain.methods.shapley import halflife_shapley
from raygenex.explain.parts import SCORES


@dataclass(frozen=True)
class Context:
    """What every block is computed with."""

    function: LogitFunction
    """The model."""
    options: ExplainConfig
    seed: int
    """Of shuffled references."""
    window_first: int
    """Where the window's first base lies, in bases from the TSS."""
    halflife_reference: NDArray[np.float32]
    """Half-life features that Shapley values compare with, shape ``(8,)``."""


def compute(context: Context, methods: Sequence[str], batch: Columns) -> Iterator[tuple[str, Columns]]:
    """Explain one block of genes.

    Parameters
    ----------
    context
        The model and the settings.
    methods
        What is computed; saliency and input_x_gradient share a gradient.
    batch
        ``gene_id``, ``sequence``, ``halflife``, ``label`` and ``donors`` of `raygenex.explain.genes`.

    Yields
    ------
    A method, and the columns of its part but for ``gene_id`` and ``row``.
    """
    slopes = None
    for method in methods:
        if method in SHARED:
            slopes = gradient(context.function, batch["sequence"], batch["halflife"]) if slopes is None else slopes
            own = saliency(slopes) if method == "saliency" else input_x_gradient(slopes, batch["sequence"])
            yield method, {"attribution": own} | _hypothetical(context, slopes)
        else:
            yield method, _COMPUTE[method](context, batch)


def _hypothetical(context: Context, values: NDArray[np.float32]) -> Columns:
    return {"hypothetical": values} if context.options.keeps_hypothetical else {}


def _scores(context: Context, batch: Columns) -> Columns:
    import torch

    logit, dense = context.function.logits_and_dense(batch["sequence"], batch["halflife"])
    if (target := context.function.target) is not None:
        return {"logit": logit, "predicted": target.of_additive(logit), "dense": dense}
    # As prediction does it, to the last bit.
    probability = torch.sigmoid(torch.from_numpy(logit)).numpy()
    return {"label": batch["label"], "logit": logit, "probability": probability, "dense": dense}


def _references(context: Context, batch: Columns) -> NDArray[np.uint8]:
    options = context.options
    return references(options.reference, batch["sequence"], batch["gene_id"], options.references, context.seed)


def _integrated(context: Context, batch: Columns) -> Columns:
    options = context.options
    found = integrated_gradients(
        context.function,
        batch["sequence"],
        batch["halflife"],
        _references(context, batch),
        options.steps,
        options.max_steps,
        options.tolerance,
    )
    numbers = {"delta": found.delta, "difference": found.difference, "steps": found.steps, "converged": found.converged}
    return {"attribution": found.attribution} | numbers | _hypothetical(context, found.hypothetical)


def _deeplift(context: Context, batch: Columns) -> Columns:
    found = deeplift(context.function, batch["sequence"], batch["halflife"], _references(context, batch))
    numbers = {"delta": found.delta, "difference": found.difference}
    return {"attribution": found.attribution} | numbers | _hypothetical(context, found.hypothetical)


def _mutagenesis(context: Context, batch: Columns) -> Columns:
    region = context.options.region
    # Bases from the TSS become positions of the window.
    places = () if region is None else (region[0] - context.window_first, region[1] - context.window_first)
    found = mutagenesis(context.function, batch["sequence"], batch["halflife"], *places)
    return {"attribution": found.attribution} | _hypothetical(context, found.hypothetical)


def _halflife(context: Context, batch: Columns) -> Columns:
    function, halflife = context.function, batch["halflife"]
    attribution, base = halflife_shapley(function, batch["sequence"], halflife, context.halflife_reference)
    genes, features = halflife.shape
    donors = batch["donors"].reshape(genes, -1, features)
    # One feature at a time is another gene's; the DNA stays the gene's own.
    mixed = np.where(np.eye(features, dtype=bool), donors[:, :, None, :], halflife[:, None, None, :])
    logits = function.logits_of_halflives(batch["sequence"], mixed.reshape(genes, -1, features))
    permuted = logits.reshape(genes, -1, features)
    return {"attribution": attribution, "base": base, "permuted": permuted}


_COMPUTE: dict[str, Callable[[Context, Columns], Columns]] = {
    SCORES: _scores,
    "integrated_gradients": _integrated,
    "deeplift": _deeplift,
    "mutagenesis": _mutagenesis,
    "halflife": _halflife,
}
