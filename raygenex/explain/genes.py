"""The genes that are explained: which rows of a split they are, where their windows lie, and how they are read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from raygenex.config.run import RunConfig
from raygenex.data.rows import Columns, Piece, PromoterRows
from raygenex.errors import ConfigError, DataError
from raygenex.explain.target import explained_target, measured_of
from raygenex.files.fingerprint import fingerprints
from raygenex.files.locate import locate
from raygenex.predict.inputs import open_genes
from raygenex.sequence import crop_start
from raygenex.train.checkpoint import CheckpointInfo
from raygenex.train.targets import TargetInfo

UNLABELLED = -1
"""Label of a gene whose class is not known."""


@dataclass(frozen=True)
class ExplainedGenes:
    """The genes of a split that are explained, numbered from 0 in the order of the split."""

    rows: PromoterRows
    """The whole split."""
    chosen: NDArray[np.int64]
    """Rows of the split that are explained, ascending, shape ``(n,)``."""
    halflife: NDArray[np.float32]
    """Features of the explained genes, shape ``(n, features)``."""
    fingerprints: list[str]
    """The sha256 of each file of the split."""
    window_first: int
    """Where the window's first base lies, in bases from the TSS; 0 for a model that reads no DNA."""
    assumed: bool
    """Whether nothing said where the window lies, and it is taken as centred."""
    target: TargetInfo | None = None
    """The target that is explained; None of a model of the label."""
    measured: NDArray[np.float64] | None = None
    """What was measured of it in the explained genes, on the scale of `TargetInfo.transformed`, NaN where nothing was,
    shape ``(n,)``."""

    @property
    def count(self) -> int:
        """Explained genes."""
        return len(self.chosen)

    @property
    def labelled(self) -> bool:
        """Whether predictions can be compared with the classes of all genes, or with values that were measured."""
        return self.rows.has_label if self.measured is None else bool(np.isfinite(self.measured).any())

    def bases(self) -> NDArray[np.uint8]:
        """Return the base indices of the explained genes, shape ``(n, window)``."""
        parts = [self.rows.piece(low, high).read()["sequence"] for low, high in _runs(self.chosen)]
        found: NDArray[np.uint8] = np.concatenate(parts)
        return found

    def piece(self, method: str, start: int, stop: int, donors: NDArray[np.float32]) -> Piece:
        """Return the explained genes ``start`` to ``stop`` as one piece, for one method.

        Its columns are those of `PromoterRows`, with a label of `UNLABELLED` where there is none, and ``method``,
        ``number`` (the gene's among the explained) and ``donors``, see `donors_of`, ``(n, permutations * features)``.
        """
        bytes_a_gene = self.rows.row_bytes + donors[0].nbytes
        return Piece(
            self.rows.files[0].path,
            stop - start,
            (stop - start) * bytes_a_gene,
            partial(_read, self.rows, self.chosen[start:stop], method, start, donors[start:stop]),
        )


def _read(
    rows: PromoterRows, chosen: NDArray[np.int64], method: str, start: int, donors: NDArray[np.float32]
) -> Columns:
    parts = [rows.piece(low, high).read() for low, high in _runs(chosen)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "split"}
    count = len(chosen)
    label = columns.get("label", np.full(count, UNLABELLED)).astype(np.int8)
    numbers = np.arange(start, start + count, dtype=np.int64)
    return columns | {
        "label": label,
        "method": np.full(count, method),
        "number": numbers,
        "donors": donors.reshape(count, -1),
    }


def _runs(chosen: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut ascending rows into ranges of consecutive ones."""
    for run in np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1):
        yield int(run[0]), int(run[-1]) + 1


def spread(total: int, wanted: int | None) -> NDArray[np.int64]:
    """Return so many rows of ``total``, evenly spread: the middles of as many equal parts; all of them for None."""
    count = total if wanted is None else min(wanted, total)
    return (2 * np.arange(count, dtype=np.int64) + 1) * total // (2 * count)


def donors_of(halflife: NDArray[np.float32], permutations: int, seed: int) -> NDArray[np.float32]:
    """Return every feature shuffled over the genes, several times.

    Parameters
    ----------
    halflife
        Shape ``(n, features)``.
    permutations
        Shuffles of each feature; 0 for none.
    seed
        The same one gives the same shuffles, however the genes are spread over actors.

    Returns
    -------
    Shape ``(n, permutations, features)``: what each gene gets in place of each of its features.
    """
    found = np.empty((len(halflife), permutations, halflife.shape[1]), dtype=np.float32)
    for number in range(permutations):
        for feature in range(halflife.shape[1]):
            order = np.random.default_rng([seed, number, feature]).permutation(len(halflife))
            found[:, number, feature] = halflife[order, feature]
    return found


def typical(halflife: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of each feature over the genes that have it, shape ``(features,)``; NaN where none has."""
    found: NDArray[np.float32] = np.full(halflife.shape[1], np.nan, dtype=np.float32)
    known = ~np.isnan(halflife).all(axis=0)
    found[known] = np.nanmedian(halflife[:, known], axis=0)
    return found


def open_explained(config: RunConfig, info: CheckpointInfo) -> ExplainedGenes:
    """Open the configured split for a model, labels not needed, and choose the genes.

    Raises
    ------
    ConfigError
        If the split is not configured, ``explain.region`` does not lie in the window, or the model has no
        ``explain.target``.
    DataError
        If a file breaks the schema, a gene is in two files, the window is not the model's, or the values of the target
        cannot be used.
    """
    options = config.explain
    key = f"data.{options.split}"
    if not config.data.split(options.split):
        raise ConfigError(f"{key} is not set: name its HDF5 files, or set explain.split to another split")
    rows = open_genes(locate(config.data.split(options.split), key), info, config.data)
    rows = replace(rows, split=options.split)
    first, assumed = window_first(config, rows, info.inputs.first) if rows.window else (0, False)
    if options.region is not None and "mutagenesis" in options.methods and rows.window:
        low, high = options.region
        if low < first or high > first + rows.window:
            raise ConfigError(
                f"explain.region, bases {low} to {high - 1} from the TSS, does not lie in the window, bases {first} to "
                f"{first + rows.window - 1}: change it, or set explain.window_first"
            )
    chosen = spread(rows.count, options.genes)
    prints = fingerprints(file.path for file in rows.files)
    target = explained_target(info, options.target)
    measured = None if target is None else measured_of(config, target)[chosen]
    return ExplainedGenes(rows, chosen, rows.halflife[chosen], prints, first, assumed, target, measured)


def window_first(config: RunConfig, rows: PromoterRows, trained: int | None) -> tuple[int, bool]:
    """Return where the window's first base lies, in bases from the TSS, and whether that is only assumed.

    ``explain.window_first``, where the windows of the files begin, goes before what the files say, and that before
    ``trained``, where those of the training began. A window that is cut out of the files' own is cut around its centre,
    so it begins later.

    Raises
    ------
    DataError
        If the windows of the files lie at different places.
    """
    configured = config.explain.window_first
    places: dict[int | None, str] = {}
    for file in rows.files:
        first = file.first if configured is None else configured
        places[None if first is None else first + crop_start(file.window, rows.window)] = file.path
    if len(places) > 1:
        remedy = "set explain.window_first if they do, or " if configured is None else ""
        raise DataError(
            f"the windows in {' and '.join(places.values())} do not lie at the same place around the TSS: {remedy}"
            "explain the files one by one"
        )
    found = next(iter(places))
    if found is None:
        found = trained
    return (-(rows.window // 2), True) if found is None else (found, False)
