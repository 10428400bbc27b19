"""One block of genes by one method: the columns of a part, and the settings that they depend on."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config import RunConfig
from raygenex.data.rows import Columns
from raygenex.errors import ConfigError
from raygenex.explain.deeplift import check_deeplift, deeplift
from raygenex.explain.differentiable import LogitFunction
from raygenex.explain.gradients import gradient, input_x_gradient, saliency
from raygenex.explain.halflife import shapley
from raygenex.explain.integrated import integrated_gradients
from raygenex.explain.layout import SCORES
from raygenex.explain.mutagenesis import mutagenesis
from raygenex.explain.references import references
from raygenex.explain_sections import ExplainConfig
from raygenex.predict import Predictor

_GRADIENTS = ("saliency", "input_x_gradient", "integrated_gradients", "deeplift")
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
            check_deeplift(function)
        if method == "mutagenesis":
            function.require_dna()
        if method == "halflife" and not function.model.uses_halflife:
            raise ConfigError(
                f"this {function.kind} reads no half-life features: leave halflife out of explain.methods, as in "
                "`-o explain.methods=[saliency]`"
            )


def method_settings(config: RunConfig, method: str, labelled: bool) -> dict[str, Any]:
    """Return what the numbers of a method depend on, beside the model, the genes and their data.

    Parameters
    ----------
    config
        Gives the section ``explain`` and the seed.
    method
        ``scores`` or one of ``explain.methods``.
    labelled
        Whether the classes of the genes are known; without them no importance can be measured.
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
        found["region"] = options.region and list(options.region)
    if method == "halflife":
        found |= {"permutations": options.permutations if labelled else 0, "seed": config.seed}
    return found


def compute(
    function: LogitFunction,
    methods: Sequence[str],
    batch: Columns,
    options: ExplainConfig,
    window_first: int,
    seed: int,
) -> Iterator[tuple[str, Columns]]:
    """Explain one block of genes.

    Parameters
    ----------
    function
        The model.
    methods
        What is computed; saliency and input_x_gradient share a gradient.
    batch
        ``gene_id``, ``sequence``, ``halflife``, ``label`` and ``donors`` of `raygenex.explain.genes`.
    options, seed
        The section ``explain``, and the seed of shuffled references.
    window_first
        Where the window's first base lies, in bases from the TSS.

    Yields
    ------
    A method, and the columns of its part but for ``gene_id`` and ``row``.
    """
    slopes = None
    for method in methods:
        if method in ("saliency", "input_x_gradient"):
            slopes = gradient(function, batch["sequence"], batch["halflife"]) if slopes is None else slopes
            own = saliency(slopes) if method == "saliency" else input_x_gradient(slopes, batch["sequence"])
            yield method, {"attribution": own} | _hypothetical(options, slopes)
        else:
            yield method, _COMPUTE[method](function, batch, options, window_first, seed)


def _hypothetical(options: ExplainConfig, values: NDArray[np.float32]) -> Columns:
    return {"hypothetical": values.astype(np.float16)} if options.keeps_hypothetical else {}


def _scores(function: LogitFunction, batch: Columns, options: ExplainConfig, window_first: int, seed: int) -> Columns:
    logit, dense = function.logits_and_dense(batch["sequence"], batch["halflife"])
    return {"label": batch["label"], "logit": logit, "probability": 1 / (1 + np.exp(-logit)), "dense": dense}


def _integrated(
    function: LogitFunction, batch: Columns, options: ExplainConfig, window_first: int, seed: int
) -> Columns:
    against = references(options.reference, batch["sequence"], batch["gene_id"], options.references, seed)
    found = integrated_gradients(
        function,
        batch["sequence"],
        batch["halflife"],
        against,
        options.steps,
        options.max_steps,
        options.tolerance,
    )
    numbers = {"delta": found.delta, "difference": found.difference, "steps": found.steps, "converged": found.converged}
    return {"attribution": found.attribution} | numbers | _hypothetical(options, found.hypothetical)
