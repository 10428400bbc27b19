"""What each method needs of a model and what its numbers depend on, told without loading the model."""

from typing import Any

from raygenex.config.explain import ExplainConfig
from raygenex.config.model import AutoencoderXgboost, KmerConfig, LstmConfig
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError
from raygenex.extras import check_installed
from raygenex.train.checkpoint import CheckpointInfo

SHARED = ("saliency", "input_x_gradient")
"""Methods that are read off one gradient, and computed together where both are missing."""
GRADIENTS = (*SHARED, "integrated_gradients", "deeplift")
_WITH_REFERENCE = ("integrated_gradients", "deeplift")
MOST_FEATURES = 14
"""Features that Shapley values are computed of: every one more doubles the mixtures that are scored for a gene."""


def check_methods(info: CheckpointInfo, options: ExplainConfig) -> None:
    """Refuse methods that a model cannot be explained by, with a ConfigError."""
    model = info.run_config.model
    for method in options.methods:
        if method in GRADIENTS:
            require_gradient(info, method)
        if method == "deeplift":
            require_deeplift(info)
        if method == "mutagenesis":
            require_dna(info)
        if method == "halflife" and not info.run_config.reads_halflife:
            raise ConfigError(
                f"this {model.kind} reads no half-life features: leave halflife out of explain.methods, as in "
                "`-o explain.methods=[saliency]`"
            )
        if method == "halflife" and (count := len(info.inputs.features)) > MOST_FEATURES:
            raise ConfigError(
                f"method halflife scores 2^{count} mixtures of the {count} features of this {model.kind} for a gene "
                f"and takes {MOST_FEATURES} features at most: leave halflife out of explain.methods, as in "
                "`-o explain.methods=[saliency]`"
            )


def require_dna(info: CheckpointInfo) -> None:
    """Raise a ConfigError unless the logit depends on bases at all."""
    if not info.reads_dna:
        raise ConfigError(
            f"this {info.run_config.model.kind} reads no DNA, so there are no bases to attribute to: explain it by "
            "method halflife"
        )


def require_gradient(info: CheckpointInfo, method: str) -> None:
    """Raise a ConfigError unless the logit is a differentiable function of bases."""
    require_dna(info)
    model = info.run_config.model
    if isinstance(model, KmerConfig | AutoencoderXgboost):
        raise ConfigError(
            f"a {model.kind} is not a differentiable function of its bases, which {method} needs: use method "
            "mutagenesis"
        )


def require_deeplift(info: CheckpointInfo) -> None:
    """Raise a ConfigError unless DeepLIFT has a rule for every layer of the model, and tangermeme is installed."""
    require_gradient(info, "deeplift")
    model = info.run_config.model
    embeds = info.inputs.kind == "embedding"
    if embeds or isinstance(model, LstmConfig):
        what = "the products and Fourier transforms of HyenaDNA" if embeds else f"the gates of a {model.kind}"
        raise ConfigError(f"deeplift has no rule for {what}: use method integrated_gradients")
    check_installed({"tangermeme": "tangermeme"}, "explain", "method deeplift")


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
    if method in (*GRADIENTS, "mutagenesis"):
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
