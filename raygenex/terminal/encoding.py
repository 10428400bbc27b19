"""Text for terminals and files whose encoding lacks some of its letters."""

import codecs
import sys

_PLAIN = {
    **dict.fromkeys("█▇", "#"),
    **dict.fromkeys("▆▅", "*"),
    **dict.fromkeys("▄▃", "-"),
    **dict.fromkeys("▂▁", "_"),
    "░": ".",
    **dict.fromkeys("–—−", "-"),  # noqa: RUF001
    "×": "x",  # noqa: RUF001
    "…": "...",
    "±": "+-",
    "µ": "u",
}
"""What bars and signs are written as where they cannot be; any other letter is escaped."""


def write_anything() -> None:
    """Let standard output and standard error write every text, with bars and signs replaced where they must be."""
    codecs.register_error(__name__, _replace)
    for stream in (sys.stdout, sys.stderr):
        # What a test or a notebook puts in their place may be no file.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=__name__)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, ascii(letter)[1:-1]) for letter in lost), error.end
