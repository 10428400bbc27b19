"""HazyResearch's ``.ckpt`` files: tensors from a pickle, read without running code, in as much memory as the file."""

import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raygenex.embed.hyenadna.model import HyenaDnaConfig
from raygenex.errors import CheckpointError

_LAYER_KEY = re.compile(r"backbone\.layers\.(\d+)\.")
# A refused object is an UnpicklingError; flipped bytes surface as nearly anything.
_DAMAGED = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
)


def read_ckpt(path: Path, where: str) -> dict[Any, Any]:
    """Read the state of a ``.ckpt`` file; what is no dictionary is an empty one.

    Parameters
    ----------
    path
        The file.
    where
        What it is, for errors.

    Raises
    ------
    CheckpointError
        If it is damaged, holds Python objects or is compressed.
    """
    try:
        _refuse_inflated(path, where)
        with warnings.catch_warnings():
            # What torch says of other formats is for those who write them.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except _DAMAGED:
        raise CheckpointError(
            f"{where}: {path.name} is damaged, or holds Python objects, which are refused because loading them can run "
            "code: fetch it again, or convert its tensors to model.safetensors"
        ) from None
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    return state if isinstance(state, dict) else {}


def check_stored(tensors: dict[str, Tensor], path: Path, where: str) -> None:
    """Refuse tensors that are not plain arrays of numbers, each of its own, in their file.

    Parameters
    ----------
    tensors
        By their names.
    path
        The file that they are from.
    where
        What it is, for errors.

    Raises
    ------
    CheckpointError
        If one is of another kind, or all of them are more than the file holds.
    """
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_nested or tensor.is_quantized:
            raise CheckpointError(
                f"{where}: tensor {name} is sparse, nested, quantized or without values: convert it to a plain one"
            )
    # Values may be repeated by a stride of 0: a few bytes then claim any memory.
    claimed, size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()), path.stat().st_size
    if claimed > size:
        raise CheckpointError(
            f"{where}: the tensors claim {claimed} bytes, more than the file has ({size}): save contiguous ones, each "
            "of its own"
        )


def infer_sizes(tensors: dict[str, Tensor], where: str) -> dict[str, Any]:
    """Read off the tensors' shapes what a config.json would say.

    Parameters
    ----------
    tensors
        The backbone's, under the names of the model.
    where
        What they are, for errors.

    Raises
    ------
    CheckpointError
        If they are not of a HyenaDNA.
    """
    block = "backbone.layers.0."
    network = f"{block}mixer.filter_fn.implicit_filter."
    try:
        rows, d_model = tensors["backbone.embeddings.word_embeddings.weight"].shape
        _, max_seq_len, emb_dim = tensors[f"{block}mixer.filter_fn.pos_emb.z"].shape
        default = HyenaDnaConfig()
        padded = rows == default.embedding_rows
        return {
            "vocab_size": default.vocab_size if padded else rows,
            "pad_vocab_size_multiple": default.pad_vocab_size_multiple if padded else 1,
            "d_model": d_model,
            "d_inner": tensors[f"{block}mlp.fc1.weight"].shape[0],
            "n_layer": len({match[1] for name in tensors if (match := _LAYER_KEY.match(name))}),
            "max_seq_len": max_seq_len,
            "emb_dim": emb_dim,
            "filter_order": tensors[f"{network}0.weight"].shape[0],
            "num_inner_mlps": sum(name.startswith(network) and name.endswith(".weight") for name in tensors) - 2,
            "short_filter_order": tensors[f"{block}mixer.short_filter.weight"].shape[-1],
            "train_freq": f"{network}1.freq" in tensors,
        }
    except KeyError as error:
        raise CheckpointError(f"{where} lack the tensor {error.args[0]}: fetch them again") from None
    except ValueError:
        raise CheckpointError(f"{where} hold tensors that are not of a HyenaDNA: give HyenaDNA weights") from None


def _refuse_inflated(path: Path, where: str) -> None:
    """Refuse an archive that unpacks to more than its own size: those of PyTorch are not compressed."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise CheckpointError(f"{where}: {path.name} is a compressed archive: save it again with torch.save")
