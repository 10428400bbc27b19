"""The targets of a model: how their values become what it learns, and its outputs what users read."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from raygenex.config.targets import LossName, TargetConfig, TargetKind
from raygenex.errors import DataError
from raygenex.stats import metrics, quantities
from raygenex.stats.resamples import Interval

if TYPE_CHECKING:
    from raygenex.data.targets import TargetValues

Floats = NDArray[np.float64]

LABEL_TYPES = {"probability": "float64", "prediction": "int8"}
"""Columns of predicted labels, and the types of their numbers."""

QUANTILES = 1001
"""Points of the distribution in train that a transform to ranks remembers."""

LOG_SPREAD = 8.0
"""The natural logarithm of a predicted variance stays within so much of 0, in units of the variance in train."""

LOG_COUNT = 30.0
"""The natural logarithm of a predicted count is at most so large."""


class TargetInfo(BaseModel):
    """A target of a trained model."""

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: TargetKind
    unit: str = ""
    loss: LossName
    weight: float = 1.0
    transform: str = "none"
    quantiles: list[float] = []
    """Of a transform to ranks: values of train at evenly spaced shares, from the lowest to the highest."""
    mean: float = 0.0
    scale: float = 1.0
    """Mean and standard deviation in train, after the transform; 0 and 1 where the model learns values as they are."""
    measured: int
    """Genes of train that have a value."""
    threshold: float | None = None
    """Of a binary target: the probability from which a gene is called 1, chosen on valid."""

    @property
    def outputs(self) -> int:
        """Outputs of the model that belong to it."""
        return 2 if self.loss == "gaussian" else 1

    @property
    def main_metric(self) -> str:
        """The metric that tells a good model of it from a bad one; more is better."""
        return "auroc" if self.kind == "binary" else "pearson"

    def transformed(self, values: NDArray[Any]) -> Floats:
        """Return values ``(N,)`` on the scale that errors are measured on; NaN stays."""
        found = np.asarray(values, dtype=np.float64)
        if self.transform == "log2p1":
            return np.log2(1 + found)
        if self.transform == "rank":
            return self._ranks(found)
        return found

    def _ranks(self, values: Floats) -> Floats:
        """Return the share of train below each value, linear between quantiles; of ties the middle."""
        points, last = np.asarray(self.quantiles), len(self.quantiles) - 1
        below, upto = (np.searchsorted(points, values, side) for side in ("left", "right"))
        between = np.interp(values, points, np.linspace(0, 1, last + 1))
        ranks = np.where(upto > below, (below + upto - 1) / 2 / last, between)
        return np.where(np.isnan(values), np.nan, ranks)

    def learned(self, values: NDArray[Any]) -> Floats:
        """Return values ``(N,)`` as the model learns them; NaN stays."""
        return (self.transformed(values) - self.mean) / self.scale

    def additive(self, outputs: Any) -> Any:
        """Return the one number per gene that explanations share out, ``(N,)``, of outputs ``(N, outputs)``.

        It is the logit of a binary target, the natural logarithm of a predicted count, and otherwise the predicted mean
        on the scale of `transformed`. Arrays give arrays and tensors tensors, whose gradients it keeps.
        """
        # Of a logit and of a logarithm they are 1 and 0.
        return outputs[:, 0] * self.scale + self.mean

    def of_additive(self, values: Floats) -> Floats:
        """Return values of `additive`, of any shape, on the scale of `predicted`."""
        if self.loss == "bce":
            return 1.0 / (1.0 + np.exp(-values))
        if self.loss == "poisson":
            return np.exp(np.minimum(values, LOG_COUNT))
        return values

    def predicted(self, outputs: NDArray[Any]) -> Floats:
        """Return outputs ``(N, outputs)`` on the scale of `transformed`, ``(N,)``: probabilities of a binary target."""
        return self.of_additive(self.additive(np.asarray(outputs, dtype=np.float64)))

    @property
    def title(self) -> str:
        """Its name and the scale of `transformed`, in words."""
        unit = {"none": self.unit, "log2p1": f"log2(1 + {self.unit or 'x'})", "rank": "share of train below"}
        return f"{self.name}, {unit[self.transform]}" if unit[self.transform] else self.name

    @property
    def additive_title(self) -> str:
        """Its name and the scale of `additive`, in words."""
        if self.loss == "bce":
            return f"{self.name}, logit"
        return f"ln {self.title}" if self.loss == "poisson" else self.title

    def spread(self, outputs: NDArray[Any]) -> Floats:
        """Return the standard deviation that a ``gaussian`` target predicts, as `predicted` its mean."""
        assert self.loss == "gaussian", self.loss
        log_variance = np.clip(np.asarray(outputs, dtype=np.float64)[:, 1], -LOG_SPREAD, LOG_SPREAD)
        return np.exp(log_variance / 2) * self.scale

    def in_unit(self, values: Floats) -> Floats:
        """Return values ``(N,)`` on the scale of `transformed` in the target's own unit."""
        if self.transform == "log2p1":
            return np.exp2(values) - 1
        if self.transform == "rank":
            return np.interp(values, np.linspace(0, 1, len(self.quantiles)), self.quantiles)
        return values

    def measure(self, truth: Floats, predicted: Floats) -> dict[str, float]:
        """Return the metrics of predictions, both on the scale of `transformed`, shape ``(N,)``, none of them NaN.

        Of a binary target those of its threshold, which must be known; NaN where they are not defined.
        """
        if self.kind == "binary":
            assert self.threshold is not None, "chosen before"
            return metrics.binary_metrics(truth, predicted, self.threshold)
        return quantities.quantity_metrics(truth, predicted)

    def intervals(
        self, truth: Floats, predicted: Floats, resamples: int, confidence: float, seed: int
    ) -> dict[str, Interval]:
        """Return what `measure` does, with bootstrap intervals over genes.

        Raises
        ------
        DataError
            If the measured or the predicted values do not differ, or a class is absent.
        """
        if self.kind == "binary":
            assert self.threshold is not None, "chosen before"
            return metrics.bootstrap_intervals(truth, predicted, self.threshold, resamples, confidence, seed)
        return quantities.quantity_intervals(truth, predicted, resamples, confidence, seed)


def fit_targets(configs: Sequence[TargetConfig], values: "TargetValues") -> list[TargetInfo]:
    """Return the targets of a training, with what their transforms and scales learn of train.

    Raises
    ------
    DataError
        If the configuration does not fit a target's kind, or its values in train, or in valid, do not differ.
    """
    found = []
    for place, (config, target) in enumerate(zip(configs, values.targets, strict=True)):
        # The kind may be known from the files alone.
        checked = config.model_copy(update={"kind": target.kind})
        try:
            TargetConfig.model_validate(checked.model_dump())
        except ValueError as error:
            reason = str(error).split("Value error, ")[-1].split(" [type=")[0]
            raise DataError(f"targets: {target.name}: {reason}") from None
        for split, column in values.values.items():
            known = column[:, place][~np.isnan(column[:, place])]
            if known.min() == known.max():
                raise DataError(
                    f"all {known.size} measured values of {target.name} in data.{split} are {known[0]:g}: add genes "
                    "that differ, or leave the target out"
                )
        lowest = min(float(np.nanmin(column[:, place])) for column in values.values.values())
        if config.transform == "log2p1" and lowest <= -1:
            raise DataError(
                f"{target.name} is {lowest:g} in a gene, which has no log2(1 + x): choose another transform"
            )
        train = values.values["train"][:, place]
        train = train[~np.isnan(train)].astype(np.float64)
        loss = config.loss_of(target.kind)
        info = TargetInfo(
            name=target.name,
            kind=target.kind,
            unit=target.unit,
            loss=loss,
            weight=config.weight,
            transform=config.transform,
            measured=train.size,
        )
        if config.transform == "rank":
            info.quantiles = np.quantile(train, np.linspace(0, 1, min(QUANTILES, train.size))).tolist()
        if loss not in ("bce", "poisson"):
            learned = info.transformed(train)
            info.mean, info.scale = float(learned.mean()), float(learned.std())
        found.append(info)
    columns = [name for info in found for name in column_types([info])]
    if (twice := next((name for name in columns if columns.count(name) > 1), None)) is not None:
        raise DataError(f"two targets would be predicted in a column {twice}: rename one of them")
    return found


def learned_values(targets: Sequence[TargetInfo], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values of all targets ``(N, T)`` as the model learns them; NaN stays."""
    columns = [target.learned(values[:, place]) for place, target in enumerate(targets)]
    return np.stack(columns, axis=1).astype(np.float32)


def column_types(targets: Sequence[TargetInfo]) -> dict[str, str]:
    """Return the names of `target_columns`, and the types of their numbers."""
    found: dict[str, str] = {}
    for target in targets:
        if target.kind == "binary":
            found |= {f"{target.name}_{name}": kind for name, kind in LABEL_TYPES.items()}
            continue
        found[target.name] = "float64"
        if target.loss == "gaussian":
            found[f"{target.name}_sd"] = "float64"
    return found


def target_columns(targets: Sequence[TargetInfo], outputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return what users read of a model's outputs ``(N, K)``, by name, shape ``(N,)`` each.

    ``NAME`` in its unit, and ``NAME_sd`` where the model predicts its spread, on the scale of `TargetInfo.transformed`;
    of a binary target ``NAME_probability`` and ``NAME_prediction``, 0 or 1.
    """
    outputs = outputs.reshape(len(outputs), -1)
    found: dict[str, NDArray[Any]] = {}
    for target, place in zip(targets, outputs_of(targets), strict=True):
        predicted = target.predicted(outputs[:, place])
        if target.kind == "binary":
            assert target.threshold is not None, "a final checkpoint has it"
            found[f"{target.name}_probability"] = predicted
            found[f"{target.name}_prediction"] = (predicted >= target.threshold).astype(np.int64)
            continue
        found[target.name] = target.in_unit(predicted)
        if target.loss == "gaussian":
            found[f"{target.name}_sd"] = target.spread(outputs[:, place])
    return found


def score_names(targets: Sequence[TargetInfo]) -> list[str]:
    """Return the main metric of each target, such as ``expression_pearson``: what an epoch is measured by."""
    return [f"{target.name}_{target.main_metric}" for target in targets]


def joint_score(targets: Sequence[TargetInfo], measured: Mapping[str, float], monitor: str | None) -> float:
    """Return what chooses among epochs, and among models: the number that ``monitor`` names, or the mean of all.

    ``measured`` has the numbers of `score_names`; one that is not defined counts as 0.
    """
    names = score_names(targets) if monitor is None else [monitor]
    return float(np.mean([measured.get(name, 0.0) for name in names]))


def epoch_scores(targets: Sequence[TargetInfo], outputs: NDArray[Any], values: NDArray[Any]) -> dict[str, float]:
    """Return the numbers of `score_names` for outputs ``(N, K)`` and values as the model learns them, ``(N, T)``.

    The correlation of predictions that do not differ, as of a network that has learned nothing, counts as 0.
    """
    outputs, found = outputs.reshape(len(values), -1), {}
    for column, (target, place) in enumerate(zip(targets, outputs_of(targets), strict=True)):
        known = ~np.isnan(values[:, column])
        truth, first = values[known, column], outputs[known, place][:, 0]
        if target.kind == "binary":
            score = metrics.auroc(truth, first)
        else:
            predicted = np.exp(np.minimum(first, LOG_COUNT)) if target.loss == "poisson" else first
            score = float(np.nan_to_num(quantities.quantity_metrics(truth, predicted)["pearson"]))
        found[f"{target.name}_{target.main_metric}"] = score
    return found


def outputs_of(targets: Sequence[TargetInfo]) -> list[slice]:
    """Return where the outputs of each target lie among those of the model, ``(N, K)``."""
    ends = np.cumsum([target.outputs for target in targets]).tolist()
    return [slice(end - target.outputs, end) for target, end in zip(targets, ends, strict=True)]
