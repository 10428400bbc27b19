"""The sections of the configuration for the backbone and the embeddings."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from raygenex.config.base import AnySeed, Folder, PathText, PositiveFloat, PositiveInt, Section, Width, default_kind

Pooling = Literal["mean", "unweighted_mean", "max"]
"""How the bases of a bin are joined: see `raygenex.embed.hyenadna.pooling.pool_bins`."""


class OneHotBackbone(Section):
    """No pretrained network: the CNN reads the bases themselves."""

    kind: Literal["onehot"] = "onehot"


class HyenaBackbone(Section):
    """A HyenaDNA, from weights or (without weights) freshly initialised from the sizes below."""

    kind: Literal["hyenadna"] = "hyenadna"
    weights: PathText | None = Field(None, description="a folder or .ckpt file, or a hub id; null: random weights")
    revision: str | None = Field(None, description="commit of the hub repository; needed with a hub id")
    d_model: Width = Field(128, description="width of a randomly initialised network")
    n_layer: Annotated[int, Field(ge=1, le=1024)] = Field(2, description="layers of a randomly initialised network")
    seed: AnySeed = Field(0, description="seed of a random initialisation")
    route: Literal["cached", "online"] = Field(
        "cached",
        description="embed once and train from the store, or embed in every training step, in the workers, without one",
    )
    finetune: bool = Field(False, description="let the training move the network's weights; by the route online")
    learning_rate: PositiveFloat | None = Field(
        None, description="step size of these weights when they are fine-tuned; null: train.learning_rate"
    )
    checkpointing: bool = Field(
        True,
        description="recompute activations in the backward pass: less memory, more time; ignored unless fine-tuned",
    )

    @model_validator(mode="after")
    def _finetunes_online(self) -> "HyenaBackbone":
        if self.finetune and self.route != "online":
            raise ValueError("finetune needs route online, since stored embeddings learn nothing: set both, or neither")
        if self.learning_rate is not None and not self.finetune:
            raise ValueError("learning_rate is given but finetune is false: set finetune to true, or remove it")
        return self

    @model_validator(mode="after")
    def _hub_needs_revision(self) -> "HyenaBackbone":
        if self.revision is not None and self.weights is None:
            raise ValueError("revision is given but weights is not")
        return self

    @property
    def is_hub_id(self) -> bool:
        """Whether ``weights`` names a hub repository (``owner/name``) and no local path."""
        return self.weights is not None and self.revision is not None

    def origin(self) -> dict[str, Any]:
        """Return the settings that say which weights embeddings are made by, as plain values."""
        return self.model_dump(mode="json", exclude={"route", "finetune", "learning_rate", "checkpointing"})


Backbone = Annotated[OneHotBackbone | HyenaBackbone, Field(discriminator="kind"), default_kind("onehot")]


class EmbedConfig(Section):
    """How promoters become binned embeddings, and how many actors share the work."""

    store: Folder | None = Field(None, description="folder of the embedding store; null: OUTPUT/NAME/embeddings")
    bin_size: PositiveInt = Field(128, description="bases averaged into one bin; 1 keeps every base")
    pooling: Pooling = Field(
        "mean",
        description="how the bases of a bin are joined; by mean each base weighs the same, by unweighted_mean (of "
        "schema 1) those of a partial last bin weigh more",
    )
    dtype: Literal["float16", "float32"] = Field("float16", description="number format in the store")
    batch_size: PositiveInt = Field(8, description="genes a forward pass")
    rows_per_file: PositiveInt = Field(64, description="genes a Parquet shard: the unit of work that is kept")
    min_actors: PositiveInt = Field(1, description="actors to start with")
    max_actors: PositiveInt = Field(4, description="actors to grow to")
    cpus_per_actor: PositiveFloat = Field(1.0, description="logical CPUs each actor reserves")
    gpus_per_actor: Annotated[float, Field(ge=0.0)] = Field(0.0, description="GPUs, or a fraction of one, each")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic on a GPU; CPUs use fp32")

    @model_validator(mode="after")
    def _actors_in_order(self) -> "EmbedConfig":
        if self.max_actors < self.min_actors:
            raise ValueError(f"max_actors ({self.max_actors}) is below min_actors ({self.min_actors})")
        return self

    @staticmethod
    def pooling_of_schema_1(pooling: Pooling, window: int, bin_size: int) -> Pooling:
        """Return today's name of what stores and checkpoints of schema 1 call ``pooling``."""
        return "unweighted_mean" if pooling == "mean" and window % bin_size else pooling

    @property
    def effective_precision(self) -> str:
        """The arithmetic that the actors that fill a store use: ``precision`` on a GPU, fp32 without one."""
        return self.precision if self.gpus_per_actor else "fp32"
