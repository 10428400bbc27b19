"""The training of a network as a plain PyTorch script writes it: tensors in memory, one process, nothing kept.

``python benchmarks/plain_loop.py CONFIG EPOCHS [KEY=VALUE ...]`` trains the network of a run configuration on all genes
of train with ``train.cpus_per_worker`` threads, scores valid after every epoch, and prints the seconds of each epoch as
JSON. No Ray, no checkpoints, no MLflow. Other benchmarks run it as the other side.
"""

import json
import sys
import time

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.data.opening import open_splits
from raygenex.data.rows import Rows
from raygenex.models import build_model
from raygenex.stats.metrics import auroc, bce_with_logits
from raygenex.train.inputs import open_inputs

Genes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
SCORE_FACTOR = 8


def load(rows: Rows) -> Genes:
    """Return sequences (base indices, or embeddings as they are stored), half-life features and labels of a table."""
    parts = [piece.read() for piece in rows.pieces(0, rows.count, 1024)]
    sequence, halflife, label = (
        np.concatenate([part[name] for part in parts]) for name in ("sequence", "halflife", "label")
    )
    return torch.from_numpy(sequence), torch.from_numpy(halflife).float(), torch.from_numpy(label).float()


def train(config: RunConfig, epochs: int) -> list[float]:
    """Train for some epochs; return the seconds of each, the scores of valid included."""
    torch.set_num_threads(max(1, int(config.train.cpus_per_worker)))
    inputs = open_inputs(config, open_splits(config.data, ("train", "valid")))
    (sequence, halflife, label), valid = load(inputs.tables["train"]), load(inputs.tables["valid"])
    torch.manual_seed(config.seed)
    model = build_model(config.model, config.halflife, inputs.info.shape)
    if model.scaler is not None:
        model.scaler.fit(halflife)
    if model.encoder is not None:
        model.encoder.requires_grad_(config.halflife.finetune)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=config.train.learning_rate, weight_decay=config.train.weight_decay)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        model.train()
        total = 0.0
        for rows in torch.randperm(len(label)).split(config.train.global_batch_size):
            optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(model(sequence[rows], halflife[rows]), label[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        scores = score(model, valid, config.train.global_batch_size * SCORE_FACTOR)
        truth = valid[2].numpy().astype("uint8")
        measured = total / len(label), bce_with_logits(truth, scores), auroc(truth, scores)
        seconds.append(time.perf_counter() - started)
        print("train_loss {:.4f}  valid_loss {:.4f}  valid_auroc {:.4f}".format(*measured), file=sys.stderr)
    return seconds


@torch.no_grad()
def score(model: torch.nn.Module, genes: Genes, batch_size: int) -> np.ndarray:
    """Return the logits of genes, in their order."""
    model.eval()
    parts = [model(*batch) for batch in zip(*(part.split(batch_size) for part in genes[:2]), strict=True)]
    return torch.cat(parts).double().numpy()


def main() -> None:
    """Print the seconds of each epoch."""
    config = load_config(sys.argv[1], sys.argv[3:])
    print(json.dumps(train(config, int(sys.argv[2]))))


if __name__ == "__main__":
    main()
