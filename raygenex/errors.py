"""The errors that raygenex raises for its users.

Each message is one sentence that says what is wrong, where, and what to do. The CLI prints it without a traceback.
"""

from raygenex.redact import redact

LONGEST = 1200
"""Maximum length of a message, in characters: what files hold is in messages too, and may be of any length."""

_CUT = " ... "


class RaygenexError(ValueError):
    """A problem that the user can fix.

    Its text is one line of at most `LONGEST` characters without secrets, whatever a file or a name brought into it.
    """

    exit_code = 2

    def __str__(self) -> str:
        text = redact(super().__str__())
        if not text.isprintable():
            # A line break would make two messages of one; what a terminal obeys, anything.
            text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
        if len(text) > LONGEST:
            # The beginning names the place, the end says what to do.
            text = text[: LONGEST * 3 // 4] + _CUT + text[-(LONGEST // 4 - len(_CUT)) :]
        return text


class ConfigError(RaygenexError):
    """A configuration file, key or value that cannot be used."""


class DataError(RaygenexError):
    """A data file that cannot be read, or whose contents break the schema."""


class CheckpointError(RaygenexError):
    """Weights, a checkpoint or an embedding store that cannot be used for what was asked."""


class TrackingError(RaygenexError):
    """An MLflow store, run or registered model that cannot be reached or found."""


class TrackingAway(TrackingError):
    """An MLflow that does not answer now, and may answer later."""


class ClusterError(RaygenexError):
    """A Ray cluster that is absent, or too small for the request."""

    exit_code = 1


class FileError(RaygenexError):
    """A file or folder that the system does not let this process use: no room, no rights, no such path."""


def first_line(error: BaseException, named: bool = False) -> str:
    """Return the first line of what an error says, behind its type if ``named``; the type alone if it says nothing."""
    kind = type(error).__name__
    line = next(iter(str(error).strip().splitlines()), "no message" if named else kind)
    return f"{kind}: {line}" if named else line
