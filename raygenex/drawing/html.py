"""Pages that need nothing but themselves: their templates, their one stylesheet, and how they are written."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from raygenex import __version__
from raygenex.errors import DataError
from raygenex.files.locate import check_folder_of
from raygenex.files.whole import replace_text
from raygenex.redact import redact


def render(template: str, values: dict[str, Any]) -> str:
    """Fill a template.

    Parameters
    ----------
    template
        Its path in the package, such as ``data/check/page.html.j2``.
    values
        What the template names; all text is escaped, but what the template calls safe.

    Returns
    -------
    An HTML document without secrets, the same for the same values.
    """
    environment = Environment(
        loader=FunctionLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The page as a whole: reasons of failures and settings name addresses too.
    return redact(environment.get_template(template).render(version=__version__, **values)) + "\n"


def check_page(path: Path, force: bool) -> None:
    """Check, before anything is read, that a page can be written.

    Raises
    ------
    DataError
        If the name does not end in .html, or something is there and ``force`` is false.
    ConfigError
        If there is no folder to be in.
    """
    if path.suffix != ".html":
        raise DataError(f"the page {path} must end in .html: choose such a name")
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file for the page")
    if path.exists() and not force:
        raise DataError(f"{path} exists already: give --force to replace it, or choose another path")
    check_folder_of(path, f"the page {path}")


def write_page(path: Path, text: str) -> str:
    """Write a page aside and rename it into place; returns its absolute path.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    try:
        replace_text(path, text)
    except OSError as error:
        raise DataError(f"the page {path} cannot be written ({error.strerror}): choose another folder") from None
    return str(path.absolute())


def source(name: str) -> str:
    """Return the text of a file of the package, by its path in it."""
    return files("raygenex").joinpath(name).read_text(encoding="utf-8")
