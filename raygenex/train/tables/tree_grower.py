"""Growing boosted trees one at a time, in one process or alike on several, with their loss and score after each."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raygenex.config.model import TreesConfig
from raygenex.files.json_file import load_json
from raygenex.models.booster import Booster, Boosters, import_xgboost
from raygenex.train.checkpoint import read_info
from raygenex.train.stopping import Progress
from raygenex.train.tables.goals import THE_LABEL, Goal, genes_with_a_value, goals_of, joined
from raygenex.train.tables.table import FeatureTable
from raygenex.train.targets import TargetInfo

# Trees between two messages, and between two checkpoints where there are any.
TREES_A_REPORT = 20

STATE = "all_trees.ubj"
"""All trees of a training under way, in its checkpoints; of targets, behind the number of each."""
HISTORIES = "histories.json"
"""The histories of targets, beside their trees."""


class TreeGrower:
    """Gradient boosting (Chen & Guestrin 2016) of the label or of a target, with early stopping by its score on valid.

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
    goal
        What is learned; by default the label.
    """

    def __init__(
        self,
        config: TreesConfig,
        train: FeatureTable,
        valid: FeatureTable,
        sizes: dict[str, list[int]],
        seed: int,
        threads: int,
        goal: Goal = THE_LABEL,
    ) -> None:
        self._goal = goal
        self._xgboost = import_xgboost()
        self._train = self._xgboost.QuantileDMatrix(train.features, label=train.label, nthread=threads)
        self._valid = self._xgboost.QuantileDMatrix(valid.features, ref=self._train, nthread=threads)
        self._train_label = train.label
        self._sizes = sizes
        self.labels = gather(valid.label, sizes["valid"])
        self._parameters = {
            "objective": goal.objective,
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
        self.progress = Progress([], config.early_stopping, config.trees, goal.score)

    @property
    def finished(self) -> bool:
        """Whether all trees are grown, or the last of them did not help."""
        return self.progress.finished

    @property
    def due(self) -> bool:
        """Whether it is time to say how far the trees are: every twenty of them, and at the end."""
        return self.finished or self.progress.next_epoch % TREES_A_REPORT == 0

    def grow(self) -> dict[str, float]:
        """Grow a tree; return its number, counted from 0, and the losses and the score with it."""
        number = self.progress.next_epoch
        if number and number % TREES_A_REPORT == 0:
            # Which features a tree sees is drawn from a state that no bytes hold: it begins again wherever a resumed
            # run would begin.
            self._load(self.state())
        self._trees.update(self._train, number)
        mine = self._trees.predict(self._train, output_margin=True)
        summed = np.array([self._goal.mean_loss(self._train_label, mine) * len(mine)])
        logits = gather(self._trees.predict(self._valid, output_margin=True), self._sizes["valid"])
        metrics = {
            "epoch": number,
            "train_loss": float(_sum(summed)[0]) / sum(self._sizes["train"]),
            "valid_loss": self._goal.mean_loss(self.labels, logits),
            self._goal.score: self._goal.measure(self.labels, logits),
        }
        self.progress.history.append(metrics)
        return metrics

    @property
    def history(self) -> list[dict[str, float]]:
        """The numbers of all trees."""
        return self.progress.history

    @property
    def last_kept(self) -> int:
        """Number of the last tree to keep: with early stopping the one after which valid was ranked best."""
        return len(self.progress.history) - 1 if self.progress.patience is None else self.progress.best_epoch

    @property
    def kept_numbers(self) -> dict[str, float]:
        """The numbers of the last tree to keep."""
        return self.history[self.last_kept]

    def best(self) -> Any:
        """Return the trees to keep."""
        return self._trees[: self.last_kept + 1]

    def keep(self, booster: Booster | Boosters) -> None:
        """Give a model the trees to keep."""
        assert isinstance(booster, Booster), "one output"
        booster.keep(self.best())

    def state(self) -> bytes:
        """Return all trees as bytes, to `resume` from."""
        return bytes(self._trees.save_raw("ubj"))

    def resume(self, state: bytes, history: list[dict[str, float]]) -> None:
        """Go on behind the trees of an earlier process, which were `due` when it gave them."""
        self._load(state)
        self.progress.history.extend(history)

    def save(self, folder: Path) -> None:
        """Write what `restore` needs beside a checkpoint."""
        (folder / STATE).write_bytes(self.state())

    def restore(self, folder: Path) -> None:
        """Go on behind the trees of a checkpoint."""
        self.resume((folder / STATE).read_bytes(), read_info(folder).history)

    def _load(self, state: bytes) -> None:
        matrices = [self._train, self._valid]
        self._trees = self._xgboost.Booster(self._parameters, matrices, model_file=bytearray(state))


class TargetGrowers:
    """A `TreeGrower` for each target, over the genes that have a value of it, side by side; parameters are its.

    Each chooses its own number of trees. Where one has stopped, the history repeats the numbers of its last kept tree.
    """

    def __init__(
        self,
        config: TreesConfig,
        train: FeatureTable,
        valid: FeatureTable,
        sizes: dict[str, list[int]],
        seed: int,
        threads: int,
        targets: Sequence[TargetInfo],
    ) -> None:
        self._goals = goals_of(targets)
        self._growers = []
        for place, goal in enumerate(self._goals):
            tables = {"train": genes_with_a_value(train, place), "valid": genes_with_a_value(valid, place)}
            known = {split: _sizes_of_all(len(table.label), sizes[split]) for split, table in tables.items()}
            self._growers.append(TreeGrower(config, **tables, sizes=known, seed=seed, threads=threads, goal=goal))
        self.history: list[dict[str, float]] = []
        """The numbers of all targets, tree by tree, joined."""

    @property
    def finished(self) -> bool:
        """Whether the trees of all targets are grown."""
        return all(grower.finished for grower in self._growers)

    @property
    def due(self) -> bool:
        """Whether it is time to say how far the trees are: every twenty of each target, and at the end."""
        return self.finished or len(self.history) % TREES_A_REPORT == 0

    def grow(self) -> dict[str, float]:
        """Grow a tree of each target that needs more; return the number of each, and the joined numbers."""
        rows = [grower.kept_numbers if grower.finished else grower.grow() for grower in self._growers]
        self.history.append(joined(self._goals, rows, len(self.history)))
        return self.history[-1]

    @property
    def last_kept(self) -> int:
        """Number of the last tree to keep of any target."""
        return max(grower.last_kept for grower in self._growers)

    @property
    def kept_numbers(self) -> dict[str, float]:
        """The joined numbers of the last tree to keep of each target."""
        return joined(self._goals, [grower.kept_numbers for grower in self._growers], self.last_kept)

    def keep(self, booster: Booster | Boosters) -> None:
        """Give a model the trees to keep of each target."""
        for grower, part in zip(self._growers, booster.parts, strict=True):
            grower.keep(part)

    def save(self, folder: Path) -> None:
        """Write what `restore` needs beside a checkpoint."""
        for place, grower in enumerate(self._growers):
            (folder / f"{place}_{STATE}").write_bytes(grower.state())
        (folder / HISTORIES).write_text(json.dumps([grower.history for grower in self._growers]), encoding="utf-8")

    def restore(self, folder: Path) -> None:
        """Go on behind the trees of a checkpoint."""
        histories = load_json(folder / HISTORIES)
        for place, (grower, history) in enumerate(zip(self._growers, histories, strict=True)):
            grower.resume((folder / f"{place}_{STATE}").read_bytes(), history)
        self.history.extend(read_info(folder).history)


def open_grower(
    config: TreesConfig,
    tables: dict[str, FeatureTable],
    sizes: dict[str, list[int]],
    seed: int,
    threads: int,
    targets: Sequence[TargetInfo],
) -> TreeGrower | TargetGrowers:
    """Return what grows the trees of the label, or of targets if there are any; parameters are those of both."""
    if targets:
        return TargetGrowers(config, tables["train"], tables["valid"], sizes, seed, threads, targets)
    return TreeGrower(config, tables["train"], tables["valid"], sizes, seed, threads)


def grow_in_process(
    config: TreesConfig,
    tables: dict[str, FeatureTable],
    seed: int,
    targets: Sequence[TargetInfo] = (),
    show: Callable[[dict[str, float]], None] = lambda metrics: None,
) -> TreeGrower | TargetGrowers:
    """Grow trees on the tables of train and valid; ``show`` is called with the numbers of each tree that is `due`."""
    sizes = {name: [len(table.label)] for name, table in tables.items()}
    grower = open_grower(config, tables, sizes, seed, torch.get_num_threads(), targets)
    while not grower.finished:
        metrics = grower.grow()
        if grower.due:
            show(metrics)
    return grower


def remove_state(folder: Path) -> None:
    """Remove what `save` wrote from a checkpoint that is final."""
    for path in (*folder.glob(f"*{STATE}"), folder / HISTORIES):
        path.unlink(missing_ok=True)


def xgboost_version() -> dict[str, str]:
    """Return the version of the package that grows the trees, for a checkpoint's list of them."""
    return {"xgboost": import_xgboost().__version__}


def gather(values: NDArray[np.float32], sizes: list[int]) -> NDArray[np.float32]:
    """Join every worker's values, shape ``(sizes[rank], ...)``, in rank order; the same on all workers."""
    if len(sizes) == 1:
        return values
    rank = import_xgboost().collective.get_rank()
    found = np.zeros((sum(sizes), *values.shape[1:]), dtype=np.float32)
    first = sum(sizes[:rank])
    found[first : first + sizes[rank]] = values
    return _sum(found).reshape(found.shape)


def _sizes_of_all(mine: int, sizes: list[int]) -> list[int]:
    """Return how many genes each worker has, of this one's number; ``sizes`` has an entry per worker."""
    if len(sizes) == 1:
        return [mine]
    counts = np.zeros(len(sizes), dtype=np.int64)
    counts[import_xgboost().collective.get_rank()] = mine
    return [int(count) for count in _sum(counts)]


def _sum(values: NDArray[Any]) -> NDArray[Any]:
    """Add up the arrays of all workers; a single one keeps its own."""
    collective = import_xgboost().collective
    return np.asarray(collective.allreduce(values, collective.Op.SUM))
