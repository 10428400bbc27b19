"""Names and captions of the figures of an explanation."""

from typing import Literal

Colouring = Literal["prediction", "probability", "label", "error", "predicted", "measured"]

COLOURINGS: tuple[Colouring, ...] = ("prediction", "probability", "label", "error")
"""What the genes of a projection can be coloured by."""

QUANTITY_COLOURINGS: tuple[Colouring, ...] = ("predicted", "measured")
"""The same of a quantity."""

METHOD_NAMES = {
    "saliency": "Saliency",
    "input_x_gradient": "Input x gradient",
    "integrated_gradients": "Integrated gradients",
    "deeplift": "DeepLIFT",
    "mutagenesis": "In-silico mutagenesis",
    "halflife": "Shapley values",
}
"""Names of the methods as figures and captions show them."""

COLOURING_WORDS: dict[Colouring, str] = {
    "prediction": "predicted class",
    "probability": "predicted probability",
    "label": "true label",
    "error": "whether the prediction is right",
    "predicted": "predicted value",
    "measured": "measured value",
}


def caption(
    text: str,
    genes: int,
    split: str,
    method: str | None = None,
    smoothing: int | None = None,
    confidence: float | None = None,
) -> str:
    """Return the text under a figure.

    Parameters
    ----------
    text
        What is drawn, with its full stop.
    genes
        Genes that are.
    split
        Theirs.
    method
        How they were explained, a key of `METHOD_NAMES`.
    smoothing
        Width of a moving average in bases; 1 and None: none.
    confidence
        Coverage of the intervals, in (0, 1); None: there are none.
    """
    parts = [text, f"n = {genes:,} {'gene' if genes == 1 else 'genes'} of {split}."]
    if method is not None:
        parts.append(f"Method: {METHOD_NAMES[method].lower() if method != 'deeplift' else METHOD_NAMES[method]}.")
    if smoothing is not None:
        parts.append(f"Centred moving average of {smoothing:,} bases." if smoothing > 1 else "Not smoothed.")
    if confidence is not None:
        parts.append(f"Intervals: {100 * confidence:g} %, by resampling genes.")
    return " ".join(parts)
