"""How tables and figures name what is explained, a label or a target, and the features that it is explained by."""

from dataclasses import dataclass

from raygenex.explain.parts import ExplainedTarget


@dataclass(frozen=True)
class Words:
    """The words for one explanation; those of the label unless others are given."""

    unit: str = "logit"
    """Of attributions."""
    predicted: str = "Probability of high expression"
    measured: str = "True label"
    high: str = "predicted high"
    low: str = "predicted low"
    first: str = "most probable"
    """Of genes in the order of their predictions, those at the top."""
    metric: str = "AUROC"
    """What permutation importance is a loss of."""
    method: str = "DeLong's method"
    """How the intervals of that loss are made."""
    is_quantity: bool = False
    """Whether there are values in place of two classes."""


LABEL_WORDS = Words()


def words_of(target: ExplainedTarget | None) -> Words:
    """Return the words for a target, those of the label for None."""
    if target is None:
        return LABEL_WORDS
    if not target.is_quantity:
        return Words(unit=target.unit, predicted=f"Probability of {target.name}", measured=f"Measured {target.name}")
    return Words(
        unit=target.unit,
        predicted=f"Predicted {target.title}",
        measured=f"Measured {target.title}",
        high="highest predicted",
        low="others",
        first="highest",
        metric="Pearson's r",
        method="the infinitesimal jackknife",
        is_quantity=True,
    )
