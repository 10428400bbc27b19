"""The section of the configuration for comparing models."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from raygenex.config.base import PositiveInt, Section, Seed


class BenchmarkModel(Section):
    """One row of the benchmark's tables."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._]*$")] = Field(description="name of the row")
    set: dict[str, Any] = Field(
        default_factory=dict, description="key: value of model, halflife, train or predict, changed for this row"
    )


def _one_each(kinds: tuple[str, ...]) -> tuple[BenchmarkModel, ...]:
    return tuple(BenchmarkModel(name=kind, set={"model.kind": kind}) for kind in kinds)


class BenchmarkConfig(Section):
    """Which models are compared, over which seeds, on which split."""

    models: tuple[BenchmarkModel, ...] = Field(
        _one_each(
            (
                "cnn_halflife_encoded",
                "cnn_halflife_raw",
                "cnn_dna_only",
                "cnn_halflife_only",
                "lstm",
                "autoencoder_xgboost",
                "xgboost_kmer",
                "logistic",
            )
        ),
        description="rows of the tables",
        min_length=1,
    )
    seeds: tuple[Seed, ...] = Field((0, 1, 2), description="trainings of each", min_length=1)
    split: Literal["valid", "test"] = Field("test", description="the split that the models are compared on")
    parallel: PositiveInt = Field(1, description="trainings at the same time")

    @model_validator(mode="after")
    def _names_differ(self) -> "BenchmarkConfig":
        names = [model.name for model in self.models]
        if len(set(names)) < len(names) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two models have one name, or a seed is there twice: name each once")
        return self
