"""What goes under a figure: what it shows, of how many genes, and with what settings."""

from raygenex.explain.results.figures import METHOD_NAMES, Colouring

COLOURING_WORDS: dict[Colouring, str] = {
    "prediction": "predicted class",
    "probability": "predicted probability",
    "label": "true label",
    "error": "whether the prediction is right",
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
