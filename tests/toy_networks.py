"""Small networks on DNA and half-life features, their inputs, and how a test trains them or sets their weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from raygenex.config.load import parse_config
from raygenex.config.model import HalflifeConfig
from raygenex.models import build_model
from raygenex.models.base import ExpressionModel, InputShape

CNNS = ("cnn_halflife_encoded", "cnn_halflife_raw", "cnn_dna_only", "cnn_halflife_only")
BASES = InputShape("bases", 60, 4)
LONG = InputShape("bases", 2000, 4)
EMBEDDING = InputShape("embedding", 157, 128)
ONE_BIN = InputShape("embedding", 1, 16)
OF_BASES = (InputShape("bases", 1, 4), InputShape("bases", 7, 4), BASES, InputShape("bases", 513, 4), LONG)
SHAPES = (*OF_BASES, EMBEDDING, ONE_BIN)
SMALL_HALFLIFE = HalflifeConfig(channels=(3, 4))
SMALL = {
    "cnn": {"width": 6, "stem_kernel": 5, "channels": (6, 5, 4, 3), "dense": (8, 4)},
    "lstm": {"width": 6, "stem_kernel": 5, "hidden": 5, "dense": (8,)},
}


def shape_name(shape: InputShape) -> str:
    """Name a shape in the id of a test."""
    return f"{shape.kind}-{shape.length}x{shape.channels}"


def size_name(sizes: dict[str, object]) -> str:
    """Name settings of a model in the id of a test."""
    return "-".join(f"{name}={value}" for name, value in sizes.items()).replace(" ", "") or "default"


def build(
    kind: str = "cnn_halflife_encoded",
    shape: InputShape = BASES,
    seed: int = 0,
    halflife: HalflifeConfig = SMALL_HALFLIFE,
    **sizes: object,
) -> ExpressionModel:
    """Return a small network with random weights."""
    section = parse_config({"model": {"kind": kind} | SMALL[kind.partition("_")[0]] | sizes}, "test").model
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(section, halflife, shape)


def inputs(shape: InputShape = BASES, n: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return random base indices or embeddings, and half-life features."""
    generator = torch.Generator().manual_seed(seed)
    halflife = torch.randn(n, 8, generator=generator)
    if shape.kind == "bases":
        return torch.randint(0, 5, (n, shape.length), generator=generator, dtype=torch.uint8), halflife
    return torch.randn(n, shape.length, shape.channels, generator=generator), halflife


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a model."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def set_values(tensor: Tensor, values: object) -> None:
    """Set a tensor of weights by hand."""
    with torch.no_grad():
        tensor.copy_(torch.as_tensor(values, dtype=torch.float32).reshape(tensor.shape))


def fill(layer: nn.Module, weight: object, bias: object) -> None:
    """Set the weights of a layer by hand."""
    set_values(layer.weight, weight)
    set_values(layer.bias, bias)


def learn(model: nn.Module, loss: Callable[[], Tensor], enough: float, steps: int) -> float:
    """Train a model until its loss is below ``enough``, or for so many steps; return the last loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        now = loss()
        if now < enough:
            break
        optimizer.zero_grad()
        now.backward()
        optimizer.step()
    return now.item()
