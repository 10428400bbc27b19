"""Small models to look inside: random weights, set weights, and genes for them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from toy_models import SMALL, save_targets, save_toy, small_config

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.explain.methods.logit import LogitFunction
from raygenex.models import build_model
from raygenex.models.base import ExpressionModel, InputShape, channels_first
from raygenex.predict.predictor import Predictor
from raygenex.train.checkpoint import BACKBONE, CheckpointInfo, InputInfo, save_checkpoint

WINDOW = 60


def explain_config(model: dict | None, embed: dict | None = None) -> RunConfig:
    """Return a configuration of a tiny CNN, or of another model whose section is whole."""
    if model and model.get("kind") == "lstm":
        return parse_config({**SMALL, "model": model, "embed": SMALL["embed"] | (embed or {})}, "test")
    return small_config(model=model or {}, embed=embed or {})


def draw_genes(n: int = 5, window: int = WINDOW, unknown: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return base indices, a few of them unknown, and half-life features."""
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 4, (n, window)).astype(np.uint8)
    if unknown:
        codes[0, 3:6] = codes[-1, -1] = 4
    return codes, rng.normal(size=(n, 8)).astype(np.float32)


def bases_function(folder: Path, model: dict | None = None, window: int = WINDOW, batch_size: int = 4) -> LogitFunction:
    """Write a checkpoint of a model of bases into a new folder, load it and wrap it."""
    inputs = InputInfo(kind="bases", length=window, channels=4, window=window)
    save_toy(folder, explain_config(model), inputs)
    return LogitFunction(Predictor(folder), batch_size)


def hyena_function(
    folder: Path, embed: dict | None = None, model: dict | None = None, window: int = WINDOW, batch_size: int = 4
) -> LogitFunction:
    """Do the same with a model of the embeddings of a random HyenaDNA, 8 wide and 2 layers deep."""
    config = explain_config(model, embed)
    backbone = random_hyenadna(8, 2, window + 2, seed=3)
    with torch.no_grad():
        # Fresh weights are so small that the network is nearly linear.
        for weight in backbone.parameters():
            if weight.ndim == 2:
                weight.mul_(4)
    inputs = InputInfo(kind="embedding", length=-(-window // config.embed.bin_size), channels=8, window=window)
    save_toy(folder, config, inputs, backbone_sha256=weights_sha256(backbone))
    save_backbone(backbone, folder / BACKBONE)
    return LogitFunction(Predictor(folder), batch_size)


def target_function(
    folder: Path, target: str | None = None, model: dict | None = None, embeds: bool = False
) -> LogitFunction:
    """Write a checkpoint of a model of `toy_models.four_targets`, of bases or of a random HyenaDNA; wrap one."""
    config = explain_config(model)
    if not embeds:
        save_targets(folder, config, InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW))
        return LogitFunction(Predictor(folder), 4, target)
    backbone = random_hyenadna(8, 2, WINDOW + 2, seed=3)
    inputs = InputInfo(kind="embedding", length=-(-WINDOW // config.embed.bin_size), channels=8, window=WINDOW)
    save_targets(folder, config, inputs, backbone_sha256=weights_sha256(backbone))
    save_backbone(backbone, folder / BACKBONE)
    return LogitFunction(Predictor(folder), 4, target)


class Linear(ExpressionModel):
    """A logit that is a sum over bases and features: base b (0 to 3) at position p counts 10 p + b^2, feature f f + 1.

    Unlike a zero mean over the bases, that of these numbers, 10 p + 3.5, shows whether it was removed.
    """

    def __init__(self, window: int) -> None:
        super().__init__(InputShape("bases", window, 4))
        self.bases = nn.Parameter(10.0 * torch.arange(window)[None] + torch.tensor([0.0, 1.0, 4.0, 9.0])[:, None])
        self.features = nn.Parameter(torch.arange(1.0, 9.0))

    def forward(self, sequence: Tensor, halflife: Tensor) -> Tensor:
        hot = channels_first(sequence, self.inputs, self.bases.dtype)
        return (hot * self.bases).sum(dim=(1, 2)) + halflife @ self.features


def linear_function(folder: Path, window: int = 4) -> LogitFunction:
    """Return the logit of `Linear`."""
    function = bases_function(folder, window=window)
    function.predictor.model = Linear(window).eval()
    return function


def table_function(folder: Path, kind: str, window: int = WINDOW) -> LogitFunction:
    """Return a model that has no gradients: ``logistic``, ``xgboost_kmer`` or ``autoencoder_xgboost`` on bases."""
    sizes = {"channels": (3, 1)} if kind == "autoencoder_xgboost" else {"k": (1, 2), "onehot_bases": 8}
    config = parse_config({"model": {"kind": kind} | sizes}, "test")
    inputs = InputInfo(kind="bases", length=window, channels=4, window=window)
    codes, halflife = draw_genes(40, window)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_model(config.model, config.halflife, inputs.shape).eval()
    if kind != "logistic":
        import xgboost

        given = (torch.from_numpy(codes), torch.from_numpy(halflife))
        table = model.features(*given) if kind == "autoencoder_xgboost" else model.features(codes, halflife)
        # Labels that the DNA and the first half-life feature decide together.
        label = (codes[:, 2:12] == 0).sum(axis=1) + 2 * halflife[:, 0] > 2
        matrix = xgboost.DMatrix(np.asarray(table.detach() if torch.is_tensor(table) else table), label)
        model.booster.keep(xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5))
    folder.mkdir(parents=True)
    info = CheckpointInfo(config=config.dump(), config_hash=config.hash(), inputs=inputs, threshold=0.5)
    save_checkpoint(folder, model, info)
    return LogitFunction(Predictor(folder), 4)
