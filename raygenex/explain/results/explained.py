"""The genes that were explained, and what was drawn of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.explain.results.saving import save_figure
from raygenex.explain.results.words import LABEL_WORDS, Words

Columns = Mapping[str, NDArray[Any]]
"""What a method wrote: ``gene_id`` (n,), ``attribution`` (n, L), and what else it has, by name."""


@dataclass(frozen=True)
class PredictedGenes:
    """Genes, and what they are and are predicted to be."""

    gene_id: NDArray[np.str_]
    """Shape ``(n,)``."""
    label: NDArray[np.int8]
    """1 high, 0 low, -1 unknown, shape ``(n,)``; of a quantity all are -1."""
    probability: NDArray[np.float64]
    """Of high expression, shape ``(n,)``; of a quantity, its predicted value."""


@dataclass(frozen=True)
class Explained(PredictedGenes):
    """The genes that were explained, and what the results need to know of them."""

    dense: NDArray[np.float32]
    """Output of the first dense layer, shape ``(n, width)``; width 0 where there is none."""
    threshold: float
    """A gene is predicted high where its probability reaches it; of a quantity, the lowest of the ``explain.top_genes``
    highest predicted values."""
    split: str
    window_first: int
    """Bases from the TSS of the first position of the attributions."""
    confidence: float = 0.95
    """Coverage of the intervals, in (0, 1)."""
    seed: int = 0
    bases: NDArray[np.uint8] | None = None
    """Base indices, shape ``(n, L)``; None: no logos and no motifs."""
    halflife: NDArray[np.floating] | None = None
    """Features, shape ``(n, f)``, NaN where a gene has no value, for their colours; None: one colour."""
    measured: NDArray[np.float64] | None = None
    """Of a quantity, what was measured, shape ``(n,)``, NaN where nothing was; None of classes."""
    words: Words = LABEL_WORDS
    """What is explained."""
    features: tuple[str, ...] = HALFLIFE_FEATURES
    """Names of the features."""


@dataclass
class Drawn:
    """What was drawn."""

    captions: dict[str, dict[str, str]] = field(default_factory=dict)
    """By name of the figure: its ``title`` and its ``caption``."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """``projection`` and ``agreement``, as in their files."""
    notes: list[str] = field(default_factory=list)
    """Sentences on what was not drawn, and why."""

    def add(
        self,
        folder: Path,
        name: str,
        size: tuple[float, float],
        plot: Callable[[Axes], Axes],
        title: str,
        caption: str,
    ) -> None:
        """Draw a figure into ``folder/figures``, and keep what is said of it."""
        save_figure(folder / "figures", name, size, plot)
        self.captions[name] = {"title": title, "caption": caption}


def attribution_of(explained: Explained, columns: Columns) -> NDArray[np.float32]:
    """Return the attributions of a method, shape ``(n, L)``, which must be of the genes explained."""
    assert np.array_equal(columns["gene_id"], explained.gene_id), "a method explained other genes"
    return columns["attribution"]
