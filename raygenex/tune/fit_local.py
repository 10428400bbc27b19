"""The training of a trial in its own process, step by step, for every kind of model that fits into one."""

import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from raygenex.config.base import canonical_hash
from raygenex.config.model import KmerConfig, Logistic, XgboostKmer
from raygenex.config.run import RunConfig
from raygenex.files.whole import whole_folder
from raygenex.models.base import ExpressionModel
from raygenex.models.tabular import BoostedTrees, LogisticRegression, TabularModel
from raygenex.train.checkpoint import new_model, read_info
from raygenex.train.inputs import start_backbone
from raygenex.train.network.epochs import STATE, NetworkFit
from raygenex.train.shard import GeneBatch, WorkerShard
from raygenex.train.tables.regression import fit_regression
from raygenex.train.tables.table import FeatureTable, make_table
from raygenex.train.tables.tree_grower import grow_in_process
from raygenex.train.worker import Worker
from raygenex.tune.fit import EpochFit, Fit
from raygenex.tune.shared import Shared, trial_start

# A trial that loses its process loses this much of its work at most.
SAVE_S = 30.0
# What the latency is measured on.
TIMED_PASSES = 5


class LocalFit(EpochFit):
    """A network that is trained in this process."""

    def __init__(self, shared: Shared, config: RunConfig, folder: Path) -> None:
        super().__init__(config, folder)
        device = torch.device("cuda" if config.train.use_gpu else "cpu")
        sizes = {split: [len(columns["label"])] for split, columns in shared.columns.items()}
        shards = {split: WorkerShard.of(_batch(columns)) for split, columns in shared.columns.items()}
        info = shared.info.model_copy(update={"config": config.dump(), "config_hash": config.hash()})
        worker = Worker(config, info, 0, device, sizes, shards)
        self._fit = NetworkFit(
            worker, trial_start(shared, config, device), start_backbone(config.online, shared.folder)
        )
        self._progress = self._fit.progress
        self._saved = time.monotonic()
        if (folder / STATE).exists() and read_info(folder).config_hash == config.hash():
            self._fit.resume(folder)

    def model(self) -> ExpressionModel:
        """Return the network."""
        return self._fit.model

    def _advance(self) -> None:
        valid = self._fit.epoch()
        if time.monotonic() - self._saved > SAVE_S and not self._progress.finished:
            self._save(valid)

    def _save(self, valid: dict[str, Tensor]) -> None:
        with whole_folder(self._folder) as aside:
            self._fit.save(aside, valid)
        self._saved = time.monotonic()


class TableFit(Fit):
    """A model of a table of features, fitted in one step.

    Parameters
    ----------
    shared
        What all trials have in common.
    config
        Of the trial.
    tables
        Tables of earlier trials in this process, by the settings that made them; this one's is added.
    """

    def __init__(self, shared: Shared, config: RunConfig, tables: dict[str, dict[str, FeatureTable]]) -> None:
        model = new_model(config, shared.info)
        assert isinstance(model, TabularModel), config.model.kind
        self._config = config
        self._model = model
        self._targets = shared.info.targets
        assert isinstance(config.model, KmerConfig), config.model.kind
        key = canonical_hash(config.model.model_dump(mode="json", include=set(KmerConfig.model_fields)))
        if key not in tables:
            # One set of tables at a time: they are larger than the genes.
            tables.clear()
            tables[key] = {
                split: make_table(model, [columns], len(columns["label"])) for split, columns in shared.columns.items()
            }
        self._tables = tables[key]
        self._ended = ""

    def step(self) -> dict[str, float]:
        """Fit the model."""
        section = self._config.model
        if isinstance(section, Logistic):
            assert isinstance(self._model, LogisticRegression), section.kind
            tables = self._tables["train"], self._tables["valid"]
            history = fit_regression(self._model, *tables, section.l2, self._targets)
            self._ended = f"the optimum, after {len(history)} iterations"
            return {**history[-1], "epoch": 0.0}
        assert isinstance(section, XgboostKmer), section.kind
        assert isinstance(self._model, BoostedTrees), section.kind
        grower = grow_in_process(section.trees, self._tables, self._config.seed, self._targets)
        grower.keep(self._model.booster)
        self._ended = f"{len(grower.history)} trees"
        return {**grower.kept_numbers, "epoch": 0.0}

    @property
    def ended(self) -> str:
        """Why the training is over."""
        return self._ended

    def model(self) -> ExpressionModel:
        """Return the fitted model."""
        return self._model


def judge(model: ExpressionModel, shared: Shared, config: RunConfig) -> dict[str, float]:
    """Return the objectives beside the AUROC.

    Returns
    -------
    ``latency_ms``: milliseconds per gene, the median of several passes over genes of valid in batches of
    ``predict.batch_size``, the backbone not counted. ``size_mb``: megabytes of the model's tensors.
    """
    device = next(iter(model.state_dict().values())).device
    genes = WorkerShard.of(_batch(shared.sample))
    batches = [batch.to(device) for batch in genes.in_order(config.predict.batch_size)]
    count = sum(len(batch.label) for batch in batches)
    model.eval()
    seconds = []
    with torch.inference_mode():
        for _ in range(TIMED_PASSES):
            started = time.perf_counter()
            for batch in batches:
                # A copy to the CPU waits for a GPU to be done.
                model(batch.sequence, batch.halflife).cpu()
            seconds.append(time.perf_counter() - started)
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return {"latency_ms": 1e3 * statistics.median(seconds) / count, "size_mb": size / 1e6}


def _batch(columns: dict[str, Any]) -> GeneBatch:
    """Return genes as tensors over the memory of the object store, which is not written."""
    return GeneBatch(
        _as_tensor(columns["sequence"]),
        _as_tensor(columns["halflife"], torch.float32),
        _as_tensor(columns["label"], torch.float32),
    )


def _as_tensor(values: NDArray[Any], dtype: torch.dtype | None = None) -> Tensor:
    with warnings.catch_warnings():
        # Memory of the object store cannot be written, and torch warns that it would let us.
        warnings.simplefilter("ignore", UserWarning)
        tensor = torch.from_numpy(values)
    return tensor if dtype is None else tensor.to(dtype)
