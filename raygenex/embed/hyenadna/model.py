"""HyenaDNA: a causal DNA language model whose long convolutions have implicit, learned filters.

After Nguyen et al., "HyenaDNA: long-range genomic sequence modeling at single nucleotide resolution" (2023). Parameter
names are those of the published checkpoints, so that they load as they are.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput

from raygenex.config.embed import Pooling
from raygenex.embed.hyenadna import blocks
from raygenex.embed.hyenadna.longconv import LongFilter, ShortFilter
from raygenex.embed.hyenadna.pooling import pool_bins
from raygenex.errors import DataError

FIRST_BASE_ID = 7
"""The token of A; C, G, T and N follow (ids 0 to 6 are special tokens)."""


class HyenaDnaConfig(PreTrainedConfig):
    """Sizes and settings of a HyenaDNA, under the names of the published ``config.json`` files."""

    model_type = "hyenadna"

    def __init__(
        self,
        vocab_size: int = 12,
        d_model: int = 256,
        d_inner: int | None = None,
        n_layer: int = 4,
        max_seq_len: int = 32770,
        emb_dim: int = 5,
        filter_order: int = 64,
        num_inner_mlps: int = 2,
        hyena_order: int = 2,
        short_filter_order: int = 3,
        activation_freq: float = 10.0,
        train_freq: bool = True,
        use_bias: bool = True,
        pad_vocab_size_multiple: int = 8,
        layer_norm_epsilon: float = 1e-5,
        embed_dropout: float = 0.1,
        hyena_dropout: float = 0.0,
        hyena_filter_dropout: float = 0.0,
        initializer_range: float = 0.02,
        pad_token_id: int = 4,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.d_model = d_model
        self.d_inner = 4 * d_model if d_inner is None else d_inner
        self.n_layer = n_layer
        self.max_seq_len = max_seq_len
        self.emb_dim = emb_dim
        self.filter_order = filter_order
        self.num_inner_mlps = num_inner_mlps
        self.hyena_order = hyena_order
        self.short_filter_order = short_filter_order
        self.activation_freq = activation_freq
        self.train_freq = train_freq
        self.use_bias = use_bias
        self.pad_vocab_size_multiple = pad_vocab_size_multiple
        self.layer_norm_epsilon = layer_norm_epsilon
        self.embed_dropout = embed_dropout
        self.hyena_dropout = hyena_dropout
        self.hyena_filter_dropout = hyena_filter_dropout
        self.initializer_range = initializer_range
        super().__init__(pad_token_id=pad_token_id, **kwargs)

    @property
    def embedding_rows(self) -> int:
        """Rows of the embedding table: the vocabulary, rounded up to ``pad_vocab_size_multiple``."""
        return math.ceil(self.vocab_size / self.pad_vocab_size_multiple) * self.pad_vocab_size_multiple


class _Mixer(nn.Module):
    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__()
        width = config.d_model
        self.in_proj = nn.Linear(width, 3 * width)
        self.short_filter = ShortFilter(3 * width, config.short_filter_order)
        self.filter_fn = LongFilter(
            channels=width,
            max_length=config.max_seq_len,
            emb_dim=config.emb_dim,
            width=config.filter_order,
            inner=config.num_inner_mlps,
            frequency=config.activation_freq,
            train_frequency=config.train_freq,
            use_bias=config.use_bias,
            dropout=config.hyena_filter_dropout,
        )
        self.dropout = nn.Dropout(config.hyena_dropout)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, key, value = self.short_filter(self.in_proj(x)).chunk(3, dim=-1)
        return self.out_proj((gate * self.filter_fn(self.dropout(value * key))).to(x.dtype))


class _Mlp(nn.Module):
    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.d_model, config.d_inner)
        self.fc2 = nn.Linear(config.d_inner, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))


class _Block(nn.Module):
    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.mixer = _Mixer(config)
        self.norm2 = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.mlp = _Mlp(config)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.mixer(self.norm1(hidden.to(self.norm1.weight.dtype)))
        return hidden + self.mlp(self.norm2(hidden.to(self.norm2.weight.dtype)))


class _Backbone(nn.Module):
    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__()
        table = nn.Embedding(config.embedding_rows, config.d_model)
        self.embeddings = nn.ModuleDict({"word_embeddings": table})
        self.dropout = nn.Dropout(config.embed_dropout)
        self.layers = nn.ModuleList(_Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.recompute = False
        """Whether a backward pass computes the activations of each layer again, so that they need not be kept."""

    def forward(self, source: Tensor) -> Tensor:
        """Encode token ids ``(N, L)`` or rows of the embedding table ``(N, L, d_model)``."""
        if blocks.can_overwrite(self):
            return blocks.encode(self, source, 1, "mean")
        embedded = source if source.is_floating_point() else self.embeddings["word_embeddings"](source)
        # The residual stream is float32 even in a bfloat16 model, as it was in pretraining.
        hidden = self.dropout(embedded).to(torch.promote_types(embedded.dtype, torch.float32))
        for layer in self.layers:
            keep = not (self.recompute and torch.is_grad_enabled())
            hidden = layer(hidden) if keep else checkpoint(layer, hidden, use_reentrant=False)
        return self.ln_f(hidden.to(self.ln_f.weight.dtype))


class HyenaDnaModel(PreTrainedModel):
    """HyenaDNA without its language-model head.

    Loads published ``LongSafari/hyenadna-*-hf`` checkpoints and its own saves; after :func:`register` also through
    ``AutoModel``.
    """

    config_class = HyenaDnaConfig
    base_model_prefix = "hyena"
    main_input_name = "input_ids"
    _no_split_modules = ("_Block",)
    _keep_in_fp32_modules_strict = ("filter_fn",)
    _keys_to_ignore_on_load_unexpected = (r"lm_head\.", r"implicit_filter\.(?!1\.)\d+\.freq")

    def __init__(self, config: HyenaDnaConfig) -> None:
        super().__init__(config)
        assert config.hyena_order == 2, config.hyena_order
        self.backbone = _Backbone(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        return_dict: bool = True,
    ) -> BaseModelOutput | tuple[Tensor]:
        """Embed tokens.

        Parameters
        ----------
        input_ids
            Token ids, integer ``(N, L)``; the bases A, C, G, T, N are 7 to 11.
        inputs_embeds
            In place of ``input_ids``: their rows of the embedding table, ``(N, L, d_model)``, to differentiate by.
        return_dict
            Whether to return a ``BaseModelOutput`` or a plain tuple.

        Returns
        -------
        ``last_hidden_state``, shape ``(N, L, d_model)``, after the final layer norm; position i sees positions 0 to i.

        Raises
        ------
        DataError
            If the sequence is longer than the network's ``max_seq_len``.
        """
        assert (input_ids is None) != (inputs_embeds is None), "give either input_ids or inputs_embeds"
        source = input_ids if inputs_embeds is None else inputs_embeds
        assert source is not None
        self._check_length(source.shape[1])
        hidden = self.backbone(source)
        return BaseModelOutput(last_hidden_state=hidden) if return_dict else (hidden,)

    def embed_bases(self, codes: Tensor) -> Tensor:
        """Embed base indices, uint8 ``(N, L)`` with values 0 to 4, as ``(N, L, d_model)``.

        Raises
        ------
        DataError
            If the sequence is longer than the network's ``max_seq_len``.
        """
        return self.embed_bins(codes, 1, "mean")

    def embed_bins(self, codes: Tensor, bin_size: int, pooling: Pooling) -> Tensor:
        """Embed base indices and join the bases of each bin, as :func:`raygenex.embed.hyenadna.pooling.pool_bins` does.

        Without gradients, the embeddings of all bases exist for a few sequences at a time only.

        Parameters
        ----------
        codes
            Base indices, uint8 ``(N, L)`` with values 0 to 4.
        bin_size, pooling
            Bases per bin, at least 1, and how they are joined.

        Returns
        -------
        Shape ``(N, ceil(L / bin_size), d_model)``.

        Raises
        ------
        DataError
            If the sequence is longer than the network's ``max_seq_len``.
        """
        ids = codes.int() + FIRST_BASE_ID
        if not blocks.can_overwrite(self):
            return pool_bins(self(input_ids=ids).last_hidden_state, bin_size, pooling)
        self._check_length(codes.shape[1])
        return blocks.encode(self.backbone, ids, bin_size, pooling)

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding table."""
        return self.backbone.embeddings["word_embeddings"]

    def _check_length(self, length: int) -> None:
        if length > self.config.max_seq_len:
            raise DataError(
                f"a sequence of {length} bases is longer than this HyenaDNA reads, {self.config.max_seq_len}: "
                "crop it with data.window, or use weights made for longer sequences"
            )

    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=std)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=std)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, (ShortFilter, LongFilter)):
            module.reset()
        elif isinstance(module, _Block):
            # Layers that write into the residual stream start smaller the deeper the network is, as in GPT-2.
            for linear in (module.mixer.out_proj, module.mlp.fc2):
                init.normal_(linear.weight, std=std / math.sqrt(2 * self.config.n_layer))


def random_hyenadna(d_model: int, n_layer: int, max_seq_len: int, seed: int) -> HyenaDnaModel:
    """Make an untrained HyenaDNA, in inference mode; the same seed gives the same weights.

    The caller's random state is left as it was. ``max_seq_len`` is in bases.
    """
    config = HyenaDnaConfig(d_model=d_model, n_layer=n_layer, max_seq_len=max_seq_len)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also reseed every accelerator, which fork_rng(devices=[]) does not restore.
        torch.default_generator.manual_seed(seed)
        return HyenaDnaModel(config).eval()


def register() -> None:
    """Let ``AutoConfig`` and ``AutoModel`` load HyenaDNA folders with these classes, and never with remote code."""
    AutoConfig.register(HyenaDnaConfig.model_type, HyenaDnaConfig, exist_ok=True)
    AutoModel.register(HyenaDnaConfig, HyenaDnaModel, exist_ok=True)
