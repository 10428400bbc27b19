"""The quantities that a model learns: where their values are, what kind they are, and what they cost when missed."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from raygenex.config.base import PathText, PositiveFloat, Section, as_named, refuse_repeats

TargetKind = Literal["binary", "continuous", "counts"]
TargetName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]
LossName = Literal["bce", "mse", "huber", "gaussian", "poisson"]
LABEL = "label"
"""The target of files as the paper's: high or low."""
LOSSES: dict[TargetKind, tuple[LossName, ...]] = {
    "binary": ("bce",),
    "continuous": ("mse", "huber", "gaussian"),
    "counts": ("poisson", "mse", "huber", "gaussian"),
}
"""The losses that a kind can have, the one of ``auto`` first."""


class TargetConfig(Section):
    """A quantity that the model learns and predicts; a name alone stands for one of the promoter files."""

    name: TargetName = Field(description="its name; in promoter files, label or a column of targets")
    kind: TargetKind | None = Field(None, description="null: as the promoter files say; of a table, continuous")
    table: PathText | None = Field(
        None, description="TSV, CSV or Parquet of its values, one row per gene; null: in the promoter files"
    )
    gene_column: str = Field("gene_id", description="column of the gene ids in the table")
    column: str | None = Field(None, description="column of its values, there or in the files; null: its name")
    unit: str = Field("", description="unit of the values of a table, in words")
    transform: Literal["none", "log2p1", "rank"] = Field(
        "none", description="learn log2(1 + x), or the share of train below x; predictions are turned back"
    )
    loss: Literal["auto"] | LossName = Field(
        "auto", description="auto: bce, mse or poisson, by its kind; gaussian predicts its own spread too"
    )
    weight: PositiveFloat = Field(1.0, description="share of the loss, over the sum of all weights")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "TargetConfig":
        if self.table is None and (self.unit or self.gene_column != "gene_id"):
            raise ValueError("unit and gene_column belong to a table")
        kind = self.kind_known
        if kind is None:
            return self
        if self.loss != "auto" and self.loss not in LOSSES[kind]:
            raise ValueError(f"loss {self.loss} is not one of a {kind} target: {', '.join(LOSSES[kind])}")
        if self.transform != "none" and (kind == "binary" or self.loss_of(kind) == "poisson"):
            raise ValueError(f"transform {self.transform} belongs to a loss of mse, huber or gaussian")
        return self

    @property
    def kind_known(self) -> TargetKind | None:
        """Its kind, if the configuration says it."""
        if self.kind is None and self.table is not None:
            return "continuous"
        return "binary" if self.kind is None and self.place == LABEL else self.kind

    @property
    def place(self) -> str:
        """The column of its values."""
        return self.column or self.name

    def loss_of(self, kind: TargetKind) -> LossName:
        """Return its loss as a target of a kind."""
        return LOSSES[kind][0] if self.loss == "auto" else self.loss


def _differ(targets: tuple[TargetConfig, ...]) -> tuple[TargetConfig, ...]:
    refuse_repeats([target.name for target in targets])
    return targets


Targets = Annotated[
    tuple[TargetConfig, ...],
    BeforeValidator(as_named, json_schema_input_type=str | tuple[str | TargetConfig, ...]),
    AfterValidator(_differ),
]
