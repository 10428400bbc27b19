"""What is searched: keys of the configuration, where their values lie, and the configuration of a trial."""

import json
from typing import Any

from raygenex.config.embed import HyenaBackbone
from raygenex.config.load import change_keys, parse_config
from raygenex.config.model import PRETRAINED_KINDS
from raygenex.config.run import RunConfig
from raygenex.config.tune import SearchRange
from raygenex.errors import ConfigError

SECTIONS = ("model", "halflife", "train")
"""What a trial may change: everything else decides what trials are compared on."""
_SPACE = "tune.space"
# Whole numbers of a range that are all checked before the search.
MANY = 64
KMER_KINDS = {"logistic", "xgboost_kmer"}
_SPEED_ALONE = (
    "workers",
    "min_workers",
    "cpus_per_worker",
    "use_gpu",
    "memory_gib",
    "max_failures",
    "keep_checkpoints",
    "shuffle_buffer",
)


class Space:
    """The search space of a configuration.

    Parameters
    ----------
    config
        Its section tune says what is searched; everything else is common to all trials.

    Raises
    ------
    ConfigError
        If a key does not exist or changes nothing, or a value at an end of its range does not fit.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config = _with_its_metric(config)
        self._where = config.said(_SPACE)
        self._ranges = config.tune.space
        _refuse_kinds(config)
        for key in self._ranges:
            _refuse(key, config, self._ranges)
        if (epochs := config.tune.epochs) is not None and epochs > config.train.epochs:
            raise ConfigError(
                f"{config.said('tune.epochs')} is {epochs}, more than the {config.train.epochs} of train.epochs, which "
                "train the best settings: lower the one or raise the other"
            )
        self._own = {key: self._value_of(key) for key in self._ranges}
        self._check_ends()

    @property
    def title(self) -> str:
        """What trials are compared by, as text: valid AUROC, or of targets ``train.monitor`` or their score."""
        if not self.config.targets:
            return "valid AUROC"
        return f"valid {self.config.train.monitor or 'score'}"

    def of_each_kind(self) -> list[RunConfig]:
        """Return the configuration with each kind of model that is searched."""
        kinds = self._ranges.get("model.kind")
        return [self.config] if kinds is None else [self._with({"model.kind": kind}) for kind in kinds.choice or ()]

    @property
    def keys(self) -> list[str]:
        """The keys that are searched, in the order of the configuration."""
        return list(self._ranges)

    def distributions(self) -> dict[str, Any]:
        """Return Optuna's distribution of every key."""
        return {key: _distribution(range_) for key, range_ in self._ranges.items()}

    def first(self) -> list[dict[str, Any]]:
        """Return the settings that are tried first, encoded, each complete.

        Raises
        ------
        ConfigError
            If one of them is not in the space.
        """
        settings = []
        for number, given in enumerate(self.config.tune.first):
            where = f"{self.config.said('tune.first')}, number {number + 1}"
            if unknown := set(given) - set(self._ranges):
                raise ConfigError(f"{where}: {min(unknown)} is not in {_SPACE}: add its range, or leave it out")
            values = self._own | given
            for key, value in values.items():
                if key not in given and not _contains(self._ranges[key], value):
                    raise ConfigError(
                        f"{self._where}: the first trial is this configuration, whose {key} is {value!r}, not in its "
                        "range: change one of the two, or set tune.first to []"
                    )
                if not _contains(self._ranges[key], value):
                    raise ConfigError(
                        f"{where}: {key} is {value!r} there, and {_SPACE} does not reach it: widen {_SPACE}.{key}, "
                        "give another value in tune.first, or set tune.first to []"
                    )
            settings.append({key: encode(value, self._ranges[key]) for key, value in values.items()})
        return settings

    def trial_config(self, params: dict[str, Any]) -> RunConfig:
        """Return the configuration of a trial from an encoded value for every key."""
        return parse_config(self.plain(params), self._where)

    def settings(self, params: dict[str, Any]) -> RunConfig:
        """Return the configuration with a trial's values, and the full number of epochs."""
        return self._with(self.decoded(params))

    def plain(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a trial's configuration, which need not fit the schema."""
        values = self.config.dump()
        self._change(values, self.decoded(params))
        if self.config.tune.epochs is not None:
            values["train"]["epochs"] = self.config.tune.epochs
        return values

    def decoded(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return a trial's values as the configuration has them."""
        return {key: decode(value, self._ranges[key]) for key, value in params.items()}

    def _with(self, changes: dict[str, Any]) -> RunConfig:
        values = self.config.dump()
        self._change(values, changes)
        return parse_config(values, self._where)

    def _change(self, values: dict[str, Any], changes: dict[str, Any]) -> None:
        change_keys(values, [(key, value, f"{self._where}: {key}") for key, value in changes.items()])

    def _value_of(self, key: str) -> Any:
        """Return what the configuration itself says of a key; its first choice where its model has no such key."""
        value: Any = self.config.dump()
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return next(iter(_ends(self._ranges[key])))
            value = value[part]
        return value

    def _check_ends(self) -> None:
        """Try every end of every range, and every choice, of each kind of model that is searched."""
        kinds = self._ranges.get("model.kind")
        for kind in kinds.choice or () if kinds else (None,):
            fixed = {} if kind is None else {"model.kind": kind}
            for key, range_ in self._ranges.items():
                for value in _tried(range_):
                    self._with({key: value} | fixed)


def _with_its_metric(config: RunConfig) -> RunConfig:
    """Return a configuration whose objectives name what its trials have: an AUROC, or a score of targets."""
    options = config.tune
    if not config.targets and options.metric == "valid_score":
        raise ConfigError(
            f"{config.said('tune.objectives')} has valid_score, which belongs to targets, and there are none: write "
            "valid_auroc"
        )
    wanted = "valid_score" if config.targets else "valid_auroc"
    objectives = tuple(wanted if name == options.metric else name for name in options.objectives)
    return config.model_copy(update={"tune": options.model_copy(update={"objectives": objectives})})


def _refuse_kinds(config: RunConfig) -> None:
    """Refuse kinds of models whose trials cannot run beside each other, or cannot run as trials."""
    where = config.said(_SPACE)
    searched = config.tune.space.get("model.kind")
    kinds = {config.model.kind, *(searched.choice or () if searched else ())}
    if "autoencoder_xgboost" in kinds:
        raise ConfigError(
            f"{where}: autoencoder_xgboost is trained in two stages and cannot be searched: compare some settings "
            "of it with `raygenex benchmark`"
        )
    if kinds & KMER_KINDS and kinds - KMER_KINDS:
        raise ConfigError(
            f"{where}: models of k-mers ({', '.join(sorted(KMER_KINDS))}) and networks read different inputs: "
            f"search one or the other, not {', '.join(sorted(kinds))}"
        )
    without_dna = "cnn_halflife_only"
    online = isinstance(config.backbone, HyenaBackbone) and config.backbone.route == "online"
    if online and config.model.kind == without_dna and kinds - {without_dna}:
        raise ConfigError(
            f"{where}: nothing embeds for model.kind {without_dna}, which reads no DNA, and other kinds are searched "
            f"that need it: set model.kind to {min(kinds - {without_dna})}"
        )


def _refuse(key: str, config: RunConfig, ranges: dict[str, SearchRange]) -> None:
    where = config.said(_SPACE)
    section, _, name = key.partition(".")
    if section not in SECTIONS or not name:
        raise ConfigError(
            f"{where}: {key} is common to all trials, which differ in keys of {', '.join(SECTIONS)} alone"
        )
    if section == "train" and name in _SPEED_ALONE:
        raise ConfigError(f"{where}: {key} changes how fast a training is and not what it gives: remove it")
    if key == "train.monitor":
        raise ConfigError(f"{where}: {key} is what trials are compared by, the same for all: set it beside the space")
    if key == "train.target_weights" and not config.targets:
        raise ConfigError(f"{where}: {key} changes nothing without targets: remove it")
    if section == "train" and config.model.kind in KMER_KINDS:
        raise ConfigError(f"{where}: {key} changes nothing for {config.model.kind}: remove it")
    if key == "train.epochs" and config.tune.epochs is not None:
        raise ConfigError(f"{where}: train.epochs is that of tune.epochs in every trial: remove one of the two")
    if key == "train.epochs" and config.tune.stops_early:
        raise ConfigError(
            f"{where}: train.epochs cannot be searched while poor trials are stopped: set tune.stop_early"
        )
    pretrains = config.model.kind in PRETRAINED_KINDS or "model.kind" in ranges
    if section == "halflife" and name != "bins" and not pretrains:
        raise ConfigError(f"{where}: {key} changes nothing for {config.model.kind}, which has no encoder: remove it")


def _ends(range_: SearchRange) -> tuple[Any, ...]:
    if range_.choice is not None:
        return range_.choice
    ends: tuple[Any, ...] = range_.uniform or range_.log_uniform or range_.integer or range_.log_integer or ()
    return ends


def _tried(range_: SearchRange) -> tuple[Any, ...]:
    """Return the values that are checked: of whole numbers all, unless there are many."""
    ends = _ends(range_)
    if range_.choice is None and (range_.integer or range_.log_integer) and ends[1] - ends[0] < MANY:
        return tuple(range(ends[0], ends[1] + 1))
    return ends


def _contains(range_: SearchRange, value: Any) -> bool:
    if range_.choice is not None:
        return value in range_.choice
    low, high = _ends(range_)
    whole = range_.integer is not None or range_.log_integer is not None
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    return number and low <= value <= high


def _distribution(range_: SearchRange) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if range_.choice is not None:
        return CategoricalDistribution([encode(value, range_) for value in range_.choice])
    low, high = _ends(range_)
    kind = FloatDistribution if range_.uniform or range_.log_uniform else IntDistribution
    return kind(low, high, log=bool(range_.log_uniform or range_.log_integer))


def encode(value: Any, range_: SearchRange) -> Any:
    """Return a value as Optuna keeps it: lists and mappings among choices are JSON."""
    if range_.choice is not None and isinstance(value, list | tuple | dict):
        return json.dumps(value)
    return value


def decode(value: Any, range_: SearchRange) -> Any:
    """Return the value that `encode` was given."""
    if range_.choice is not None and isinstance(value, str) and value not in range_.choice:
        return json.loads(value)
    return value
