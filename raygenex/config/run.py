"""The sections of the run configuration: every key with its type, range, default and meaning."""

from typing import Annotated, Any

from pydantic import Field, PrivateAttr, model_validator

from raygenex.config.base import Folder, Section, Seed, Source, canonical_hash
from raygenex.config.benchmark import BenchmarkConfig
from raygenex.config.data import BuildConfig, CheckConfig, ChromosomeSplit, DataConfig, SimulateConfig, Split
from raygenex.config.embed import Backbone, EmbedConfig, HyenaBackbone, OneHotBackbone
from raygenex.config.explain import ExplainConfig
from raygenex.config.model import (
    AutoencoderXgboost,
    CnnDnaOnly,
    CnnHalflifeEncoded,
    CnnHalflifeOnly,
    HalflifeConfig,
    KmerConfig,
    ModelSection,
)
from raygenex.config.services import ClusterConfig, TrackingConfig
from raygenex.config.targets import Targets
from raygenex.config.train import EvaluateConfig, PredictConfig, TrainConfig
from raygenex.config.tune import TuneConfig
from raygenex.config.variants import VariantsConfig
from raygenex.files.locate import written_path

_LATER_KEYS = (
    *(("build", "features_scale"), ("build", "targets"), ("predict", "strict"), ("check", "workers")),
    *(("train", "monitor"), ("train", "target_weights"), ("data", "features"), ("explain", "target")),
)
"""Keys that older versions do not have; at their default they are no part of the hash."""


class RunConfig(Section):
    """Everything that defines a run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        "run", description="name of the run and of its folder in `output`"
    )
    output: Folder = Field("runs", description="folder for everything that is written, reached by every node")
    seed: Seed = Field(0, description="seed of weights, shuffles and noise")
    data: DataConfig = DataConfig()
    targets: Targets = Field((), description="what the model learns; empty: the label, high or low")
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
    _source: Source = PrivateAttr(Source())

    @model_validator(mode="after")
    def _one_source(self) -> "RunConfig":
        if self.build is not None:
            self.build.check_use(for_variants=self.variants.annotation is not None)
        if self.builds_data and self.simulate is not None:
            raise ValueError("build and simulate both make the data: keep one of the two sections")
        return self

    @model_validator(mode="after")
    def _no_input_is_a_target(self) -> "RunConfig":
        for target in self.targets:
            for feature in self.data.features:
                if feature.name == target.name or (feature.table, feature.place) == (target.table, target.place):
                    raise ValueError(
                        f"data.features: {feature.name} is the target {target.name}, which a model is not to read: "
                        "leave one of them out"
                    )
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
        if not isinstance(values, dict):
            return values
        values_alone = {"name", "output", "seed"}
        return {key: value for key, value in values.items() if value is not None or key in values_alone}

    def given_by(self, source: Source) -> "RunConfig":
        """Return this configuration, which from now on says what gave its values."""
        self._source = source
        return self

    def said(self, key: str) -> str:
        """Return a key behind what gave its value, such as ``config run.yaml: tune.space``."""
        return f"{self._source.of(key)}: {key}"

    @property
    def builds_data(self) -> bool:
        """Whether the data are made by ``build``, whose section may be rules for variants alone."""
        return self.build is not None and self.build.makes_data

    @property
    def folder(self) -> str:
        """The run's own folder, ``OUTPUT/NAME``, absolute."""
        return f"{self.output_root}/{self.name}"

    @property
    def output_root(self) -> str:
        """``output`` as an absolute path."""
        return str(written_path(self.output, "output").absolute())

    @property
    def checkpoint(self) -> str:
        """The folder of the run's trained model, absolute."""
        return f"{self.folder}/checkpoint"

    @property
    def store(self) -> str:
        """The folder of the embedding store, absolute."""
        if self.embed.store:
            return str(written_path(self.embed.store, "embed.store").absolute())
        return f"{self.folder}/embeddings"

    @property
    def reads_embeddings(self) -> bool:
        """Whether the model reads what the backbone makes of the bases; the models of k-mers read bases always."""
        return self.reads_store or self.online is not None

    @property
    def reads_halflife(self) -> bool:
        """Whether the model reads half-life features."""
        model = self.model
        return model.halflife if isinstance(model, KmerConfig) else not isinstance(model, CnnDnaOnly)

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
        values = self.dump()
        for name, key in _LATER_KEYS:
            section = getattr(self, name)
            if section is not None and getattr(section, key) == type(section).model_fields[key].default:
                del values[name][key]
        if not self.targets:
            del values["targets"]
        if self.simulate is not None:
            values["simulate"] = self.simulate.made_of()
        return canonical_hash(values)
