"""The section of a configuration that says how a model is explained."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from raygenex.config.base import PathText, Position, PositiveFloat, PositiveInt, Section, Several
from raygenex.config.targets import TargetName

Method = Literal["saliency", "input_x_gradient", "integrated_gradients", "deeplift", "mutagenesis", "halflife"]
"""A way to attribute the logit of a gene to its bases, or, ``halflife``, to its half-life features."""


class ExplainConfig(Section):
    """Which genes are explained, by which methods, and how the results are drawn."""

    split: Literal["train", "valid", "test"] = Field("valid", description="the split that is explained")
    target: TargetName | None = Field(
        None, description="which target of a model of targets is explained; null: its first"
    )
    genes: PositiveInt | None = Field(None, description="so many genes, spread evenly over the split; null: all")
    methods: tuple[Method, ...] = Field(("saliency", "halflife"), description="what is computed", min_length=1)
    reference: Literal["unknown", "uniform", "shuffled"] = Field(
        "unknown",
        description="what integrated_gradients and deeplift compare with: unknown bases, all four bases in equal "
        "parts, or the gene's own bases shuffled with their dinucleotides kept",
    )
    references: PositiveInt = Field(10, description="shuffled sequences per gene, averaged")
    steps: PositiveInt = Field(64, description="points on the path of integrated_gradients that are tried first")
    max_steps: PositiveInt = Field(1024, description="points at most; they are doubled until tolerance is kept")
    tolerance: PositiveFloat = Field(
        0.01,
        description="largest gap between the sum of a gene's attributions and the change of its logit, relative to "
        "that change; 1e-5 logits, or standard deviations of a target, always pass",
    )
    region: tuple[Position, Position] | None = Field(
        None, description="first and stop, in bases from the TSS, of what mutagenesis changes; null: the whole window"
    )
    hypothetical: bool = Field(False, description="also keep what each of the four bases would contribute")
    permutations: PositiveInt = Field(10, description="shuffles of each half-life feature for its importance")
    window_first: Position | None = Field(
        None,
        description="where the windows of the files start, in bases from the TSS, before data.window crops them; "
        "null: as the files say, or centred",
    )
    smoothing: PositiveInt = Field(1, description="bases of the moving average in profiles; 1: none")
    top_positions: PositiveInt = Field(20, description="most important positions that are drawn")
    top_genes: PositiveInt = Field(100, description="genes predicted high that are drawn with them")
    neighbours: Several = Field(15, description="neighbours of a gene, for UMAP and for purity")
    min_distance: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.1, description="least distance of genes in UMAP")
    motifs: PathText | None = Field(None, description="MEME file that discovered motifs are matched with")
    discover: bool = Field(False, description="discover motifs in the attributions; needs the extra motifs")
    batch_size: PositiveInt = Field(16, description="sequences a forward or backward pass")
    rows_per_file: PositiveInt = Field(32, description="genes that are explained and written at a time")
    workers: PositiveInt = Field(1, description="explaining actors")
    cpus_per_worker: PositiveFloat = Field(1.0, description="logical CPUs each actor reserves")
    gpus_per_worker: Annotated[float, Field(ge=0.0)] = Field(0.0, description="GPUs, or a fraction of one, each")

    @property
    def keeps_hypothetical(self) -> bool:
        """Whether hypothetical contributions are kept; motifs are discovered in them."""
        return self.hypothetical or self.discover

    @model_validator(mode="after")
    def _consistent(self) -> "ExplainConfig":
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("a method is named twice: name each once")
        if self.max_steps < self.steps:
            raise ValueError(f"max_steps is {self.max_steps}, below steps, {self.steps}: raise it")
        if self.region is not None and self.region[0] >= self.region[1]:
            raise ValueError(f"region {list(self.region)} is empty: give its first base and the base after its last")
        return self
