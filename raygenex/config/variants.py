"""The section of a configuration that says against which genes variants are scored."""

from typing import Annotated

from pydantic import Field, model_validator

from raygenex.config.base import Paths, PathText, Position, PositiveFloat, PositiveInt, Section


class VariantsConfig(Section):
    """The genome, the genes and the work of scoring variants."""

    genome: PathText | None = Field(None, description="FASTA that the variants refer to; null: build.genome")
    genes: Paths = Field((), description="HDF5 files that say where their genes lie; empty: those of data")
    annotation: PathText | None = Field(
        None, description="GTF or GFF3 to take the genes from, by the rules of build, in place of HDF5 files"
    )
    window_first: Position | None = Field(
        None,
        description="first base of the window that the model reads, from the TSS; null: as the files, build or the "
        "model's own build say, or centred",
    )
    max_length: PositiveInt = Field(
        1000, description="longest allele in bases, once what REF and ALT share is cut off; longer ones are skipped"
    )
    batch_size: PositiveInt = Field(64, description="windows a forward pass")
    rows_per_task: PositiveInt = Field(2048, description="windows that an actor takes at a time")
    in_process: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        20_000_000, description="work of at most so many bases of windows starts no Ray, if no address or GPU is set"
    )
    workers: PositiveInt = Field(1, description="scoring actors")
    cpus_per_worker: PositiveFloat = Field(1.0, description="logical CPUs each actor reserves")
    gpus_per_worker: Annotated[float, Field(ge=0.0)] = Field(0.0, description="GPUs, or a fraction of one, each")

    @model_validator(mode="after")
    def _one_source(self) -> "VariantsConfig":
        if self.genes and self.annotation is not None:
            raise ValueError("genes and annotation both say which genes there are: keep one of them")
        return self
