"""One block of genes by one method: the columns of a part, and the settings that they depend on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.explain import ExplainConfig
from raygenex.config.run import RunConfig
from raygenex.data.rows import Columns
from raygenex.errors import ConfigError
from raygenex.explain.methods.deeplift import deeplift, require_deeplift
from raygenex.explain.methods.gradients import gradient, input_x_gradient, saliency
from raygenex.explain.methods.integrated import integrated_gradients
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.mutagenesis import mutagenesis
from raygenex.explain.methods.references import references
from raygenex.explain.methods.shapley import halflife_shapley
from raygenex.explain.parts import SCORES
from raygenex.predict.predictor import Predictor

SHARED = ("saliency", "input_x_gradient")
"""Methods that are read off one gradient, and computed together where both are missing."""
_GRADIENTS = (*SHARED, "integrated_gradients", "deeplift")
_WITH_REFERENCE = ("integrated_gradients", "deeplift")


def check_methods(predictor: Predictor, options: ExplainConfig) -> None:
    """Refuse methods that a model cannot be explained by, with a ConfigError.

    Parameters
    ----------
    predictor
        The model; its backbone is loaded here.
    options
        The methods.
    """
    function = LogitFunction(predictor, options.batch_size)
    for method in options.methods:
        if method in _GRADIENTS:
            function.require_gradient(method)
        if method == "deeplift":
            require_deeplift(function)
        if method == "mutagenesis":
            function.require_dna()
        if method == "halflife" and not function.model.uses_halflife:
            raise ConfigError(
                f"this {function.kind} reads no half-life features: leave halflife out of explain.methods, as in "
                "`-o explain.methods=[saliency]`"
            )


def method_settings(config: RunConfig, method: str, labelled: bool, window_first: int) -> dict[str, Any]:
    """Return what the numbers of a method depend on, beside the model, the genes and their data.

    Parameters
    ----------
    config
        Gives the section ``explain`` and the seed.
    method
        ``scores`` or one of ``explain.methods``.
    labelled
        Whether the classes of the genes are known; without them no importance can be measured.
    window_first
        Where the window's first base lies, in bases from the TSS.
    """
    options = config.explain
    found: dict[str, Any] = {}
    if method in (*_GRADIENTS, "mutagenesis"):
        found["hypothetical"] = options.keeps_hypothetical
    if method in _WITH_REFERENCE:
        found["reference"] = options.reference
        if options.reference == "shuffled":
            found |= {"references": options.references, "seed": config.seed}
    if method == "integrated_gradients":
        found |= {"steps": options.steps, "max_steps": options.max_steps, "tolerance": options.tolerance}
    if method == "mutagenesis":
        # As positions of the window: another place of the TSS makes the same region another one.
        found["positions"] = options.region and [place - window_first for place in options.region]
    if method == "halflife":
        found |= {"permutations": options.permutations if labelled else 0, "seed": config.seed}
    return found


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
