"""HyenaDNA weights: read the published formats, write safetensors, and name a set of weights by its hash.

Two formats hold the same tensors under different names. Both are brought to the names of :class:`HyenaDnaModel`, so
that one set of weights has one hash. Nothing here runs code from a checkpoint.
"""

import hashlib
import inspect
import os
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from raygenex.config.embed import HyenaBackbone
from raygenex.embed.hyenadna.ckpt import check_stored, infer_sizes, read_ckpt
from raygenex.embed.hyenadna.model import HyenaDnaConfig, HyenaDnaModel, random_hyenadna
from raygenex.errors import CheckpointError
from raygenex.files.json_file import load_json
from raygenex.files.whole import whole_folder

_CONFIG, _SAFETENSORS, _CKPT = "config.json", "model.safetensors", "weights.ckpt"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BACKBONE_KEY = re.compile(r"(?:model\.|hyena\.)?(backbone\..+)")
# The published models share one sine between all layers of the filter's network; some files repeat its parameter.
_REPEATED_SINE = re.compile(r"implicit_filter\.(?!1\.)\d+\.freq$")
# HazyResearch's config.json keeps the operator's settings in a section of its own, partly under other names.
_LAYER_NAMES = {"l_max": "max_seq_len", "order": "hyena_order", "w": "activation_freq"}
_SETTINGS = {
    name: parameter.default
    for name, parameter in inspect.signature(HyenaDnaConfig.__init__).parameters.items()
    if name not in {"self", "kwargs", "pad_token_id"}
}
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_NAMED_AT_MOST = 3
# A network is made from its settings before its tensors are looked for.
_MOST_LAYERS = 1000
_LARGEST = 10**8


def build_backbone(config: HyenaBackbone, window: int) -> HyenaDnaModel:
    """Make the backbone that a run configuration asks for, float32, on the CPU, in inference mode.

    Parameters
    ----------
    config
        Weights to load; without them the sizes and the seed of a random initialisation.
    window
        Bases that the network must be able to read.

    Raises
    ------
    CheckpointError
        If the weights cannot be loaded or were made for sequences shorter than ``window``.
    """
    if config.weights is None:
        # Two positions more than bases, as in the published models: room for a token at either end.
        return random_hyenadna(config.d_model, config.n_layer, window + 2, config.seed)
    model = load_backbone(config.weights, config.revision)
    if window > model.config.max_seq_len:
        raise CheckpointError(
            f"weights {config.weights} read at most {model.config.max_seq_len} bases but the window is {window}: "
            "set data.window, or use weights made for longer sequences"
        )
    return model


def load_backbone(weights: str, revision: str | None) -> HyenaDnaModel:
    """Load a pretrained HyenaDNA as float32, on the CPU, in inference mode.

    Parameters
    ----------
    weights
        One of: a folder with ``config.json`` and ``model.safetensors`` (``LongSafari/hyenadna-*-hf``, or saved by
        :func:`save_backbone`); a folder with HazyResearch's ``weights.ckpt``, with or without ``config.json``; such a
        ``.ckpt`` file; the hub id of a repository of the first kind.
    revision
        The commit, 40 hex digits, of a hub repository; None for local weights.

    Raises
    ------
    CheckpointError
        If the weights are absent, damaged, of another network, or would run code when loaded.
    """
    path = Path(os.path.expanduser(weights))
    if revision is not None:
        if path.exists():
            raise CheckpointError(f"weights {weights} are local and have no revision: remove backbone.revision")
        return _load_folder(_download(weights, revision), f"weights {weights}")
    if path.is_dir():
        return _load_folder(path, f"weights {weights}")
    if path.is_file():
        if path.suffix != ".ckpt":
            raise CheckpointError(f"weights {weights} are not a .ckpt file: give one, or the folder of {_SAFETENSORS}")
        return _load_ckpt(path, {}, f"weights {weights}")
    if _HUB_ID.fullmatch(weights):
        raise CheckpointError(
            f"weights {weights} do not exist here, and as a hub id they need backbone.revision, the commit to use, "
            "because the files behind a name alone can change"
        )
    raise CheckpointError(f"weights {weights} do not exist: give a folder, a .ckpt file, or a hub id with a revision")


def save_backbone(model: HyenaDnaModel, folder: str | Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` in the layout of the published ``-hf`` folders.

    Raises
    ------
    CheckpointError
        If ``folder`` is a file.
    """
    if Path(folder).is_file():
        raise CheckpointError(f"weights cannot be saved to {folder}: it is a file, so name a folder")
    with whole_folder(Path(folder)) as aside:
        # What model.save_pretrained writes, without its progress bar on stderr.
        model.config.save_pretrained(aside)
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, aside / _SAFETENSORS, metadata={"format": "pt"})


def weights_sha256(model: HyenaDnaModel) -> str:
    """Return the sha256, 64 hex digits, of all tensors: names, shapes, number formats and bytes, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _download(hub_id: str, revision: str) -> Path:
    if not _COMMIT.fullmatch(revision):
        raise CheckpointError(
            f"revision {revision!r} of weights {hub_id} is not a commit of 40 hex digits: give the commit, because "
            "a branch or a tag can move"
        )
    try:
        for name in (_CONFIG, _SAFETENSORS):
            path = hf_hub_download(hub_id, name, revision=revision)
    except (OSError, EntryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"{name} of weights {hub_id} at revision {revision} is neither in the local cache nor to be had from the "
            f"hub ({type(error).__name__}): check id, revision and network, or give a local folder"
        ) from error
    return Path(path).parent


def _load_folder(folder: Path, where: str) -> HyenaDnaModel:
    if (folder / _SAFETENSORS).is_file():
        settings = _read_settings(folder / _CONFIG, where, published=True)
        try:
            tensors = load_file(folder / _SAFETENSORS)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{where}: {_SAFETENSORS} is damaged or incomplete ({error}): fetch it again"
            ) from None
        return _assemble(settings, _backbone_tensors(tensors, where), where)
    if (folder / _CKPT).is_file():
        described = (folder / _CONFIG).is_file()
        settings = _read_settings(folder / _CONFIG, where, published=False) if described else {}
        return _load_ckpt(folder / _CKPT, settings, where)
    raise CheckpointError(
        f"{where} hold neither {_SAFETENSORS} nor {_CKPT}: convert other formats to {_SAFETENSORS}, no others are read"
    )


def _load_ckpt(path: Path, settings: dict[str, Any], where: str) -> HyenaDnaModel:
    tensors = _backbone_tensors(read_ckpt(path, where), where)
    check_stored(tensors, path, where)
    sizes = infer_sizes(tensors, where)
    if "vocab_size" in settings:
        del sizes["pad_vocab_size_multiple"]
    return _assemble({**sizes, **settings}, tensors, where)


def _read_settings(path: Path, where: str, published: bool) -> dict[str, Any]:
    """Read the known settings of a config.json; ``published`` ones must say that they are of a HyenaDNA."""
    try:
        values = load_json(path)
    except FileNotFoundError:
        raise CheckpointError(
            f"{where} have no {_CONFIG}: put the one that came with the weights beside them"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{where}: {_CONFIG} is not readable JSON ({error}): fetch it again") from None
    if not isinstance(values, dict):
        raise CheckpointError(
            f"{where}: {_CONFIG} is a {type(values).__name__}, not an object of settings: fetch it again"
        )
    kind = values.get("model_type", None if published else HyenaDnaConfig.model_type)
    if kind != HyenaDnaConfig.model_type:
        raise CheckpointError(f"{where}: {_CONFIG} has model_type {kind!r}, not 'hyenadna': give HyenaDNA weights")
    layer = values["layer"] if isinstance(values.get("layer"), dict) else {}
    values = {_LAYER_NAMES.get(name, name): value for name, value in layer.items()} | values
    settings = {name: values[name] for name in _SETTINGS if name in values}
    for name, value in settings.items():
        if problem := _problem(name, value):
            raise CheckpointError(
                f"{where}: {_CONFIG} gives {name} as {value!r}, which is not {problem}: fetch it again"
            )
    if settings.get("hyena_order", 2) != 2:
        raise CheckpointError(
            f"{where}: {_CONFIG} gives hyena_order as {settings['hyena_order']}, but only 2 is supported"
        )
    return settings


def _problem(name: str, value: object) -> str | None:
    """Say what a setting should be, if ``value`` is not that."""
    default = _SETTINGS[name]
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name.endswith("dropout"):
        return None if isinstance(value, int | float) and number and 0 <= value <= 1 else "a number from 0 to 1"
    if isinstance(default, float):
        return None if number else "a number"
    if default is None and value is None:
        return None
    most = _MOST_LAYERS if name in ("n_layer", "num_inner_mlps") else _LARGEST
    if not (number and isinstance(value, int) and value >= 1):
        return "a positive whole number"
    return None if value <= most else f"at most {most}"


def _backbone_tensors(state: dict[Any, Any], where: str) -> dict[str, Tensor]:
    """Pick the backbone's tensors under the model's names; heads and the training loop's own state stay behind."""
    tensors = {}
    for key, value in state.items():
        if isinstance(value, Tensor) and (match := _BACKBONE_KEY.fullmatch(str(key))):
            # Checkpoints trained with recomputed activations wrap both halves of a block once more.
            name = match[1].replace(".mixer.layer.", ".mixer.").replace(".mlp.layer.", ".mlp.")
            if not _REPEATED_SINE.search(name):
                tensors[name] = value
    if not tensors:
        raise CheckpointError(f"{where} hold no tensors of a HyenaDNA backbone: give HyenaDNA weights")
    return tensors


def _assemble(settings: dict[str, Any], tensors: dict[str, Tensor], where: str) -> HyenaDnaModel:
    # Without storage and without random numbers: every parameter and buffer comes from the checkpoint.
    try:
        with torch.device("meta"):
            model = HyenaDnaModel(HyenaDnaConfig(**settings))
    except (ValueError, TypeError, RuntimeError, OverflowError, ZeroDivisionError) as error:
        raise CheckpointError(f"{where}: {_CONFIG} describes no network ({error}): fetch it again") from None
    expected = model.state_dict()
    if missing := [name for name in expected if name not in tensors]:
        raise CheckpointError(
            f"{where} lack {_first(missing)}: fetch them again, with the {_CONFIG} that belongs to them"
        )
    if unexpected := [name for name in tensors if name not in expected]:
        raise CheckpointError(
            f"{where} hold {_first(unexpected)}, unknown to a HyenaDNA of these sizes: check {_CONFIG}"
        )
    for name, tensor in expected.items():
        if tensors[name].dtype not in _FLOATS:
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{where}: tensor {name} is of type {kind}, and weights are floating-point numbers: give the weights "
                "before they were converted"
            )
        if tensor.shape != tensors[name].shape:
            raise CheckpointError(
                f"{where}: tensor {name} has shape {tuple(tensors[name].shape)} but {_CONFIG} asks for "
                f"{tuple(tensor.shape)}: use the {_CONFIG} that belongs to these weights"
            )
    # Copies, because tensors from a safetensors file are views of the file.
    model.load_state_dict({name: tensors[name].to(torch.float32, copy=True) for name in expected}, assign=True)
    return model.eval()


def _first(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return f"the tensor{'s' if len(names) > 1 else ''} {', '.join(names[:_NAMED_AT_MOST])}{more}"
