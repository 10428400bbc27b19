"""The whole of a split as a table of features, for models that are fitted to all genes at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raygenex.config.model import KmerConfig
from raygenex.config.run import RunConfig
from raygenex.data.rows import Columns, Rows
from raygenex.errors import ConfigError
from raygenex.train.inputs import Inputs

if TYPE_CHECKING:
    from raygenex.models.tabular import TabularModel

# Genes whose bases are in memory at a time.
PIECE = 4096


@dataclass(frozen=True)
class FeatureTable:
    """Features ``(genes, features)``, and labels ``(genes,)`` or values of targets ``(genes, T)``, both float32."""

    features: NDArray[np.float32]
    label: NDArray[np.float32]


def make_table(
    model: "TabularModel", parts: Iterable[Columns], count: int, advance: Callable[[int, str], None] | None = None
) -> FeatureTable:
    """Make the features of genes that come in parts, so that only their features are in memory together.

    A part has the columns ``sequence``, ``halflife`` and ``label``; ``count`` is of the genes in all parts.
    """
    features = np.empty((count, model.width), dtype=np.float32)
    labels = []
    done = 0
    for part in parts:
        rows = slice(done, done + len(part["label"]))
        features[rows] = model.features(part["sequence"], part["halflife"])
        labels.append(part["label"])
        done = rows.stop
        if advance is not None:
            advance(len(part["label"]), "")
    assert done == count, "a split must hold the genes it was promised"
    return FeatureTable(features, np.concatenate(labels).astype(np.float32))


def read_parts(rows: Rows) -> Iterable[Columns]:
    """Read a split part by part, in this process."""
    return (piece.read() for piece in rows.pieces(0, rows.count, PIECE))


def check_memory(config: RunConfig, inputs: Inputs) -> None:
    """Refuse, with a ConfigError, a table of features that does not fit ``train.memory_gib`` on each worker."""
    if not isinstance(config.model, KmerConfig):
        return
    from raygenex.models.kmers import feature_count

    workers = config.train.workers if config.model.kind == "xgboost_kmer" else 1
    width = feature_count(config.model, inputs.info.window, len(inputs.info.features))
    # Trees of each target hold the features of its genes once more, a byte each.
    size = 4 + (len(inputs.targets) if config.model.kind == "xgboost_kmer" else 0)
    gib = -(-inputs.tables["train"].count // workers) * width * size / 2**30
    if gib > config.train.memory_gib:
        more = "raise train.memory_gib or train.workers" if config.model.kind == "xgboost_kmer" else "raise it"
        raise ConfigError(
            f"{width} features of {inputs.tables['train'].count} genes take {gib:.1f} GiB per worker, and "
            f"train.memory_gib is {config.train.memory_gib:g}: {more}, or count shorter k-mers in fewer regions"
        )
