"""Genes of the toy genome, and a model on eight bases around the TSS whose logits are arithmetic."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from toy_genome import LENGTHS

from raygenex.config.load import parse_config
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.models import build_model
from raygenex.sequence import from_string, reverse_complement
from raygenex.train.checkpoint import CheckpointInfo, InputInfo, save_checkpoint

WINDOW = 8
FIRST = -4
# On each gene's own strand, the TSS at index 4.
REFERENCE = {"P": "ACGTGGGG", "M": "ACGTCCCC", "S": "GTACATGC"}
LABEL = {"table": "expression.tsv", "columns": ["a"]}
PLACES = {"P": ("I", 21, "+"), "M": ("I", 190, "-"), "S": ("II", 31, "+")}
BIAS = -0.5
assert LENGTHS == {"I": 220, "II": 100}


def logit_of(window: str) -> float:
    """Return the toy model's logit: the bases as digits to the base of four, A 0, C 1, G 2, T 3, N 0, and a bias."""
    return BIAS + sum("ACGT".find(base) * 4.0**i for i, base in enumerate(window) if base != "N") / 4**8


def save_toy_model(folder: Path, threshold: float = 0.5, window: int = WINDOW) -> str:
    """Write the toy model, which reads the middle of its window, as a checkpoint and return its folder."""
    model = {"kind": "logistic", "k": [1], "regions": 1, "onehot_bases": WINDOW, "halflife": False}
    config = parse_config({"model": model}, "test")
    inputs = InputInfo(kind="bases", length=window, channels=4, window=window, halflife_scale="log10")
    network = build_model(config.model, config.halflife, inputs.shape)
    weights = np.zeros((WINDOW, 4), dtype=np.float32)
    weights[:] = np.arange(4) * (4.0 ** np.arange(WINDOW) / 4**8)[:, None]
    with torch.no_grad():
        network.linear.weight.zero_()
        network.linear.weight[0, 4:] = torch.from_numpy(weights.ravel())
        network.linear.bias.fill_(BIAS)
    folder.mkdir(parents=True)
    info = CheckpointInfo(config=config.dump(), config_hash=config.hash(), inputs=inputs, threshold=threshold)
    save_checkpoint(folder, network, info)
    return str(folder)


def write_genes(path: Path, genes: str = "PMS", windows: dict[str, str] = REFERENCE) -> str:
    """Write genes of the toy genome as `data build` does, and return the path."""
    chrom, tss, strand = (
        np.array(column, dtype=object) for column in zip(*(PLACES[gene] for gene in genes), strict=True)
    )
    attrs = {"halflife_scale": "log10", "window_first": FIRST}
    with PromoterWriter(path, WINDOW, attrs=attrs) as writer:
        writer.append(
            list(genes),
            np.stack([from_string(windows[gene]) for gene in genes]),
            np.zeros((len(genes), 8), dtype=np.float32),
            None,
            {"chrom": chrom, "tss": tss.astype(np.int64), "strand": strand},
        )
    return str(path)


def reference_window(reference: NDArray[np.uint8], margin: int, strand: str) -> NDArray[np.uint8]:
    """Return the window of a gene, on its strand, from its forward strand with a margin on either side."""
    window = reference[margin : len(reference) - margin]
    return window if strand == "+" else reverse_complement(window)
