"""Growing boosted trees one at a time, in one process or alike on several, with their loss and AUROC after each."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raygenex.config.model import TreesConfig
from raygenex.models.booster import import_xgboost
from raygenex.stats.metrics import auroc, bce_with_logits
from raygenex.train.stopping import Progress
from raygenex.train.tables.table import FeatureTable

# Trees between two messages, and between two checkpoints where there are any.
TREES_A_REPORT = 20


class TreeGrower:
    """Gradient boosting of a binary classifier (Chen & Guestrin 2016), with early stopping on the AUROC of valid.

    Several workers, each with its own genes, grow the same trees: XGBoost adds up their histograms. Every worker
    knows the logits of all valid genes, so all of them decide alike.

    Parameters
    ----------
    config
        How trees are grown, and when to stop.
    train, valid
        This worker's genes.
    sizes
        Genes of each worker, by split.
    seed
        Of the genes and features that each tree sees.
    threads
        Threads of this worker.
    """

    def __init__(
        self,
        config: TreesConfig,
        train: FeatureTable,
        valid: FeatureTable,
        sizes: dict[str, list[int]],
        seed: int,
        threads: int,
    ) -> None:
        self._xgboost = import_xgboost()
        self._train = self._xgboost.QuantileDMatrix(train.features, label=train.label, nthread=threads)
        self._valid = self._xgboost.QuantileDMatrix(valid.features, ref=self._train, nthread=threads)
        self._train_label = train.label
        self._sizes = sizes
        self.labels = gather(valid.label, sizes["valid"])
        self._parameters = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_depth": config.depth,
            "learning_rate": config.learning_rate,
            "subsample": config.subsample,
            "colsample_bytree": config.colsample,
            "min_child_weight": config.min_child_weight,
            "seed": seed % 2**31,
            # Which genes a tree sees depends on its number alone: a resumed run draws as an undisturbed one.
            "seed_per_iteration": True,
            "nthread": threads,
        }
        self._trees = self._xgboost.Booster(self._parameters, [self._train, self._valid])
        self.progress = Progress([], config.early_stopping, config.trees)

    @property
    def finished(self) -> bool:
        """Whether all trees are grown, or the last of them did not help."""
        return self.progress.finished

    @property
    def due(self) -> bool:
        """Whether it is time to say how far the trees are: every twenty of them, and at the end."""
        return self.finished or self.progress.next_epoch % TREES_A_REPORT == 0

    def grow(self) -> dict[str, float]:
        """Grow a tree; return its number, counted from 0, and the losses and the AUROC with it."""
        number = self.progress.next_epoch
        if number and number % TREES_A_REPORT == 0:
            # Which features a tree sees is drawn from a state that no bytes hold: it begins again wherever a resumed
            # run would begin.
            self._load(self.state())
        self._trees.update(self._train, number)
        mine = self._trees.predict(self._train, output_margin=True)
        summed = np.array([bce_with_logits(self._train_label, mine) * len(mine)])
        logits = gather(self._trees.predict(self._valid, output_margin=True), self._sizes["valid"])
        metrics = {
            "epoch": number,
            "train_loss": float(_sum(summed)[0]) / sum(self._sizes["train"]),
            "valid_loss": bce_with_logits(self.labels, logits),
            "valid_auroc": auroc(self.labels, logits),
        }
        self.progress.history.append(metrics)
        return metrics

    @property
    def last_kept(self) -> int:
        """Number of the last tree to keep: with early stopping the one after which valid was ranked best."""
        return len(self.progress.history) - 1 if self.progress.patience is None else self.progress.best_epoch

    def best(self) -> Any:
        """Return the trees to keep."""
        return self._trees[: self.last_kept + 1]

    def state(self) -> bytes:
        """Return all trees as bytes, to `resume` from."""
        return bytes(self._trees.save_raw("ubj"))

    def resume(self, state: bytes, history: list[dict[str, float]]) -> None:
        """Go on behind the trees of an earlier process, which were `due` when it gave them."""
        self._load(state)
        self.progress.history.extend(history)

    def _load(self, state: bytes) -> None:
        matrices = [self._train, self._valid]
        self._trees = self._xgboost.Booster(self._parameters, matrices, model_file=bytearray(state))


def grow_in_process(
    config: TreesConfig,
    tables: dict[str, FeatureTable],
    seed: int,
    show: Callable[[dict[str, float]], None] = lambda metrics: None,
) -> TreeGrower:
    """Grow trees on the tables of train and valid; ``show`` is called with the numbers of each tree that is `due`."""
    sizes = {name: [len(table.label)] for name, table in tables.items()}
    grower = TreeGrower(config, tables["train"], tables["valid"], sizes, seed, torch.get_num_threads())
    while not grower.finished:
        metrics = grower.grow()
        if grower.due:
            show(metrics)
    return grower


def xgboost_version() -> dict[str, str]:
    """Return the version of the package that grows the trees, for a checkpoint's list of them."""
    return {"xgboost": import_xgboost().__version__}


def gather(values: NDArray[np.float32], sizes: list[int]) -> NDArray[np.float32]:
    """Join every worker's values, shape ``(sizes[rank],)``, in rank order; the same on all workers."""
    if len(sizes) == 1:
        return values
    rank = import_xgboost().collective.get_rank()
    joined = np.zeros(sum(sizes), dtype=np.float32)
    first = sum(sizes[:rank])
    joined[first : first + sizes[rank]] = values
    return _sum(joined)


def _sum(values: NDArray[Any]) -> NDArray[Any]:
    """Add up the arrays of all workers; a single one keeps its own."""
    collective = import_xgboost().collective
    return np.asarray(collective.allreduce(values, collective.Op.SUM))
