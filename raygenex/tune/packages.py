"""The packages that the search needs, which are an extra of raygenex."""

from importlib.util import find_spec

from raygenex.errors import ConfigError


def check_packages() -> None:
    """Refuse a search without Optuna, or without what draws its plots.

    Raises
    ------
    ConfigError
        If one of them is not installed.
    """
    for package in ("optuna", "plotly"):
        if find_spec(package) is None:
            raise ConfigError(
                f"raygenex tune needs the package {package}: install it with `pip install 'raygenex[tune]'`"
            )
