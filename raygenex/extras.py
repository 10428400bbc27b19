"""Packages of raygenex's extras: imported when they are needed, with one sentence where one lacks."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from raygenex.errors import ConfigError


def require(module: str, package: str, extra: str, what: str) -> Any:
    """Import a module of an optional package and return it.

    Parameters
    ----------
    module
        Its full name.
    package, extra
        The package that holds it, and the extra of raygenex that installs it.
    what
        What needs it, as the beginning of a sentence.

    Raises
    ------
    ConfigError
        If it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise _missing(package, extra, what, str(error)) from None


def check_installed(packages: Mapping[str, str], extra: str, what: str) -> None:
    """Refuse, before anything long is computed, what needs packages that are not installed; imports nothing.

    ``packages`` gives the package of each module; the rest is as of `require`.

    Raises
    ------
    ConfigError
        If one of them is missing.
    """
    for module, package in packages.items():
        if find_spec(module) is None:
            raise _missing(package, extra, what, f"no module {module}")


def _missing(package: str, extra: str, what: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{what} needs {package}, which cannot be imported ({reason}): install it by pip install 'raygenex[{extra}]'"
    )
