"""The packages of the extras explain and motifs, imported when they are needed, with one sentence where they lack."""

from importlib.util import find_spec
from types import ModuleType
from typing import Any

from raygenex.errors import ConfigError


def require_packages(motifs: bool = False) -> None:
    """Check, before anything long is computed, that what draws the results is installed; imports nothing.

    Parameters
    ----------
    motifs
        Whether motifs will be discovered.

    Raises
    ------
    ConfigError
        If a package is missing.
    """
    needed = {"umap": ("umap-learn", "explain"), "plotly": ("plotly", "explain"), "logomaker": ("logomaker", "explain")}
    if motifs:
        needed |= {"modiscolite": ("modisco-lite", "motifs"), "memelite": ("memelite", "motifs")}
    for module, (package, extra) in needed.items():
        if find_spec(module) is None:
            raise _missing("explaining a model", package, extra, ImportError(f"no module {module}"))


def import_umap() -> ModuleType:
    """Return umap-learn.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import umap
    except ImportError as error:
        raise _missing("the projection", "umap-learn", "explain", error) from None
    return umap


def import_plotly() -> tuple[ModuleType, str]:
    """Return plotly's graph objects, and the text of plotly.js.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import plotly.graph_objects as graph
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise _missing("the page of the projection", "plotly", "explain", error) from None
    return graph, get_plotlyjs()


def import_logomaker() -> ModuleType:
    """Return logomaker.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import logomaker
    except ImportError as error:
        raise _missing("a logo", "logomaker", "explain", error) from None
    return logomaker


def import_modisco() -> Any:
    """Return TFMoDISco of modisco-lite.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        from modiscolite.tfmodisco import TFMoDISco
    except ImportError as error:
        raise _missing("the discovery of motifs", "modisco-lite", "motifs", error) from None
    return TFMoDISco


def import_tomtom() -> Any:
    """Return memelite's tomtom.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        from memelite import tomtom
    except ImportError as error:
        raise _missing("matching motifs", "memelite", "motifs", error) from None
    return tomtom


def _missing(what: str, package: str, extra: str, error: ImportError) -> ConfigError:
    return ConfigError(
        f"{what} needs {package}, which cannot be imported ({error}): install it by pip install 'raygenex[{extra}]'"
    )


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


NO_XGBOOST = "this kind of model needs the package xgboost: install it with `pip install 'raygenex[boosted]'`"


def check_xgboost() -> None:
    """Refuse boosted trees without XGBoost; imports nothing.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    if find_spec("xgboost") is None:
        raise ConfigError(NO_XGBOOST)
