"""The sections of the run configuration: every key with its type, range, default and meaning."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from raygenex.config.data import (
    BuildConfig,
    CheckConfig,
    ChromosomeSplit,
    DataConfig,
    Folder,
    Fraction,
    PositiveFloat,
    PositiveInt,
    Section,
    SimulateConfig,
    Split,
)
from raygenex.config.explain import ExplainConfig
from raygenex.config.model import (
    AutoencoderXgboost,
    CnnHalflifeEncoded,
    CnnHalflifeOnly,
    HalflifeConfig,
    KmerConfig,
    ModelSection,
    default_kind,
)
from raygenex.config.tune import TuneConfig
from raygenex.config.variants import VariantsConfig


class OneHotBackbone(Section):
    """No pretrained network: the CNN reads the bases themselves."""

    kind: Literal["onehot"] = "onehot"


class HyenaBackbone(Section):
    """A HyenaDNA, from weights or (without weights) freshly initialised from the sizes below."""

    kind: Literal["hyenadna"] = "hyenadna"
    weights: str | None = Field(None, description="a folder or .ckpt file, or a hub id; null: random weights")
    revision: str | None = Field(None, description="commit of the hub repository; needed with a hub id")
    d_model: PositiveInt = Field(128, description="width of a randomly initialised network")
    n_layer: PositiveInt = Field(2, description="layers of a randomly initialised network")
    seed: int = Field(0, description="seed of a random initialisation")
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
    pooling: Literal["mean", "max"] = Field("mean", description="how the bases of a bin are joined")
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

    @property
    def effective_precision(self) -> str:
        """The arithmetic that the actors that fill a store use: ``precision`` on a GPU, fp32 without one."""
        return self.precision if self.gpus_per_actor else "fp32"


class TrainConfig(Section):
    """The supervised training and its workers."""

    epochs: PositiveInt = Field(50, description="passes over the training genes at most")
    global_batch_size: PositiveInt = Field(32, description="genes a step, over all workers")
    learning_rate: PositiveFloat = Field(1e-4, description="step size")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="the step size over all epochs: as it is, or falling to 0 along half a cosine"
    )
    warmup: Fraction = Field(0.0, description="share of all steps over which the step size rises from 0")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(0.0, description="decoupled weight decay (AdamW); 0 is Adam")
    patience: PositiveInt | None = Field(None, description="stop after this many epochs without a better valid AUROC")
    workers: PositiveInt = Field(1, description="DDP workers")
    min_workers: PositiveInt | None = Field(
        None, description="go on with so few while nodes are missing, and grow again; null: always with all workers"
    )
    cpus_per_worker: PositiveFloat = Field(1.0, description="logical CPUs each worker reserves")
    use_gpu: bool = Field(False, description="one GPU a worker, NCCL between them; otherwise CPUs and gloo")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic on a GPU; CPUs use fp32")
    memory_gib: Annotated[float, Field(ge=0.0)] = Field(
        2.0, description="a shard up to this size stays in a worker's memory; a larger one is streamed every epoch"
    )
    shuffle_buffer: PositiveInt = Field(2048, description="genes shuffled together when a shard is streamed")
    max_failures: Annotated[int, Field(ge=0)] = Field(3, description="worker failures to recover from")
    keep_checkpoints: Annotated[int, Field(ge=2)] = Field(2, description="best epochs kept on disk during training")

    @model_validator(mode="after")
    def _batch_divides(self) -> "TrainConfig":
        if self.global_batch_size % self.workers:
            raise ValueError(f"global_batch_size ({self.global_batch_size}) must divide by workers ({self.workers})")
        return self

    @model_validator(mode="after")
    def _fewer_workers_can_go_on(self) -> "TrainConfig":
        if self.min_workers is None:
            return self
        if self.min_workers > self.workers:
            raise ValueError(f"min_workers ({self.min_workers}) is above workers ({self.workers})")
        for number in range(self.min_workers, self.workers):
            if self.global_batch_size % number:
                raise ValueError(
                    f"global_batch_size ({self.global_batch_size}) must divide by every number of workers from "
                    f"min_workers ({self.min_workers}) to workers ({self.workers}), and does not by {number}"
                )
        if self.cpus_per_worker % 1:
            raise ValueError(f"cpus_per_worker ({self.cpus_per_worker:g}) must be a whole number with min_workers")
        return self

    @property
    def fewest_workers(self) -> int:
        """Workers without which the training waits."""
        return self.workers if self.min_workers is None else self.min_workers


class EvaluateConfig(Section):
    """Metrics and their uncertainty."""

    bootstrap: Annotated[int, Field(ge=100)] = Field(2000, description="bootstrap resamples")
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(0.95, description="coverage of the intervals")
    threshold_metric: Literal["mcc", "f1", "accuracy"] = Field(
        "mcc", description="what the threshold maximises on valid"
    )


class PredictConfig(Section):
    """Scoring genes with a trained model."""

    batch_size: PositiveInt = Field(32, description="genes a forward pass")
    workers: PositiveInt = Field(1, description="scoring actors")
    cpus_per_worker: PositiveFloat = Field(1.0, description="logical CPUs each actor reserves")
    gpus_per_worker: Annotated[float, Field(ge=0.0)] = Field(0.0, description="GPUs, or a fraction of one, each")


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
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), description="trainings of each", min_length=1)
    split: Literal["valid", "test"] = Field("test", description="the split that the models are compared on")
    parallel: PositiveInt = Field(1, description="trainings at the same time")

    @model_validator(mode="after")
    def _names_differ(self) -> "BenchmarkConfig":
        names = [model.name for model in self.models]
        if len(set(names)) < len(names) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two models have one name, or a seed is there twice: name each once")
        return self


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


def canonical_hash(value: object) -> str:
    """Return 12 hex digits of the sha256 of a JSON value, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


class RunConfig(Section):
    """Everything that defines a run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        "run", description="name of the run and of its folder in `output`"
    )
    output: Folder = Field("runs", description="folder for everything that is written, reached by every node")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of weights, shuffles and noise")
    data: DataConfig = DataConfig()
    simulate: SimulateConfig | None = Field(None, description="let `run` make the data first")
    build: BuildConfig | None = Field(None, description="let `run` build the data from a genome first")
    split: Split = ChromosomeSplit()
    check: CheckConfig = CheckConfig()
    backbone: Backbone = OneHotBackbone()
    embed: EmbedConfig = EmbedConfig()
    halflife: HalflifeConfig = HalflifeConfig()
    model: ModelSection = CnnHalflifeEncoded()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    predict: PredictConfig = PredictConfig()
    benchmark: BenchmarkConfig = BenchmarkConfig()
    tune: TuneConfig = TuneConfig()
    explain: ExplainConfig = ExplainConfig()
    variants: VariantsConfig = VariantsConfig()
    tracking: TrackingConfig = TrackingConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _one_source(self) -> "RunConfig":
        if self.build is not None and self.simulate is not None:
            raise ValueError("build and simulate both make the data: keep one of the two sections")
        return self

    @model_validator(mode="after")
    def _autoencoder_reads_a_store(self) -> "RunConfig":
        if isinstance(self.model, AutoencoderXgboost) and self.online is not None:
            raise ValueError(
                "model.kind autoencoder_xgboost learns to restore embeddings that stay the same, from a store: set "
                "backbone.route to cached and backbone.finetune to false, or choose another model"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_absent(cls, values: Any) -> Any:
        """Let a section whose keys are all commented out, null in YAML, have its defaults."""
        return (
            {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else values
        )

    @property
    def folder(self) -> str:
        """The run's own folder, ``OUTPUT/NAME``, absolute."""
        return f"{self.output_root}/{self.name}"

    @property
    def output_root(self) -> str:
        """``output`` as an absolute path."""
        return str(Path(self.output).absolute())

    @property
    def store(self) -> str:
        """The folder of the embedding store, absolute."""
        return str(Path(self.embed.store).absolute()) if self.embed.store else f"{self.folder}/embeddings"

    @property
    def reads_embeddings(self) -> bool:
        """Whether the model reads what the backbone makes of the bases; the models of k-mers read bases always."""
        return self.reads_store or self.online is not None

    @property
    def reads_store(self) -> bool:
        """Whether training reads embeddings from a store, made before; a model that reads no DNA reads its genes."""
        backbone = self.backbone
        cached = isinstance(backbone, HyenaBackbone) and backbone.route == "cached"
        return cached and not isinstance(self.model, KmerConfig)

    @property
    def online(self) -> HyenaBackbone | None:
        """The backbone that embeds within the workers of the training, if one does; none for a model without DNA."""
        backbone = self.backbone
        if not isinstance(backbone, HyenaBackbone) or backbone.route != "online":
            return None
        return None if isinstance(self.model, KmerConfig | CnnHalflifeOnly) else backbone

    @property
    def embed_precision(self) -> str:
        """The arithmetic that makes the embeddings that the model reads, on the devices of whoever makes them."""
        if self.online is None:
            return self.embed.effective_precision
        return self.embed.precision if self.train.use_gpu else "fp32"

    def dump(self) -> dict[str, Any]:
        """Return the resolved configuration as plain JSON values."""
        return self.model_dump(mode="json")

    def hash(self) -> str:
        """Return the first 12 hex digits of the sha256 of the resolved configuration."""
        return canonical_hash(self.dump())
