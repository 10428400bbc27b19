"""The numbers of a gene that a model reads beside its DNA: where each comes from."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from raygenex.config.base import PathText, Section, as_named, refuse_repeats
from raygenex.config.targets import TargetName

ALL_EIGHT = "halflife"
"""Stands for the eight half-life features of the promoter files."""


class FeatureConfig(Section):
    """A number of every gene that the model reads; a name alone stands for one of the promoter files."""

    name: TargetName = Field(
        description="its name; in promoter files, a half-life feature, halflife for all eight, or a column that was "
        "added to them"
    )
    table: PathText | None = Field(
        None, description="TSV, CSV or Parquet of its values, one row per gene; null: in the promoter files"
    )
    gene_column: str = Field("gene_id", description="column of the gene ids in the table")
    column: str | None = Field(None, description="column of its values, there or in the files; null: its name")

    @model_validator(mode="after")
    def _fits_its_place(self) -> "FeatureConfig":
        if self.table is None and self.gene_column != "gene_id":
            raise ValueError("gene_column belongs to a table")
        if self.name == ALL_EIGHT and (self.table is not None or self.column is not None):
            raise ValueError(f"{ALL_EIGHT} is the eight features of the promoter files: give the column another name")
        return self

    @property
    def place(self) -> str:
        """The column of its values."""
        return self.column or self.name


def _differ(features: tuple[FeatureConfig, ...]) -> tuple[FeatureConfig, ...]:
    refuse_repeats([feature.name for feature in features], "sequence")
    return features


Features = Annotated[
    tuple[FeatureConfig, ...],
    BeforeValidator(as_named, json_schema_input_type=str | tuple[str | FeatureConfig, ...]),
    AfterValidator(_differ),
]
