"""Putting a data set together: the rows of every gene, the files of every split, and the list of all genes."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.base import SPLITS
from raygenex.data.build.extract import Extracted
from raygenex.data.build.targets import BuiltTarget, target_matrix
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.schema import EXTRA_GROUP, TARGETS, Locations
from raygenex.data.hdf5.write import SplitWriters


@dataclass(frozen=True)
class GeneRows:
    """All small columns of the genes of a data set; one value or row per gene, in the order of the genome."""

    gene_id: NDArray[np.object_]
    locations: Locations | None
    transcript_id: NDArray[np.object_]
    """Empty if the features come from a table."""
    rule: NDArray[np.object_]
    """What chose the transcript."""
    expression: NDArray[np.float64]
    label: NDArray[np.uint8]
    halflife: NDArray[np.float64]
    """Shape ``(N, 8)``."""
    extra: Mapping[str, NDArray[Any]]
    """The user's columns."""
    targets: Sequence[BuiltTarget] = ()
    """Quantities to learn."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the optional columns of a promoter file, by their name in it."""
        places = {} if self.locations is None else self.locations.columns()
        measured = {TARGETS: target_matrix(self.targets, self.gene_id)} if self.targets else {}
        return places | {f"{EXTRA_GROUP}/{name}": values for name, values in self.extra.items()} | measured


def write_splits(
    folder: Path,
    rows: GeneRows,
    splits: NDArray[np.object_],
    batches: Sequence[Extracted],
    attrs: Mapping[str, str | int | float],
    advance: Callable[[int, str], None],
) -> None:
    """Write ``train.h5``, ``valid.h5`` and ``test.h5``; a split without genes has no file.

    Parameters
    ----------
    folder
        Where to write.
    rows
        The small columns, in the order of the batches.
    splits
        ``train``, ``valid`` or ``test``, shape ``(N,)``.
    batches
        The promoters; none for files without them.
    attrs
        Attributes of the files.
    advance
        Called with the number of genes written, and a note.
    """
    columns = rows.columns()
    window = np.load(batches[0].path, mmap_mode="r").shape[1] if batches else 0
    paths = {name: folder / f"{name}.h5" for name in SPLITS if (splits == name).any()}
    start = 0
    with SplitWriters(paths, window, attrs=attrs, targets=[target.target for target in rows.targets]) as writers:
        for promoters in _promoters(batches, len(rows.gene_id)):
            here = slice(start, start + len(promoters))
            more = {column: values[here] for column, values in columns.items()}
            writers.append(splits[here], rows.gene_id[here], promoters, rows.halflife[here], rows.label[here], more)
            advance(len(promoters), "")
            start = here.stop
    assert start == len(rows.gene_id), (start, len(rows.gene_id))


def _promoters(batches: Sequence[Extracted], genes: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the promoters of every batch; without batches, those of all genes, of no bases."""
    for batch in batches:
        yield np.load(batch.path, mmap_mode="r")
    if not batches:
        yield np.empty((genes, 0), dtype=np.uint8)


def write_genes(path: Path, rows: GeneRows, splits: NDArray[np.object_], dropped: Mapping[str, str]) -> None:
    """Write the list of all genes: those of the data set with their values, then all others with the reason.

    Columns: gene_id, split (empty for a gene that stays out), reason, chrom, tss (1-based), strand, transcript_id,
    transcript_rule, expression, label, the eight features, and the user's columns.
    """
    import pandas as pd

    kept: dict[str, Any] = {"gene_id": rows.gene_id, "split": splits, "reason": ""}
    if rows.locations is not None:
        kept |= rows.locations.columns()
    kept |= {"transcript_id": rows.transcript_id, "transcript_rule": rows.rule}
    kept |= {"expression": rows.expression, "label": rows.label}
    kept |= {feature: rows.halflife[:, i] for i, feature in enumerate(HALFLIFE_FEATURES)}
    # An added column, or a target, may bear a name of ours.
    learned = {target.target.name: target.of(rows.gene_id) for target in rows.targets}
    for prefix, more in (("target", learned), ("extra", rows.extra)):
        kept |= {(name if name not in kept else f"{prefix}_{name}"): values for name, values in more.items()}
    others = {"gene_id": list(dropped), "reason": list(dropped.values())}
    table = pd.concat([pd.DataFrame(kept).astype({"label": "Int64"}), pd.DataFrame(others)], ignore_index=True)
    if rows.locations is not None:
        table["tss"] = table["tss"].astype("Int64")
    table.to_csv(path, sep="\t", index=False, float_format="%.6g")


def split_counts(rows: GeneRows, splits: NDArray[np.object_]) -> dict[str, dict[str, int]]:
    """Count genes, high and low, of every split that has genes."""
    found = {}
    for name in SPLITS:
        label = rows.label[splits == name]
        if len(label):
            high = int(label.sum())
            found[name] = {"genes": len(label), "high": high, "low": len(label) - high}
    return found


def rule_counts(rows: GeneRows) -> dict[str, int]:
    """Count the genes whose transcript each rule chose, the most frequent first."""
    return dict(Counter(rows.rule.tolist()).most_common())
