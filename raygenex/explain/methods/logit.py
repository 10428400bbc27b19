"""The logit of a checkpoint as a function of bases: exact for base indices, differentiable for soft one-hot.

Of a model of targets, what is called the logit here is `raygenex.train.targets.TargetInfo.additive` of one of them.

One-hot is floating point ``(N, L, 4)`` in the order A, C, G, T; an unknown base is all zeros, with every model. Into
HyenaDNA a row enters as the mixture of token embeddings that it describes, what its four numbers lack to 1 being token
N, so that all zeros is an unknown base there too.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from raygenex.embed.hyenadna.model import FIRST_BASE_ID
from raygenex.embed.hyenadna.pooling import pool_bins
from raygenex.embed.inference import embed_sequences
from raygenex.explain.methods.fixed_dna import fix_dna
from raygenex.explain.target import explained_target
from raygenex.models.base import ExpressionModel
from raygenex.models.cnn import Cnn
from raygenex.models.lstm import Lstm
from raygenex.models.tabular import TabularModel
from raygenex.predict.predictor import Predictor
from raygenex.sequence import UNKNOWN
from raygenex.train.targets import outputs_of

EVEN = 5
"""Beside the base indices 0 to 4: all four bases in equal parts, a row of quarters."""
_ROWS = torch.tensor([*torch.eye(4).tolist(), [0.0] * 4, [0.25] * 4])
# Bases of one pass that counts k-mers: it is arithmetic on whole arrays, slow in small pieces.
_TABLE_BASES = 2**21
# Features that join one gene's DNA at a time: the positions that they reach are few.
_HALFLIFE_ROWS = 256


def soft_one_hot(codes: NDArray[np.uint8]) -> Tensor:
    """Return the rows of base indices ``(..., L)``, 0 to 4 or `EVEN`, as float32 ``(..., L, 4)`` on the CPU."""
    return _ROWS[torch.from_numpy(np.asarray(codes, dtype=np.int64))]


class LogitFunction:
    """The logit of a checkpoint, and what lies on the way to it, in passes of ``batch_size`` sequences.

    Of a model of targets it is that of the one that ``target`` names, None being the first. The networks are used in
    evaluation mode with frozen weights, whatever state they are in; it is put back after every call.
    """

    def __init__(self, predictor: Predictor, batch_size: int = 16, target: str | None = None) -> None:
        self.predictor = predictor
        self.batch_size = batch_size
        self.target = explained_target(predictor.info, target)
        self.device = torch.device(predictor.device)
        self.kind = predictor.info.run_config.model.kind
        self.embeds = predictor.info.inputs.kind == "embedding" and predictor.info.reads_dna
        if self.embeds:
            # Weights made in inference mode could not serve a backward pass.
            with torch.inference_mode(False):
                predictor.load_backbone()

    @property
    def model(self) -> ExpressionModel:
        """The model on top of bases or embeddings."""
        return self.predictor.model

    @property
    def window(self) -> int:
        """Bases of a promoter; 0 for a model that reads none."""
        return self.predictor.info.inputs.window if self.predictor.info.reads_dna else 0

    @property
    def dense_width(self) -> int:
        """Width of the first dense layer; 0 for a model that has none before its logit."""
        layer = self._first_dense
        return layer.out_features if layer is not None else 0

    @property
    def _first_dense(self) -> nn.Linear | None:
        dense = getattr(self.model, "dense", None)
        return dense[0] if dense is not None and len(dense) > 1 else None

    # Differentiable

    def one_hot(self, codes: NDArray[np.uint8]) -> Tensor:
        """Return base indices ``(N, L)`` as one-hot, float32 ``(N, L, 4)`` on the model's device."""
        return soft_one_hot(codes).to(self.device)

    def logits(self, one_hot: Tensor, halflife: NDArray[Any]) -> Tensor:
        """Return the logits of one batch as a differentiable function of its bases.

        Embeddings are not rounded to the number format of the store here, since rounding has no gradient, and never
        lowered to bfloat16. Rounding to float16 moved the logits of random genes by at most 6e-6, where they spread by
        3e-4 to 4e-4, with random HyenaDNAs of 1 and 2 layers; trained weights move and spread them more.

        Parameters
        ----------
        one_hot
            Shape ``(N, L, 4)``, floating point, on the model's device; it may require a gradient.
        halflife
            Features in their own units, shape ``(N, 8)``.

        Returns
        -------
        Shape ``(N,)``, with a graph to ``one_hot`` where gradients are enabled.
        """
        with self.frozen(), self._rnn_gradients():
            sequence = self._embed(one_hot) if self.embeds else one_hot
            return self.one_number(self.model(sequence, self.features(halflife).to(one_hot.dtype)))

    def _embed(self, one_hot: Tensor) -> Tensor:
        backbone, settings = self.predictor.backbone, self.predictor.settings
        table = backbone.get_input_embeddings().weight[FIRST_BASE_ID : FIRST_BASE_ID + UNKNOWN + 1]
        rest = 1 - one_hot.sum(dim=-1, keepdim=True)
        embedded = torch.cat([one_hot, rest], dim=-1) @ table.to(one_hot.dtype)
        hidden = backbone(inputs_embeds=embedded).last_hidden_state
        return pool_bins(hidden, settings["bin_size"], settings["pooling"])

    def gradient(self, one_hot: Tensor, halflife: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Return the logits of one batch, ``(N,)``, and their plain gradients, both detached, ``(N, L, 4)``."""
        with torch.inference_mode(False), torch.enable_grad():
            # A copy: what the caller made in inference mode cannot take part in a backward pass.
            soft = one_hot.clone().detach().requires_grad_()
            logits = self.logits(soft, halflife)
            (gradient,) = torch.autograd.grad(logits.sum(), soft)
        return logits.detach(), gradient

    # Exact

    def inputs(self, codes: NDArray[np.uint8]) -> NDArray[Any]:
        """Return what the model reads of base indices ``(N, L)``: themselves, or embeddings as they are stored."""
        if not self.embeds:
            return codes
        backbone, settings = self.predictor.backbone, self.predictor.settings
        with self.frozen():
            return embed_sequences(backbone, codes, settings, self.predictor.device, self.batch_size)

    def logits_of_codes(self, codes: NDArray[np.uint8], halflife: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logits of base indices exactly as prediction computes them, for every kind of model.

        Parameters
        ----------
        codes
            Base indices, uint8 ``(N, L)``; passed over by a model that reads no DNA.
        halflife
            Features in their own units, shape ``(N, 8)``.

        Returns
        -------
        Shape ``(N,)``, float64.
        """
        return self._by_batches(codes, halflife)

    def logits_of_halflives(self, codes: NDArray[np.uint8], halflife: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logits of each gene's DNA with many half-life features, for which the DNA is worked through once.

        ``codes`` are as in `logits_of_codes`, ``halflife`` has shape ``(N, K, F)``, and the logits ``(N, K)``.
        """
        found = np.empty(halflife.shape[:2])
        rows = max(_HALFLIFE_ROWS, self.batch_size) if isinstance(self.model, (Cnn, Lstm)) else self.forward_rows
        for start in range(0, len(codes), self.batch_size):
            inputs = self.inputs(codes[start : start + self.batch_size])
            with torch.inference_mode(), self.frozen():
                for gene in range(len(inputs)):
                    score = fix_dna(self.model, torch.from_numpy(np.array(inputs[gene : gene + 1])).to(self.device))
                    for first in range(0, halflife.shape[1], rows):
                        some = slice(first, first + rows)
                        logits = self.one_number(score(self.features(halflife[start + gene, some])))
                        found[start + gene, some] = logits.double().cpu().numpy()
        return found

    def dense_features(self, codes: NDArray[np.uint8], halflife: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the first dense layer gives, before its activation, shape ``(N, dense_width)``."""
        return self.logits_and_dense(codes, halflife)[1]

    def logits_and_dense(
        self, codes: NDArray[np.uint8], halflife: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return `logits_of_codes` and `dense_features` of one pass."""
        found: list[Tensor] = []
        layer = self._first_dense
        if layer is None:
            return self.logits_of_codes(codes, halflife), np.empty((len(codes), 0), dtype=np.float32)
        hook = layer.register_forward_hook(lambda _, given, out: found.append(out.float().cpu()))
        try:
            logits = self._by_batches(codes, halflife)
        finally:
            hook.remove()
        return logits, torch.cat([torch.empty(0, self.dense_width), *found]).numpy()

    def _by_batches(self, codes: NDArray[np.uint8], halflife: NDArray[Any]) -> NDArray[np.float64]:
        # Embeddings of a batch at a time: a base of them is as large as a thousand base indices.
        parts = [np.empty(0)]
        step = self.forward_rows
        for start in range(0, len(codes), step):
            batch = slice(start, start + step)
            parts.append(self.logits_of_inputs(self.inputs(codes[batch]), halflife[batch]))
        return np.concatenate(parts)

    @property
    def forward_rows(self) -> int:
        """Sequences that are scored at a time: more than ``batch_size`` for a model of k-mers."""
        if isinstance(self.model, TabularModel):
            return max(self.batch_size, _TABLE_BASES // max(1, self.window))
        return self.batch_size

    def logits_of_inputs(self, inputs: NDArray[Any], halflife: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logits of what `inputs` gives."""
        parts = [np.empty(0)]
        step = self.forward_rows
        with torch.inference_mode(), self.frozen():
            for start in range(0, len(inputs), step):
                batch = slice(start, start + step)
                sequence = torch.from_numpy(np.array(inputs[batch])).to(self.device)
                logits = self.one_number(self.model(sequence, self.features(halflife[batch])))
                parts.append(logits.double().cpu().numpy())
        return np.concatenate(parts)

    # State

    @property
    def spread(self) -> float:
        """How large the differences are that count, beside those of logits: the target's standard deviation."""
        return self.target.scale if self.target is not None else 1.0

    def one_number(self, outputs: Tensor) -> Tensor:
        """Return what is explained, ``(N,)``, of what the model gives, ``(N,)`` or ``(N, outputs)``."""
        if self.target is None:
            return outputs
        targets = self.predictor.info.targets
        place = outputs_of(targets)[targets.index(self.target)]
        # A mean that is large beside the spread would lose the spread's digits in float32.
        number: Tensor = self.target.additive(outputs.reshape(len(outputs), -1)[:, place].double())
        return number

    def features(self, halflife: NDArray[Any]) -> Tensor:
        """Return half-life features as float32 on the model's device."""
        return torch.from_numpy(np.array(halflife, dtype=np.float32)).to(self.device)

    def _rnn_gradients(self) -> Any:
        # cuDNN's LSTM has a backward pass in training mode alone.
        return torch.backends.cudnn.flags(enabled=False) if isinstance(self.model, Lstm) else nullcontext()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the networks in evaluation mode with frozen weights, and put their state back afterwards."""
        networks = [network for network in (self.model, self.predictor.backbone) if network is not None]
        modes = [(module, module.training) for network in networks for module in network.modules()]
        learning = [(weight, weight.requires_grad) for network in networks for weight in network.parameters()]
        set_state([(module, False) for module, _ in modes], [(weight, False) for weight, _ in learning])
        try:
            yield
        finally:
            set_state(modes, learning)


def set_state(modes: list[tuple[nn.Module, bool]], learning: list[tuple[nn.Parameter, bool]]) -> None:
    """Set the training mode of modules and whether weights learn, each where it differs."""
    for module, mode in modes:
        module.training = mode
    for weight, learns in learning:
        if weight.requires_grad != learns:
            weight.requires_grad_(learns)
