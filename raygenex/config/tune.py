"""The section of the run configuration that describes a search."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from raygenex.config.base import Count, PositiveInt, Section, Seed, Several

SCORES = ("valid_auroc", "valid_score")
"""What a trial is compared by first: AUROC on valid; with targets what chooses their epoch."""

OBJECTIVES = {**dict.fromkeys(SCORES, "max"), "latency_ms": "min", "size_mb": "min"}
"""What a trial can be judged by, and which way is better: `SCORES`, milliseconds per gene, megabytes of weights."""


class SearchRange(Section):
    """Where a value is searched: one of the five keys."""

    uniform: tuple[float, float] | None = Field(None, description="from and to, all alike")
    log_uniform: tuple[float, float] | None = Field(None, description="from and to, all orders of magnitude alike")
    integer: tuple[int, int] | None = Field(None, description="whole numbers, both ends included")
    log_integer: tuple[int, int] | None = Field(None, description="the same, all orders of magnitude alike")
    choice: tuple[Any, ...] | None = Field(None, description="one of these values", min_length=1)

    @model_validator(mode="after")
    def _one_kind(self) -> "SearchRange":
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(type(self).model_fields)}, not {', '.join(given) or 'none'}")
        (kind,) = given
        ends = getattr(self, kind)
        if kind == "choice":
            if any(value in ends[:place] for place, value in enumerate(ends)):
                raise ValueError("choice has a value twice")
        elif not ends[0] < ends[1]:
            raise ValueError(f"{kind} goes from {ends[0]:g} to {ends[1]:g}: the first must be the smaller")
        elif kind.startswith("log_") and ends[0] <= 0:
            raise ValueError(f"{kind} starts at {ends[0]:g}: it must be above 0")
        return self

    @model_serializer(mode="wrap")
    def _given_alone(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class TuneConfig(Section):
    """The search for better settings."""

    space: dict[str, SearchRange] = Field(
        {
            "halflife.margin": SearchRange(log_uniform=(0.1, 10.0)),
            "model.dropout": SearchRange(uniform=(0.0, 0.8)),
            "train.learning_rate": SearchRange(log_uniform=(1e-5, 1e-2)),
        },
        description="key of model, halflife or train: where it is searched",
        min_length=1,
    )
    trials: PositiveInt = Field(40, description="settings to try")
    first: tuple[dict[str, Any], ...] = Field(
        ({},), description="settings to try first, key: value; a key left out has the value of this file"
    )
    epochs: PositiveInt | None = Field(None, description="epochs of a trial at most; null: train.epochs")
    sampler: Literal["tpe", "gp", "random", "qmc", "nsga2"] = Field(
        "tpe", description="how Optuna proposes settings; gp: a Gaussian process, qmc: an even spread"
    )
    objectives: tuple[Literal["valid_auroc", "valid_score", "latency_ms", "size_mb"], ...] = Field(
        ("valid_auroc",),
        description="what is improved; valid_score: of targets; with several, no trial is stopped early",
        min_length=1,
    )
    tolerance: Annotated[float, Field(ge=0.0)] = Field(
        0.005, description="valid AUROC, or score, given away for the other objectives when the best trial is chosen"
    )
    stop_early: bool = Field(True, description="stop poor trials (ASHA)")
    grace_epochs: PositiveInt = Field(3, description="epochs of every trial before it may be stopped")
    reduction: Several = Field(3, description="one in so many trials goes on at each rung")
    parallel: PositiveInt = Field(1, description="trials at the same time")
    gpus_per_trial: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="share of a GPU that a trial of one worker takes, with train.use_gpu"
    )
    max_failures: Count = Field(2, description="lost processes or nodes a trial recovers from")
    seeds: tuple[Seed, ...] = Field(
        (0, 1, 2), description="trainings of the best settings in the end; none: no training"
    )

    @field_validator("space", mode="before")
    @classmethod
    def _whole_keys(cls, space: Any) -> Any:
        for key, value in space.items() if isinstance(space, dict) else ():
            if isinstance(value, dict) and value and not set(value) & set(SearchRange.model_fields):
                inner = next(iter(value))
                raise ValueError(
                    f"{key} holds {inner}, which is not a range: write whole keys, such as {key}.{inner}: {{...}}"
                )
        return space

    @model_validator(mode="after")
    def _auroc_is_an_objective(self) -> "TuneConfig":
        if sum(name in SCORES for name in self.objectives) != 1 or len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives must have valid_auroc, or valid_score of targets, and none of them twice")
        if len(self.first) > self.trials:
            raise ValueError(f"first has {len(self.first)} settings for {self.trials} trials: raise trials")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds has a number twice")
        return self

    @property
    def metric(self) -> str:
        """The one of `SCORES` that trials are compared by first."""
        return next(name for name in self.objectives if name in SCORES)

    @property
    def stops_early(self) -> bool:
        """Whether poor trials are stopped: what is small or fast cannot be told from a few epochs of AUROC."""
        return self.stop_early and len(self.objectives) == 1
