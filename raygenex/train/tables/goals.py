"""What a booster or a regression learns of a table: the label, or one target of several, each by itself.

Targets have nothing in common but the features: each is fitted to the genes that have a value of it, and measured on
those of valid. What they did is joined into one history, as that of a network of several outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from raygenex.config.targets import LossName
from raygenex.stats.metrics import auroc, bce_with_logits
from raygenex.train.losses import TargetLoss
from raygenex.train.stopping import SCORE
from raygenex.train.tables.table import FeatureTable
from raygenex.train.targets import TargetInfo, epoch_scores, score_names

_OBJECTIVES: dict[LossName, str] = {
    "bce": "binary:logistic",
    "mse": "reg:squarederror",
    "huber": "reg:pseudohubererror",
    "poisson": "count:poisson",
}


@dataclass(frozen=True)
class Goal:
    """What one booster or regression learns, and how it is measured."""

    target: TargetInfo | None = None
    """None: the label."""

    @property
    def loss(self) -> LossName:
        """The loss by name."""
        return "bce" if self.target is None else self.target.loss

    @property
    def objective(self) -> str:
        """XGBoost's name of the loss; its margin is the model's output."""
        return _OBJECTIVES[self.loss]

    @property
    def score(self) -> str:
        """Name of what chooses the number of trees, among the numbers of each; more is better."""
        return "valid_auroc" if self.target is None else f"valid_{score_names([self.target])[0]}"

    def mean_loss(self, values: NDArray[np.floating], outputs: NDArray[np.floating]) -> float:
        """Return the mean loss of outputs ``(n,)`` for values as the model learns them ``(n,)``; 0 without genes."""
        if not len(values):
            return 0.0
        if self.loss == "bce":
            return bce_with_logits(values, outputs)
        assert self.target is not None, "the label has a loss of its own"
        return TargetLoss([self.target], world_size=1).mean(
            torch.from_numpy(np.array(outputs)), torch.from_numpy(np.array(values))[:, None]
        )

    def measure(self, values: NDArray[np.floating], outputs: NDArray[np.floating]) -> float:
        """Return the number that `score` names, of the same."""
        if self.target is None:
            return auroc(values, outputs)
        (found,) = epoch_scores([self.target], outputs, values[:, None]).values()
        return found


THE_LABEL = Goal()


def goals_of(targets: Sequence[TargetInfo]) -> list[Goal]:
    """Return what a model of a table learns: its targets, or the label if there are none."""
    return [Goal(target) for target in targets] or [THE_LABEL]


def genes_with_a_value(table: FeatureTable, place: int) -> FeatureTable:
    """Return the genes of a table that have a value of the target in a column of ``label``, and those values."""
    known = ~np.isnan(table.label[:, place])
    return FeatureTable(table.features[known], table.label[known, place])


def joined(goals: Sequence[Goal], rows: Sequence[dict[str, float]], number: int) -> dict[str, float]:
    """Return the numbers of all targets as one entry of a history: means of losses, each score, and their mean.

    Parameters
    ----------
    goals
        One per target.
    rows
        Of each target, its ``train_loss``, ``valid_loss`` and score.
    number
        Of the entry, from 0.
    """
    losses = {name: math.fsum(row[name] for row in rows) / len(rows) for name in ("train_loss", "valid_loss")}
    scores = {goal.score: row[goal.score] for goal, row in zip(goals, rows, strict=True)}
    return {"epoch": number, **losses, **scores, SCORE: math.fsum(scores.values()) / len(scores)}
