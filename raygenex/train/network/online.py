"""A model on embeddings, called with bases: the backbone embeds them in every step, frozen or learning."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raygenex.config.embed import EmbedConfig, HyenaBackbone
from raygenex.embed.hyenadna.longconv import LongFilter
from raygenex.embed.hyenadna.model import HyenaDnaModel
from raygenex.embed.hyenadna.weights import load_backbone, save_backbone, weights_sha256
from raygenex.embed.shards import not_finite
from raygenex.models.base import ExpressionModel
from raygenex.train.checkpoint import BACKBONE, WEIGHTS, load_weights


class OnlineModel(nn.Module):
    """Backbone, pooling and model as one: called as ``online(codes, halflife) -> logits``, shape ``(N,)``.

    A frozen backbone stays in inference mode and its embeddings are rounded as the store rounds them, so the model
    reads the numbers that it would read from a store. One that learns does so in training mode, with the dropout of its
    own configuration, and without rounding; scored, it is treated like a frozen one, as prediction does later.

    Parameters
    ----------
    backbone
        The network that embeds.
    model
        A model on embeddings, possibly wrapped for several workers.
    section
        Whether and how the backbone learns.
    embed
        Bins, pooling and number format; ``batch_size`` genes go through the backbone at a time.
    """

    def __init__(self, backbone: HyenaDnaModel, model: nn.Module, section: HyenaBackbone, embed: EmbedConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.model = model
        self._section = section
        self._embed = embed
        backbone.requires_grad_(self.learns)
        for module in backbone.modules():
            if isinstance(module, LongFilter) and not module.use_bias:
                # Several workers wait for the gradient of everything that learns, and nothing reads this.
                module.bias.requires_grad_(False)
        backbone.backbone.recompute = section.checkpointing
        self.train(self.training)

    @property
    def learns(self) -> bool:
        """Whether training moves the weights of the backbone."""
        return self._section.finetune

    def around(self, model: nn.Module) -> "OnlineModel":
        """Return the same backbone before another model, such as this one's prepared for several workers."""
        return OnlineModel(self.backbone, model, self._section, self._embed)

    def train(self, mode: bool = True) -> "OnlineModel":
        """Switch between training and inference; a backbone that does not learn stays in inference."""
        # Module by module: training mode, were it only in passing, would forget the spectra of the frozen filters.
        self.training = mode
        self.model.train(mode)
        self.backbone.train(mode and self.learns)
        return self

    def forward(self, codes: Tensor, halflife: Tensor) -> Tensor:
        """Return logits, shape ``(N,)``.

        Parameters
        ----------
        codes
            Base indices, shape ``(N, window)``, uint8.
        halflife
            Features in their own units, shape ``(N, 8)``.
        """
        return self.model(self.embed(codes), halflife)

    def embed(self, codes: Tensor) -> Tensor:
        """Embed base indices ``(N, window)`` as ``(N, bins, channels)``, with a graph if the backbone is learning."""
        groups = codes.split(self._embed.batch_size)
        if self.learns and self.training:
            return torch.cat([self._pooled(group) for group in groups])
        rounded = getattr(torch, self._embed.dtype)
        lower = codes.is_cuda and self._embed.precision == "bf16"
        with torch.no_grad(), torch.autocast(codes.device.type, torch.bfloat16, enabled=lower):
            pooled = torch.cat([self._pooled(group).to(rounded) for group in groups])
        self._refuse_overflow(pooled)
        return pooled

    def _refuse_overflow(self, pooled: Tensor) -> None:
        """Refuse embeddings that the number format made infinite, and what weights that stay the same give."""
        if torch.isfinite(pooled).all():
            return
        overflow = pooled.dtype == torch.float16 and not pooled.isnan().any()
        # Weights that learn and give no number have diverged, which is said of the epoch.
        if overflow or not self.learns:
            raise not_finite("the embedding of a gene", self._embed.dtype, overflow)

    def save(self, folder: Path) -> str | None:
        """Write the backbone, if it learns, into the folder of a checkpoint; return the sha256 of its weights."""
        if not self.learns:
            return None
        save_backbone(self.backbone, folder / BACKBONE)
        return weights_sha256(self.backbone)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        if self.learns:
            load_weights(self.backbone, folder / BACKBONE / WEIGHTS)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the parameters of a learning backbone as groups of an optimizer.

        The networks of the long filters keep their size when weights decay, as in HyenaDNA's own fine-tuning.

        Parameters
        ----------
        learning_rate
            Step size of the model; each group says by which factor its own is larger.
        """
        factor = (self._section.learning_rate or learning_rate) / learning_rate
        named = list(self.backbone.named_parameters())
        filters = [parameter for name, parameter in named if ".filter_fn." in name]
        others = [parameter for name, parameter in named if ".filter_fn." not in name]
        return [{"params": others, "factor": factor}, {"params": filters, "factor": factor, "weight_decay": 0.0}]

    def _pooled(self, codes: Tensor) -> Tensor:
        return self.backbone.embed_bins(codes, self._embed.bin_size, self._embed.pooling)


def open_online(folder: Path, model: ExpressionModel, section: HyenaBackbone, embed: EmbedConfig) -> OnlineModel:
    """Put the backbone in a folder before a model.

    Raises
    ------
    CheckpointError
        If the weights cannot be loaded.
    """
    return OnlineModel(load_backbone(str(folder), None), model, section, embed)
