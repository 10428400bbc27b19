"""The paper's training as a plain script writes it: half-life pretraining by triplets, then the CNN on one-hot.

``python benchmarks/peers/plain_paper.py CONFIG`` trains the network of a configuration without Ray, Ray Data or MLflow:
h5py reads whole files, a DataLoader stacks float one-hot, and the best epoch on valid is saved. It draws the numbers
that raygenex draws, so that both have the same losses. Prints its losses and seconds as JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, triplet_margin_loss
from torch.utils.data import DataLoader, Dataset

from raygenex.config.load import load_config
from raygenex.config.model import HalflifeConfig
from raygenex.models import build_model
from raygenex.models.base import InputShape
from raygenex.models.halflife import FeatureScaler, HalflifeEncoder
from raygenex.train.shard import derive_seed


class Promoters(Dataset):
    """A gene an item: its one-hot ``(L, 4)``, its half-life features and its label."""

    def __init__(self, path: str) -> None:
        with h5py.File(path) as handle:
            self.promoter = torch.from_numpy(handle["promoter"][:])
            self.halflife = torch.from_numpy(handle["halflife"][:]).float()
            self.label = torch.from_numpy(handle["label"][:]).float()

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.promoter[row].float(), self.halflife[row], self.label[row]


def pretrain(halflife: Tensor, options: HalflifeConfig, seed: int) -> tuple[FeatureScaler, HalflifeEncoder]:
    """Learn the encoder: a gene, itself with noise, and another gene."""
    torch.manual_seed(seed)
    encoder, scaler = HalflifeEncoder(options.channels), FeatureScaler()
    scaler.fit(halflife)
    features = scaler.standardise(halflife)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=options.learning_rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(options.epochs):
        order = torch.randperm(len(features), generator=generator)
        for rows in order.tensor_split(max(1, len(features) // options.batch_size)):
            anchor = features[rows]
            positive = anchor + torch.randn(anchor.shape, generator=generator) * options.noise
            codes = (encoder(scaler.read(part)).flatten(1) for part in (anchor, positive, anchor.roll(1, dims=0)))
            optimizer.zero_grad()
            triplet_margin_loss(*codes, margin=options.margin).backward()
            optimizer.step()
    return scaler, encoder


def train(path: str) -> dict[str, Any]:
    """Train the network of a configuration; return the seconds and losses of its epochs."""
    config = load_config(path, ())
    torch.set_num_threads(int(config.train.cpus_per_worker))
    splits = {name: Promoters(*config.data.split(name)) for name in ("train", "valid")}
    scaler, encoder = pretrain(splits["train"].halflife, config.halflife, config.seed)
    torch.manual_seed(derive_seed(config.seed))
    model = build_model(config.model, config.halflife, InputShape("bases", splits["train"].promoter.shape[1], 4))
    model.scaler.load_state_dict(scaler.state_dict())
    model.encoder.load_state_dict(encoder.state_dict())
    model.encoder.requires_grad_(False)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=config.train.learning_rate)
    valid = DataLoader(splits["valid"], config.train.global_batch_size * 8)
    found: dict[str, Any] = {"train_loss": [], "valid_auroc": [], "seconds": []}
    for epoch in range(config.train.epochs):
        started = time.perf_counter()
        seed = derive_seed(config.seed, epoch, 0)
        order = torch.randperm(len(splits["train"]), generator=torch.Generator().manual_seed(seed)).tolist()
        # A generator of its own leaves the draws of dropout alone.
        loader = DataLoader(splits["train"], config.train.global_batch_size, sampler=order, generator=torch.Generator())
        torch.manual_seed(seed)
        model.train()
        total = 0.0
        for one_hot, halflife, label in loader:
            optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(model(one_hot, halflife), label)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(label)
        model.eval()
        with torch.no_grad():
            logits = torch.cat([model(one_hot, halflife) for one_hot, halflife, _ in valid])
        auroc = float(roc_auc_score(splits["valid"].label, logits))
        if auroc > max(found["valid_auroc"], default=-np.inf):
            torch.save(model.state_dict(), Path(path).with_suffix(".pt"))
        numbers = {"train_loss": total / len(order), "valid_auroc": auroc, "seconds": time.perf_counter() - started}
        for name, value in numbers.items():
            found[name].append(value)
    return found


if __name__ == "__main__":
    print(json.dumps(train(sys.argv[1])))
