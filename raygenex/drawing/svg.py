"""Figures as SVG inside a page: no namespaces, own ids, and colours and text that follow the page.

Each named colour is a CSS variable, so that a page can have others on a dark ground; black is the page's ink, white its
ground. Text stays text, in the page's font.

An ``img`` with a data URI would need none of this, but it would take from readers what the part of a page gives them:
colours of the dark page, text that can be searched, copied and read aloud, and the gene that is pointed at, which is
marked inside the plot. So figures are parts of the page, without scripts, and the page's policy allows none either.
"""

import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raygenex.drawing.style import COLOURS
from raygenex.errors import DataError

_VARIABLES = {colour: name for name, colour in COLOURS.items()} | {
    # What figures that know of no page draw their text, their grounds and their rules with.
    "#000000": "ink",
    "#ffffff": "ground",
    "#7f7f7f": "faint",
}

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_LINKS = (f"{_XLINK}href", "href", "clip-path")
DOTS_PER_INCH = 200
"""Of parts that are drawn as points, not as paths."""

_LEFT_OUT = tuple(f"{_SVG}{name}" for name in ("metadata", "script", "foreignObject", "style"))


def draw(name: str, title: str, size: tuple[float, float], plot: Callable[[Axes], Axes]) -> str:
    """Draw on a new figure, whose size is in inches, and return it as SVG for a page.

    The name is unique in the page, of letters and hyphens; the title is what readers hear who do not see the plot.

    Returns
    -------
    An ``svg`` element without namespaces, the same for the same data.
    """
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    plot(figure.subplots())
    return from_figure(name, title, figure)


def from_figure(name: str, title: str, figure: Figure) -> str:
    """Return a figure as SVG for a page, its grounds left out; takes what `draw` takes."""
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return inline(name, title, stream.getvalue())


def from_file(name: str, title: str, path: Path) -> str:
    """Return an SVG file as part of a page; takes what `draw` takes.

    Raises
    ------
    DataError
        If the file is not an SVG.
    """
    try:
        return inline(name, title, path.read_text(encoding="utf-8"))
    except (ElementTree.ParseError, UnicodeDecodeError):
        raise DataError(f"{path} is damaged: it is not an SVG; make it again") from None


def inline(name: str, title: str, text: str) -> str:
    """Make an SVG document part of a page; scripts, and links to anything but its own parts, are left out."""
    root = ElementTree.fromstring(text)
    for parent in root.iter():
        for child in list(parent):
            if child.tag in _LEFT_OUT or child.find(f"{_SVG}style") is not None:
                parent.remove(child)
    # Two plots of a page may have parts of one id; ids that nothing refers to are left out.
    links = [value for part in root.iter() for key in _LINKS if (value := part.get(key)) is not None]
    ids = {link.removeprefix("url(").strip("#)") for link in links}
    for part in root.iter():
        part.tag = part.tag.removeprefix(_SVG)
        for key, value in list(part.attrib.items()):
            del part.attrib[key]
            if key == "id" and value in ids:
                part.set(key, f"{name}-{value}")
            elif key in _LINKS:
                _link(part, key.removeprefix(_XLINK), value, name)
            elif key == "style":
                part.set(key, _style(value))
            elif key != "id" and not key.startswith(("on", "{")):
                part.set(key, value)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", title)
    return ElementTree.tostring(root, encoding="unicode")


def _link(part: ElementTree.Element, key: str, value: str, name: str) -> None:
    if value.startswith("data:image/"):
        part.set(key, value)
    elif value.startswith(("#", "url(#")):
        part.set(key, value.replace("#", f"#{name}-"))


def _style(text: str) -> str:
    kept = (item for item in text.split("; ") if not item.startswith("font-family"))
    text = "; ".join(kept)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    return text
