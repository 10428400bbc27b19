"""The sections of the configuration for training, evaluation and prediction."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from raygenex.config.base import Count, Fraction, PositiveFloat, PositiveInt, Section, Several


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
    patience: PositiveInt | None = Field(
        None, description="stop after this many epochs without a better valid AUROC, or what monitor names"
    )
    monitor: str | None = Field(
        None,
        description="with targets, what chooses the epoch, such as expression_pearson; null: the mean of all",
    )
    target_weights: Literal["fixed", "uncertainty"] = Field(
        "fixed", description="with targets, their shares of the loss: as they say, or learned (Kendall et al. 2018)"
    )
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
    max_failures: Count = Field(3, description="worker failures to recover from")
    keep_checkpoints: Several = Field(2, description="best epochs kept on disk during training")

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

    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)] = Field(2000, description="bootstrap resamples")
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(0.95, description="coverage of the intervals")
    threshold_metric: Literal["mcc", "f1", "accuracy"] = Field(
        "mcc", description="what the threshold maximises on valid"
    )


class PredictConfig(Section):
    """Scoring genes with a trained model."""

    batch_size: PositiveInt = Field(32, description="genes a forward pass")
    strict: bool = Field(False, description="refuse features far outside those of training, here and when served")
    workers: PositiveInt = Field(1, description="scoring actors")
    cpus_per_worker: PositiveFloat = Field(1.0, description="logical CPUs each actor reserves")
    gpus_per_worker: Annotated[float, Field(ge=0.0)] = Field(0.0, description="GPUs, or a fraction of one, each")
