"""Epochs of a CNN on bases in this process, against Lightning as gReLU uses it.

gReLU's items are one-hot of one sequence each, stacked by a DataLoader; its model logs the loss of each step, and
torchmetrics scores valid after each epoch. Both sides have the same network, start, batches, optimizer and threads, and
neither dropout, checkpoints nor loggers.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset

from peers.rows import Row, beside, close
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.explain.methods.logit import soft_one_hot
from raygenex.models import build_model
from raygenex.train.checkpoint import CheckpointInfo, InputInfo
from raygenex.train.network.epochs import SCORE_FACTOR, NetworkFit, build_optimizer
from raygenex.train.shard import GeneBatch, WorkerShard, derive_seed
from raygenex.train.worker import Worker

MODEL = {"kind": "cnn_dna_only", "width": 64, "channels": [64, 32, 16], "pool": 4, "dense": [64], "dropout": 0.0}
BATCH = 64

Splits = dict[str, GeneBatch]


class OneHot(Dataset):
    """A gene an item: its one-hot ``(L, 4)``, and its label."""

    def __init__(self, genes: GeneBatch) -> None:
        self.genes = genes

    def __len__(self) -> int:
        return len(self.genes.label)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return soft_one_hot(self.genes.sequence[row].numpy()), self.genes.label[row]


def draw(genes: int, window: int) -> GeneBatch:
    """Return random genes, whose label is whether they have more C and G than most."""
    codes = torch.randint(0, 4, (genes, window), generator=torch.Generator().manual_seed(genes), dtype=torch.uint8)
    rich = ((codes == 1) | (codes == 2)).float().mean(dim=1)
    return GeneBatch(codes, torch.zeros(genes, 8), (rich > rich.median()).float())


def compare(small: bool) -> Iterator[Row]:
    """Yield the row: the losses of train of all epochs are compared."""
    genes, window, epochs, repeats = (256, 200, 2, 3) if small else (4096, 600, 3, 3)
    splits = {"train": draw(genes, window), "valid": draw(genes // 8, window)}
    values = {"model": MODEL, "train": {"epochs": epochs, "global_batch_size": BATCH, "learning_rate": 1e-3}}
    config = parse_config(values, "the benchmark")
    inputs = InputInfo(kind="bases", length=window, channels=4, window=window)
    yield from beside(
        f"{epochs} epochs of {genes:,} genes of {window} bases",
        lambda: ours(config, inputs, splits),
        {"lightning": lambda: with_lightning(config, inputs, splits)},
        close(1e-3),
        repeats,
    )


def ours(config: RunConfig, inputs: InputInfo, splits: Splits) -> np.ndarray:
    """Train as a worker of `raygenex train` does; return the losses of train and valid."""
    info = CheckpointInfo(config=config.dump(), config_hash=config.hash(), inputs=inputs)
    sizes = {name: [len(genes.label)] for name, genes in splits.items()}
    shards = {name: WorkerShard.of(genes) for name, genes in splits.items()}
    fit = NetworkFit(Worker(config, info, 0, torch.device("cpu"), sizes, shards), None)
    while not fit.progress.finished:
        fit.epoch()
    return np.array([[epoch["train_loss"], epoch["valid_loss"]] for epoch in fit.progress.history])


def with_lightning(config: RunConfig, inputs: InputInfo, splits: Splits) -> Callable[[], Any]:
    import lightning
    from torchmetrics.classification import BinaryAUROC

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Plain(lightning.LightningModule):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model, self.auroc, self.found = model, BinaryAUROC(), []
            self.totals = {"train": 0.0, "valid": 0.0}

        def _loss(self, batch: tuple[Tensor, Tensor], split: str) -> tuple[Tensor, Tensor]:
            one_hot, label = batch
            logits = self.model(one_hot, None)
            loss = binary_cross_entropy_with_logits(logits, label)
            self.log(f"{split}_loss", loss, on_step=split == "train", on_epoch=True)
            self.totals[split] += loss.item() * len(label)
            return loss, logits

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            return self._loss(batch, "train")[0]

        def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
            self.auroc.update(self._loss(batch, "valid")[1], batch[1].long())

        def on_validation_epoch_end(self) -> None:
            self.log("valid_auroc", self.auroc.compute())
            self.auroc.reset()

        def on_train_epoch_end(self) -> None:
            # Valid has been scored by now.
            self.found.append([self.totals[name] / len(splits[name].label) for name in ("train", "valid")])
            self.totals = dict.fromkeys(self.totals, 0.0)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return build_optimizer(self.model, config)

    class Order(torch.utils.data.Sampler):
        """The orders of raygenex, epoch by epoch."""

        def __init__(self) -> None:
            self.epoch = 0

        def __len__(self) -> int:
            return len(splits["train"].label)

        def __iter__(self) -> Iterator[int]:
            generator = torch.Generator().manual_seed(derive_seed(config.seed, self.epoch, 0))
            self.epoch += 1
            return iter(torch.randperm(len(self), generator=generator).tolist())

    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}

    def call() -> np.ndarray:
        torch.manual_seed(derive_seed(config.seed))
        plain = Plain(build_model(config.model, config.halflife, inputs.shape))
        trainer = lightning.Trainer(max_epochs=config.train.epochs, **options, **quiet)
        train = DataLoader(OneHot(splits["train"]), BATCH, sampler=Order())
        trainer.fit(plain, train, DataLoader(OneHot(splits["valid"]), BATCH * SCORE_FACTOR))
        return np.array(plain.found)

    return call
