"""Figures of the features beside the DNA, of an explained split."""

import csv
from functools import partial
from pathlib import Path

import numpy as np

from raygenex.data.features import features_in_words
from raygenex.explain.results import feature_figures
from raygenex.explain.results.explained import Columns, Drawn, Explained, attribution_of
from raygenex.explain.results.figure_words import caption


def draw_features(folder: Path, explained: Explained, columns: Columns, drawn: Drawn) -> None:
    """Draw Shapley values and, where ``halflife_importance.csv`` is there, what shuffling a feature loses."""
    attribution, words = attribution_of(explained, columns), explained.words
    genes, said = len(attribution), features_in_words(explained.features)
    text = f"Shapley values of the {said}, a dot per gene."
    if explained.halflife is not None and np.isnan(explained.halflife).any():
        text += " Grey crosses: no value of the feature."
    drawn.add(
        folder,
        "halflife",
        (4.8, 3.6),
        partial(
            feature_figures.halflife_strips,
            attribution=attribution,
            features=explained.features,
            values=explained.halflife,
            words=words,
        ),
        f"What the {said} add to the score",
        caption(text, genes, explained.split),
    )
    table = folder / "halflife_importance.csv"
    if table.is_file():
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
        features = [row["feature"] for row in rows]
        drop, low, high = ([float(row[key]) for row in rows] for key in ("drop", "low", "high"))
        drawn.add(
            folder,
            "halflife_importance",
            (4.2, 3.0),
            partial(feature_figures.permutation_bars, features=features, drop=drop, low=low, high=high, words=words),
            f"Loss of {words.metric} without a feature"
            if words.is_quantity
            else "What the AUROC loses without a feature",
            caption(
                f"Loss of {words.metric} when a feature is shuffled among the genes, with intervals of "
                f"{100 * explained.confidence:g} % by {words.method}.",
                *(genes, explained.split),
            ),
        )
