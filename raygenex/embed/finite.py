"""Embeddings that are no numbers: what to say of them, wherever they are met."""

from raygenex.errors import CheckpointError


def not_finite(what: str, dtype: str, overflow: bool) -> CheckpointError:
    """Return the error of embeddings that are infinite or not a number.

    Parameters
    ----------
    what
        Whose embedding it is.
    dtype
        Its number format, as in ``embed.dtype``.
    overflow
        Whether the number format is at fault, which is too small for the values.
    """
    advice = "set embed.dtype to float32" if overflow else "these backbone weights are not usable"
    return CheckpointError(f"{what} is not finite in {dtype}: {advice}")
