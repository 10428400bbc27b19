"""The sections of the run configuration that say where data come from, how they are split and what they must pass."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from raygenex.config.base import (
    LARGEST,
    SPLITS,
    AnySeed,
    Columns,
    Count,
    Fraction,
    Names,
    Paths,
    PathText,
    Position,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
)
from raygenex.config.features import Features
from raygenex.config.targets import TargetKind, TargetName


class DataConfig(Section):
    """Where the promoters of each split are: HDF5 paths, globs or fsspec URLs."""

    train: Paths = Field((), description="HDF5 files to learn from")
    valid: Paths = Field((), description="HDF5 files that choose the epoch, the settings and the threshold")
    test: Paths = Field((), description="HDF5 files read once, by `evaluate --split test`")
    window: PositiveInt | None = Field(None, description="bases to keep around the centre; null keeps all")
    features: Features = Field(
        (), description="what models read beside the DNA; empty: the eight half-life features of the files"
    )

    @property
    def configured(self) -> tuple[str, ...]:
        """The splits that have files, in the order train, valid, test."""
        return tuple(name for name in SPLITS if self.split(name))

    def split(self, name: str) -> tuple[str, ...]:
        """Return the paths of one split, ``train``, ``valid`` or ``test``."""
        assert name in SPLITS, name
        return getattr(self, name)


class SimulateConfig(Section):
    """A small data set with planted motifs and half-life effects, made by `data simulate`."""

    train: PositiveInt = Field(768, description="genes in the training split")
    valid: PositiveInt = Field(256, description="genes in the validation split")
    test: PositiveInt = Field(256, description="genes in the test split")
    window: Annotated[int, Field(ge=100, le=LARGEST)] = Field(
        512, description="bases a promoter, the TSS in the middle"
    )
    background_order: Annotated[int, Field(ge=0, le=5)] = Field(
        1, description="order of the background's Markov chain: bases that the next one depends on"
    )
    gc: Annotated[float, Field(ge=0.1, le=0.9)] = Field(0.40, description="GC content outside CpG islands")
    cpg_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.25, description="CG dinucleotides over those expected of the GC content, outside CpG islands; not in order 0"
    )
    dna_effect: Annotated[float, Field(ge=0.0)] = Field(1.7, description="log-odds a unit of DNA score")
    halflife_effect: Annotated[float, Field(ge=0.0)] = Field(1.7, description="log-odds a unit of half-life score")
    island_effect: Annotated[float, Field(ge=0.0)] = Field(6.0, description="DNA score of a CpG island of strength 1")
    motif_effect: Annotated[float, Field(ge=0.0)] = Field(
        1.0, description="factor of all motifs' effects; above 1, motifs weigh more against islands"
    )
    interaction: Annotated[float, Field(ge=0.0)] = Field(
        0.4, description="weight of products of half-life features in their score; 0 leaves it linear"
    )
    label_noise: Annotated[float, Field(ge=0.0, lt=0.5)] = Field(
        0.0, description="share of the labels that are turned at random"
    )
    targets: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="tissues whose expression levels are written as targets; 0: labels alone"
    )
    target_specific: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.3, description="with targets, the share of a tissue's variance that is its own, by its effects of the motifs"
    )
    target_noise: Annotated[float, Field(ge=0.0)] = Field(
        0.5, description="with targets, the standard deviation of noise, in those of the true level"
    )
    target_missing: Fraction = Field(0.0, description="with targets, the share of values that were not measured")
    seed: AnySeed = Field(0, description="seed of the draw")

    @model_validator(mode="after")
    def _targets_go_together(self) -> "SimulateConfig":
        if not self.targets:
            for key in _OF_TARGETS:
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key} belongs to targets, of which there are none: set simulate.targets")
        return self

    def made_of(self) -> dict[str, Any]:
        """Return all that defines the data, as plain values; of targets only where there are some."""
        return self.model_dump(mode="json", exclude=set() if self.targets else {"targets", *_OF_TARGETS})


_OF_TARGETS = ("target_specific", "target_noise", "target_missing")


class LabelConfig(Section):
    """The expression table, and the rule that makes a label of it."""

    table: PathText | None = Field(
        None, description="TSV, CSV or Parquet, one row per gene; null: the features' own labels"
    )
    gene_column: str = Field("gene_id", description="column of the gene ids")
    columns: Columns = Field((), description="columns or globs of them, a sample each; empty: every numeric column")
    aggregate: Literal["median", "mean"] = Field("median", description="how several samples become one value")
    threshold: float | Literal["median"] = Field(
        "median", description="a gene above it is high: a number, or the median over the genes that are kept"
    )


class TargetTableConfig(Section):
    """A table of measured quantities that `data build` writes as targets."""

    table: PathText = Field(description="TSV, CSV or Parquet, one row per gene")
    gene_column: str = Field("gene_id", description="column of the gene ids")
    columns: Columns = Field((), description="columns or globs of them; empty: every numeric column")
    name: TargetName | None = Field(
        None, description="one target of all columns, by aggregate; null: each column is a target of its own name"
    )
    aggregate: Literal["median", "mean"] = Field("median", description="how several columns become one value")
    kind: TargetKind = Field("continuous", description="what the values are")
    unit: str = Field("", description="their unit, in words")


class ExtraConfig(Section):
    """More columns to carry along with the genes, such as measured half-lives; models do not read them."""

    table: PathText = Field(description="TSV, CSV or Parquet, one row per gene")
    gene_column: str = Field("gene_id", description="column of the gene ids")
    columns: Columns = Field(description="columns to add, numbers or text")


_SOURCES = "set one of annotation (a GTF or GFF3) and features (a table of the eight features)"


class BuildConfig(Section):
    """From a genome, an annotation and an expression table to the files of `data`, by `data build`."""

    genome: PathText | None = Field(None, description="FASTA, plain, gzip or bgzip")
    genome_build: str | None = Field(None, description="name to record; null: what the annotation's header says")
    annotation: PathText | None = Field(None, description="GTF or GFF3, plain or gzip")
    features: PathText | None = Field(
        None, description="a table of the eight features (as Xpresso and EPInformer publish it) in place of annotation"
    )
    features_scale: Literal["auto", "bases", "log10", "z-score"] = Field(
        "auto", description="with features: what their lengths are; auto: what their names or values say"
    )
    promoters: bool = Field(True, description="false: features and labels alone, no DNA; needs features")
    windows: PathText | None = Field(
        None, description="with features: a BED of windows on the genome, or a FASTA of one window per gene"
    )
    window: tuple[Position, Position] = Field(
        (-10_000, 10_000), description="first base and the one after the last, from the TSS, on the gene's strand"
    )
    out_of_bounds: Literal["drop", "pad"] = Field(
        "drop", description="a window that leaves its chromosome: leave the gene out, or fill with unknown bases"
    )
    chromosomes: Names = Field((), description="chromosomes to keep, names or globs of the annotation; empty: all")
    chromosome_names: Literal["as_is", "add_chr", "strip_chr"] = Field(
        "as_is", description="how the annotation's chromosome names become those of the genome"
    )
    biotypes: Names = Field(("protein_coding",), description="gene biotypes to keep; empty: all")
    transcript: tuple[Literal["canonical", "mane", "appris", "longest_cds"], ...] = Field(
        ("canonical", "mane", "appris", "longest_cds"),
        description="what chooses a gene's transcript, the first that can decide",
        min_length=1,
    )
    tss_peaks: PathText | None = Field(
        None, description="BED of CAGE peaks: the highest near the annotated TSS moves it"
    )
    tss_distance: Count = Field(500, description="how far a peak may lie from the annotated TSS")
    missing_utr: Literal["zero", "drop"] = Field(
        "zero", description="a gene without an annotated UTR: length 0 and GC 0, or leave the gene out"
    )
    strip_versions: bool = Field(False, description="compare gene ids without version suffixes (.12)")
    label: LabelConfig = LabelConfig()
    targets: tuple[TargetTableConfig, ...] = Field(
        (), description="quantities to learn, beside the label or in its place; a gene without a value has none"
    )
    extra: tuple[ExtraConfig, ...] = Field((), description="more columns to carry along with the genes")
    genes_per_task: PositiveInt = Field(256, description="genes that a Ray task extracts")
    cpus_per_task: PositiveFloat = Field(1.0, description="logical CPUs a task reserves")

    @model_validator(mode="after")
    def _sources_agree(self) -> "BuildConfig":
        first, stop = self.window
        if first >= stop:
            raise ValueError(f"window [{first}, {stop}] holds no base: the second number must be above the first")
        if self.annotation is not None and self.features is not None:
            raise ValueError(_SOURCES)
        if self.features is None and self.features_scale != "auto":
            raise ValueError("features_scale belongs to features, a table of the eight features")
        if not self.promoters:
            self._fits_no_promoters()
        if self.annotation is not None and self.genome is None:
            raise ValueError("annotation needs genome, the FASTA it describes")
        if self.annotation is not None and self.label.table is None:
            raise ValueError("annotation needs label.table, the expression of the genes")
        return self

    @property
    def makes_data(self) -> bool:
        """Whether it says where genes come from; else it is rules alone, for the genes of ``variants.annotation``."""
        return self.annotation is not None or self.features is not None

    def check_use(self, for_variants: bool) -> None:
        """Raise a ValueError for keys that mean nothing, or are missing.

        Parameters
        ----------
        for_variants
            Whether its rules choose among the genes of ``variants.annotation`` too.
        """
        if not self.makes_data:
            if not for_variants:
                raise ValueError(f"build: {_SOURCES}")
            if self._is_set("window"):
                raise ValueError("build.window belongs to data that are built: set variants.window_first in its place")
        if self.features is not None and not for_variants:
            names = ("chromosome_names", "biotypes", "transcript", "tss_peaks", "tss_distance", "missing_utr")
            if name := next(filter(self._is_set, names), None):
                raise ValueError(f"build.{name} belongs to an annotation, and means nothing for a table of features")

    def _is_set(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    def _fits_no_promoters(self) -> None:
        if self.features is None:
            raise ValueError("promoters: false needs features, a table of the eight features, in place of annotation")
        for name in ("genome", "windows", "window", "out_of_bounds"):
            if self._is_set(name):
                raise ValueError(f"{name} belongs to promoters, and means nothing with promoters: false")


class SplitBase(Section):
    """What every rule that splits genes shares."""

    fractions: tuple[PositiveFloat, Annotated[float, Field(ge=0.0)], Annotated[float, Field(ge=0.0)]] = Field(
        (0.8, 0.1, 0.1), description="shares of train, valid and test, to be met as nearly as the rule allows"
    )
    seed: Seed = Field(0, description="seed of the draw")

    @model_validator(mode="after")
    def _fractions_add_up(self) -> "SplitBase":
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"fractions {list(self.fractions)} add up to {sum(self.fractions):g}, not 1")
        return self


class RandomSplit(SplitBase):
    """Genes at random: neighbours and paralogs end on both sides."""

    rule: Literal["random"] = "random"


class ChromosomeSplit(SplitBase):
    """Whole chromosomes."""

    rule: Literal["chromosome"] = "chromosome"
    valid: Names = Field((), description="chromosomes of valid; empty (with test empty): drawn to meet the fractions")
    test: Names = Field((), description="chromosomes of test")


class GroupSplit(SplitBase):
    """Whole groups of a column of the user's, such as gene families."""

    rule: Literal["group"] = "group"
    table: PathText | None = Field(
        None, description="TSV, CSV or Parquet of groups; null: a column of the promoter files"
    )
    gene_column: str = Field("gene_id", description="column of the gene ids")
    column: str = Field(description="column of the groups; a gene without one is its own")
    valid: Names = Field((), description="groups of valid; empty (with test empty): drawn to meet the fractions")
    test: Names = Field((), description="groups of test")


class SimilaritySplit(SplitBase):
    """Whole clusters of genes whose windows overlap, or whose promoters or proteins are alike."""

    rule: Literal["similarity"] = "similarity"
    promoter: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.3, description="share of common 16-mers (Jaccard) from which two promoters are alike"
    )
    protein: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        0.2, description="the same for 5-mers of the proteins, known to `data build`; null: not looked at"
    )


class FileSplit(Section):
    """The split of a file that `data split` or `data build` wrote, or of any table with gene_id and split."""

    rule: Literal["file"] = "file"
    file: PathText = Field(description="TSV, CSV or Parquet with the columns gene_id and split")


Split = Annotated[
    RandomSplit | ChromosomeSplit | GroupSplit | SimilaritySplit | FileSplit,
    Field(discriminator="rule"),
    BeforeValidator(lambda value: {"rule": "chromosome", **value} if isinstance(value, dict) else value),
]


class CheckConfig(Section):
    """What counts as a leak between splits, and how much of it is too much."""

    neighbours: Count = Field(1000, description="TSSs within so many bases are neighbours")
    promoter: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="share of common 16-mers (Jaccard) from which two promoters are near-duplicates"
    )
    max_leaked: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.01,
        description="share of the genes of valid or test with a leak above which `train` warns, or stops if strict",
    )
    workers: PositiveInt = Field(1, description="processes that read promoters; above 1: tasks of Ray, of 1 CPU each")
