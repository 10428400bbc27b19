"""The projection of genes as one HTML page to look around in, which needs nothing but itself."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from raygenex.drawing.style import COLOURS
from raygenex.explain.results.figure_words import COLOURINGS, QUANTITY_COLOURINGS, Colouring
from raygenex.explain.results.figures import projection_classes
from raygenex.explain.results.projection import Projection
from raygenex.extras import require
from raygenex.files.whole import replace_text

_BUTTONS = {
    "prediction": "Predicted class",
    "probability": "Probability",
    "label": "True label",
    "error": "Errors",
    "predicted": "Predicted value",
    "measured": "Measured value",
}
_SYMBOLS = {"o": "circle", "^": "triangle-up", "v": "triangle-down", "x": "x-thin-open"}
# Beyond so many genes, elements of their own for each are slow on a phone, and the graphics card draws them.
_MANY = 3000


def write_page(path: Path, found: Projection, title: str, caption: str) -> None:
    """Write the page whole: about 4.5 MB, most of it plotly.js, so that no network is needed.

    Title and caption are plain text above and below the plot.

    Raises
    ------
    ConfigError
        If plotly is not installed.
    """
    replace_text(path, render_page(found, title, caption))


def render_page(found: Projection, title: str, caption: str) -> str:
    """Return the page; see `write_page`."""
    what = "the page of the projection"
    graph = require("plotly.graph_objects", "plotly", "explain", what)
    plotly_js = require("plotly.offline", "plotly", "explain", what).get_plotlyjs()
    figure, views = _figure(graph, found)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        files("raygenex.explain.results").joinpath("projection.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        caption=caption,
        genes=len(found.gene_id),
        buttons=[_BUTTONS[colouring] for colouring in _colourings(found)],
        views=views,
        rows=_rows(found.numbers),
        plotly_js=plotly_js,
        # Names of genes are the user's: none may end the script element.
        figure=figure.replace("<", "\\u003c"),
    )


def _colourings(found: Projection) -> tuple[Colouring, ...]:
    return COLOURINGS if found.measured is None else QUANTITY_COLOURINGS


def _figure(graph: Any, found: Projection) -> tuple[str, list[int]]:
    """Return the figure as JSON, and for every trace the number of the button that shows it."""
    hover = _hover(found)
    scatter = graph.Scattergl if len(found.gene_id) > _MANY else graph.Scatter
    traces, views = [], []

    def add(view: int, chosen: NDArray[np.bool_], name: str, marker: dict[str, Any], legend: bool) -> None:
        traces.append(
            scatter(
                x=found.xy[chosen, 0].round(4).tolist(),
                y=found.xy[chosen, 1].round(4).tolist(),
                text=hover[chosen].tolist(),
                hovertemplate="%{text}<extra></extra>",
                mode="markers",
                name=name,
                marker={"size": 6, "opacity": 0.75} | marker,
                showlegend=legend,
                visible=view == 0,
            )
        )
        views.append(view)

    def bar(text: str) -> dict[str, Any]:
        place = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "thickness": 12}
        return {"colorscale": "Cividis", "colorbar": {"title": {"text": text}} | place}

    for view, colouring in enumerate(_colourings(found)):
        if colouring == "probability":
            colours = {"color": found.probability.round(4).tolist(), "cmin": 0, "cmax": 1}
            add(view, np.ones(len(hover), dtype=bool), "genes", colours | bar("Probability"), legend=False)
            continue
        if found.measured is not None:
            values = found.probability if colouring == "predicted" else found.measured
            known = np.isfinite(values)
            colours = {"color": [float(f"{value:.5g}") for value in values[known].tolist()]}
            words = found.words.predicted if colouring == "predicted" else found.words.measured
            add(view, known, "genes", colours | bar(words), legend=False)
            continue
        for name, chosen, colour, marker in projection_classes(found, colouring):
            if chosen.any():
                style: dict[str, Any] = {"color": COLOURS[colour], "symbol": _SYMBOLS[marker]}
                if marker == "x":
                    style["line"] = {"width": 1, "color": COLOURS[colour]}
                add(view, chosen, f"{name} ({int(chosen.sum()):,})", style, legend=True)
    axis = {"showticklabels": False, "zeroline": False, "showgrid": False, "showline": True, "linecolor": "#8a8f98"}
    layout = {
        "xaxis": axis | {"title": {"text": "UMAP 1 (no unit)", "standoff": 4}},
        "yaxis": axis | {"title": {"text": "UMAP 2 (no unit)", "standoff": 4}, "scaleanchor": "x"},
        "margin": {"l": 30, "r": 10, "t": 35, "b": 105},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        "plot_bgcolor": "#ffffff",
        "paper_bgcolor": "#ffffff",
        "font": {"color": COLOURS["ink"], "size": 12},
        "hovermode": "closest",
        "template": "none",
    }
    return graph.Figure(traces, layout).to_json(), views


def _hover(found: Projection) -> NDArray[np.str_]:
    """Return what is shown beside the pointer, by gene: plotly reads tags in it, so that none may be in a name."""
    if found.measured is not None:
        values = zip(*(column.tolist() for column in (found.gene_id, found.probability, found.measured)), strict=True)
        return np.array(
            [
                f"{_plain(gene)}<br>predicted {predicted:.4g}"
                + ("" if measured != measured else f"<br>measured {measured:.4g}")
                for gene, predicted, measured in values
            ]
        )
    names = {1: "high", 0: "low", -1: "unknown"}
    columns = (found.gene_id, found.probability, found.prediction, found.label)
    return np.array(
        [
            f"{_plain(gene)}<br>probability {probability:.3f}<br>predicted {names[prediction]}, label {names[label]}"
            for gene, probability, prediction, label in zip(*(column.tolist() for column in columns), strict=True)
        ]
    )


def _plain(gene: str) -> str:
    return gene.replace("&", "&amp;").replace("<", "&lt;")


def _rows(numbers: dict[str, Any]) -> list[list[str]]:
    names = {
        "silhouette": "Silhouette of predicted classes",
        "knn_purity": f"Purity of {numbers['neighbours']} neighbours, predicted class",
        "knn_purity_label": f"Purity of {numbers['neighbours']} neighbours, true label",
    }
    rows = []
    for key, name in names.items():
        if key not in numbers:
            continue
        values = [numbers[key].get(space) for space in ("dense", "plane", "chance")]
        rows.append([name, *map(_cell, values)])
    return rows


def _cell(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")
