"""The sections of the configuration for MLflow and Ray."""

from typing import Annotated

from pydantic import Field

from raygenex.config.base import PositiveFloat, PositiveInt, Section


class TrackingConfig(Section):
    """MLflow: where runs are written, and the name of the registered model."""

    uri: str | None = Field(None, description="tracking URI; null: a sqlite file in OUTPUT")
    experiment: str = Field("raygenex", description="MLflow experiment", min_length=1)
    model_name: str = Field("raygenex", description="registered model", min_length=1)
    patience_s: Annotated[float, Field(ge=0.0)] = Field(
        300.0, description="seconds that finished work waits for an MLflow that is away, to deliver what it lacks"
    )


class ClusterConfig(Section):
    """The Ray cluster to use."""

    address: str | None = Field(None, description="Ray address; null: RAY_ADDRESS if set, else an embedded local Ray")
    local_cpus: PositiveInt | None = Field(
        None, description="logical CPUs of an embedded Ray; null: enough for the run"
    )
    wait_s: Annotated[float, Field(ge=0.0)] = Field(0.0, description="seconds to let an autoscaler add what is missing")
    object_store_gib: PositiveFloat | None = Field(
        None, description="object store of an embedded Ray; null: Ray's choice"
    )
