"""The errors that raygenex raises for its users.

Each message is one sentence that says what is wrong, where, and what to do. The CLI prints it without a traceback.
"""


class RaygenexError(ValueError):
    """A problem that the user can mend."""

    exit_code = 2


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
