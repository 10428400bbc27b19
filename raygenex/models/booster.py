"""Boosted trees as a module: an XGBoost model whose bytes are a buffer, so that it travels with the weights."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from raygenex.extras import require

if TYPE_CHECKING:
    import xgboost


def import_xgboost() -> Any:
    """Return the xgboost package, which is an extra of raygenex.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    return require("xgboost", "xgboost", "boosted", "this kind of model")


class Booster(nn.Module):
    """Trees of the label or of one target, called by `margin`; they have no gradients.

    Attributes
    ----------
    raw
        XGBoost's own bytes of the trees (UBJSON), shape ``(bytes,)``, uint8; empty before `keep`.
    """

    raw: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("raw", torch.zeros(0, dtype=torch.uint8))
        self._trees: Any = None

    @property
    def parts(self) -> "list[Booster]":
        """The trees of each output: these."""
        return [self]

    def keep(self, trees: "xgboost.Booster") -> None:
        """Take over trained trees."""
        # Written and read back at once, so that the trees that score are the trees that are saved.
        self.raw = torch.from_numpy(np.frombuffer(trees.save_raw("ubj"), dtype=np.uint8).copy()).to(self.raw.device)
        self._trees = None

    def margin(self, features: Tensor) -> Tensor:
        """Return the summed leaves of the trees, float32 ``(N,)``, for features of shape ``(N, features)``."""
        values = np.ascontiguousarray(features.detach().float().cpu().numpy())
        margin = self._loaded().inplace_predict(values, predict_type="margin")
        return torch.from_numpy(np.asarray(margin, dtype=np.float32)).to(features.device)

    def _loaded(self) -> Any:
        if self._trees is None:
            assert len(self.raw), "these trees are not trained yet"
            self._trees = import_xgboost().Booster()
            self._trees.load_model(bytearray(self.raw.cpu().numpy().tobytes()))
            self._trees.set_param({"nthread": torch.get_num_threads()})
        return self._trees

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Take bytes of any number, where a buffer's shape must otherwise match."""
        if (saved := state_dict.get(f"{prefix}raw")) is not None:
            self.raw = torch.empty_like(saved, device=self.raw.device)
            self._trees = None
        super()._load_from_state_dict(state_dict, prefix, *args)


class Boosters(nn.ModuleList):
    """Trees of several targets, a `Booster` for each, called by `margin`."""

    def __init__(self, targets: int) -> None:
        super().__init__(Booster() for _ in range(targets))

    @property
    def parts(self) -> list[Booster]:
        """The trees of each output."""
        return [part for part in self if isinstance(part, Booster)]

    def margin(self, features: Tensor) -> Tensor:
        """Return the summed leaves of each target's trees, float32, shape ``(N, targets)``."""
        return torch.stack([part.margin(features) for part in self.parts], dim=1)


def new_trees(outputs: int) -> Booster | Boosters:
    """Return trees of ``outputs`` per gene that are not trained yet; those of one output are a `Booster`."""
    return Booster() if outputs == 1 else Boosters(outputs)
