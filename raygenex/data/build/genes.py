"""Where the genes of a data set come from: an annotation and its genome, or a published table of features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import BuildConfig, FileSplit, GroupSplit, SimilaritySplit
from raygenex.config.run import RunConfig
from raygenex.data.build.annotation import read_annotation
from raygenex.data.build.candidates import Candidate, find_candidates, none_left
from raygenex.data.build.feature_places import choose_rows, place_windows
from raygenex.data.build.feature_table import ImportedFeatures, has_records, read_features
from raygenex.data.build.labels import label_genes, read_expression, read_extras, threshold_of
from raygenex.data.build.targets import BuiltTarget, read_target_tables
from raygenex.data.gene_ids import match_genes
from raygenex.data.genome import Genome, open_genome
from raygenex.data.hdf5.schema import Locations
from raygenex.data.splits.file import SplitTable, apply_split, read_split
from raygenex.data.splits.rules import NO_SIMILARITY, assign, groups_of
from raygenex.data.tables import shown
from raygenex.data.windows import GeneWindows
from raygenex.errors import ConfigError, DataError
from raygenex.terminal.progress import steps


@dataclass(frozen=True)
class Origin:
    """The genes that are wanted, before anything is cut from the genome."""

    where: str
    """The annotation or the table of features."""
    genome: Genome | None
    """What windows are cut from; None if the genes have no promoters."""
    genes: list[Candidate]
    """In the order of the genome, or of the table where there is none."""
    dropped: dict[str, str]
    """Why each other gene stays out, by gene id."""
    genome_build: str | None
    table: ImportedFeatures | None
    """The published features; None if they are computed from the annotation."""
    value: Mapping[str, float]
    """Expression by gene id; the labels of the table of features if there is no expression table."""
    columns: tuple[str, ...]
    """The columns behind the values."""
    on_genome: bool
    """Whether the windows were found on a genome; else they are the records of a FASTA, or there are none."""

    @property
    def gene_id(self) -> NDArray[np.object_]:
        """Ids of the genes, str, shape ``(N,)``."""
        return np.array([gene.gene_id for gene in self.genes], dtype=object)

    @property
    def halflife_scale(self) -> str:
        """How lengths are scaled: ``log10`` or ``z-score``."""
        return self.table.scale if self.table is not None else "log10"

    @property
    def features_scale(self) -> str | None:
        """What the lengths of the table of features are; None without such a table."""
        return None if self.table is None else self.table.given

    def locations(self) -> Locations | None:
        """Return where the genes lie; None if only a FASTA of windows, or a table without places, is known."""
        if self.table is not None and not self.on_genome:
            places = self.table.locations([gene.gene_id for gene in self.genes])
            # A promoter whose strand is not known lies nowhere in particular.
            return None if places is None or (self.genome is not None and places.strand is None) else places
        chrom, tss, strand = zip(*((gene.chrom, gene.tss, gene.strand) for gene in self.genes), strict=True)
        return Locations(np.array(chrom, dtype=object), np.array(tss, dtype=np.int64), np.array(strand, dtype=object))

    def without(self, genes: set[str], reason: str) -> "Origin":
        """Return the same without some genes.

        Raises
        ------
        DataError
            If no gene is left.
        """
        kept = [gene for gene in self.genes if gene.gene_id not in genes]
        left = replace(self, genes=kept, dropped=self.dropped | dict.fromkeys(sorted(genes), reason))
        left.check_not_empty()
        return left

    def check_not_empty(self) -> None:
        """Raise a DataError that gives the reasons if there is no gene."""
        if not self.genes:
            raise none_left(self.where, self.dropped)


def read_origin(config: BuildConfig) -> Origin:
    """Read the inputs of a build, but not the genome's bases, and choose the genes.

    Raises
    ------
    DataError
        If an input cannot be used, inputs do not fit each other, or no gene is left.
    """
    origin = _from_annotation(config) if config.annotation is not None else _from_table(config)
    origin.check_not_empty()
    unmeasured = {gene.gene_id for gene in origin.genes if gene.gene_id not in origin.value}
    reason = "no label" if config.label.table is None else "no expression"
    return origin.without(unmeasured, reason) if unmeasured else origin


def _from_annotation(config: BuildConfig) -> Origin:
    assert config.genome is not None, "checked with the section"
    assert config.annotation is not None, "checked by the caller"
    # The small files first: what is wrong with them is said within seconds.
    expression = read_expression(config.label, config.strip_versions)
    genome = open_genome(config.genome)
    with steps("reading the annotation") as on_progress:
        annotation = read_annotation(config.annotation, on_progress, config.chromosomes)
    genes, dropped = find_candidates(annotation, genome, config)
    if genes:
        match_genes([gene.gene_id for gene in genes], expression.value, config.annotation, expression.path)
    build = config.genome_build or annotation.genome_build
    return Origin(config.annotation, genome, genes, dropped, build, None, expression.value, expression.columns, True)


def _from_table(config: BuildConfig) -> Origin:
    table = read_features(config)
    fasta = config.windows if has_records(config) else config.genome
    if fasta is None and config.promoters:
        raise DataError(
            f"{table.path} has no promoters: name a genome in build.genome, or a FASTA of windows in build.windows, or "
            "set build.promoters to false"
        )
    if config.label.table is not None:
        expression = read_expression(config.label, config.strip_versions)
        value, columns = expression.value, expression.columns
        match_genes(table.gene_id.tolist(), value, table.path, expression.path)
    elif table.label is not None:
        known = ~np.isnan(table.label)
        value = dict(zip(table.gene_id[known].tolist(), table.label[known].tolist(), strict=True))
        columns = ("label",)
    else:
        raise DataError(f"{table.path} has no label column: add one, or name an expression table in build.label.table")
    genome = None if fasta is None else open_genome(fasta)
    genes, dropped = choose_rows(table, config) if genome is None else place_windows(table, genome, config)
    on_genome = fasta is not None and fasta == config.genome
    return Origin(table.path, genome, genes, dropped, config.genome_build, table, value, columns, on_genome)


@dataclass(frozen=True)
class Chosen:
    """The genes of a data set and all that is known of them without their sequences; one value per gene, in order."""

    origin: Origin
    columns: dict[str, NDArray[Any]]
    """The user's columns."""
    expression: NDArray[np.float64]
    threshold: float | None
    """Expression above which a gene is high; None if the labels come from the table of features."""
    label: NDArray[np.uint8]
    genes: GeneWindows
    """What the split looks at, but for sequences."""
    split: SplitTable | None
    """None if it depends on sequences."""
    targets: list[BuiltTarget]
    """Quantities that are written with the genes."""


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
    targets = read_target_tables(options.targets, options.strip_versions)
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
    genes = GeneWindows(
        origin.gene_id,
        **({} if places is None else places.columns()),
        window=options.window if options.promoters else None,
        group=groups_of(config.split, origin.gene_id, columns) if isinstance(config.split, GroupSplit) else None,
    )
    split = None if isinstance(config.split, SimilaritySplit) else assign_filled(genes, config)
    for target in targets:
        target.check(origin.gene_id, origin.where)
    return Chosen(origin, columns, expression, threshold, label, genes, split, targets)


def describe_taken(
    columns: Sequence[str], aggregate: str, threshold: float | None, features_scale: str | None
) -> tuple[str, ...]:
    """Say, a line each, what a build takes from its tables.

    Parameters
    ----------
    columns
        Those behind the values of the genes.
    aggregate
        How several become one value.
    threshold
        Expression above which a gene is high; None if the labels come from the table of features, and no columns are
        named.
    features_scale
        What the lengths of the table of features are; None without such a table.
    """
    lines = []
    if threshold is not None:
        joined = columns[0] if len(columns) == 1 else f"the {aggregate} of {len(columns)} columns ({shown(columns)})"
        lines.append(f"expression: {joined}")
    if features_scale is not None:
        lines.append(f"features: their lengths are {features_scale}")
    return tuple(lines)


def assign_filled(genes: GeneWindows, config: RunConfig) -> SplitTable:
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
