"""What a data set will be made of, decided before anything is cut from the genome."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import FileSplit, GroupSplit, SimilaritySplit
from raygenex.config.run import RunConfig
from raygenex.data.build.genes import Origin, read_origin
from raygenex.data.build.labels import label_genes, match_genes, threshold_of
from raygenex.data.extras import groups_of, read_extras
from raygenex.data.splits.file import SplitTable, apply_split, read_split
from raygenex.data.splits.rules import NO_SIMILARITY, Genes, assign
from raygenex.errors import ConfigError, DataError


@dataclass(frozen=True)
class Chosen:
    """The genes of a data set and all that is known of them without their sequences; one value a gene, in order."""

    origin: Origin
    columns: dict[str, NDArray[Any]]
    """The user's columns."""
    expression: NDArray[np.float64]
    threshold: float | None
    """Expression above which a gene is high; None if the labels come from the table of features."""
    label: NDArray[np.uint8]
    genes: Genes
    """What the split looks at, but for sequences."""
    split: SplitTable | None
    """None if it depends on sequences."""


def choose(config: RunConfig) -> Chosen:
    """Read the inputs, but not the genome's bases, and choose the genes, their labels and, if possible, their split.

    Raises
    ------
    DataError, ConfigError
        If an input cannot be used, inputs or settings do not fit each other, or no gene is left.
    """
    options = config.build
    assert options is not None, "checked by the caller"
    if isinstance(config.split, SimilaritySplit) and not options.promoters:
        raise ConfigError(f"split.rule similarity compares promoters, but build.promoters is false: {NO_SIMILARITY}")
    extras = read_extras(options.extra, options.strip_versions)
    origin = read_origin(options)
    if isinstance(config.split, FileSplit):
        ids = origin.gene_id
        inside = apply_split(read_split(config.split.file), ids)
        origin = origin.without({gene for gene, name in zip(ids, inside, strict=True) if name is None}, "no split")
    expression = np.array([origin.value[gene.gene_id] for gene in origin.genes])
    if options.label.table is None:
        threshold, label = None, expression.astype(np.uint8)
    else:
        threshold = threshold_of(options.label, expression)
        label = label_genes(expression, threshold, options.label.table)
    for column in extras:
        match_genes(origin.gene_id.tolist(), column.values, origin.where, f"the column {column.name} of build.extra")
    columns = {column.name: column.of(origin.gene_id.tolist()) for column in extras}
    places = origin.locations()
    genes = Genes(
        gene_id=origin.gene_id,
        chrom=None if places is None else places.chrom,
        # Without its window a TSS does not tell which genes overlap.
        tss=None if places is None or not options.promoters else places.tss,
        strand=None if places is None else places.strand,
        first=options.window[0] if options.promoters else None,
        stop=options.window[1] if options.promoters else None,
        group=groups_of(config.split, origin.gene_id, columns) if isinstance(config.split, GroupSplit) else None,
    )
    split = None if isinstance(config.split, SimilaritySplit) else assign_filled(genes, config)
    return Chosen(origin, columns, expression, threshold, label, genes, split)


def assign_filled(genes: Genes, config: RunConfig) -> SplitTable:
    """Split genes by the rule of a configuration.

    Raises
    ------
    DataError
        As `raygenex.data.splits.rules.assign` does, and if no gene is in a split that the data section names: whoever
        reads its file later would not find it.
    """
    table = assign(genes, config.split)
    if empty := next((name for name in config.data.configured if not table.counts[name]), None):
        raise DataError(f"data.{empty} is set, but the split gives {empty} no gene: correct the split, or leave it out")
    return table
