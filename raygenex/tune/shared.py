"""What all trials of a study read, computed once and shared through Ray's object store."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from raygenex.cluster.torch_process import prepare_process
from raygenex.config.run import RunConfig
from raygenex.data.opening import SplitData
from raygenex.data.rows import Columns, Rows
from raygenex.errors import ClusterError
from raygenex.terminal.progress import progress
from raygenex.train.checkpoint import CheckpointInfo, InputInfo
from raygenex.train.inputs import Inputs
from raygenex.train.network.halflife_stage import identity_of, keep_start
from raygenex.train.network.halflife_start import Start, make_start, read_start, start_identity
from raygenex.train.shard import COLUMNS, hold
from raygenex.train.tables.table import read_parts
from raygenex.tune.space import Space

STARTS = "halflife_encoders"

# Share of a node's object store that the genes may take: results and the code of trials are in it too.
STORE_SHARE = 0.8
# Genes that models are timed on.
SAMPLE = 512
# Of the largest sample of embeddings that are made up, in float32.
SAMPLE_BYTES = 2**28


@dataclass(frozen=True)
class Shared:
    """Everything that trials have in common."""

    space: Space
    info: CheckpointInfo
    """Of a model of the study, to be completed."""
    columns: dict[str, dict[str, NDArray[Any]]]
    """By split: ``sequence``, ``halflife`` and ``label`` of all genes; empty if trials read through Ray Data."""
    sample: dict[str, NDArray[Any]]
    """The same of the first genes of valid, on which models are timed."""
    inputs: Inputs
    splits: dict[str, SplitData]
    start: Start | None
    """What the half-life branch starts from, if it is the same in every trial."""
    folder: Path
    """Of the study."""


def read_columns(tables: dict[str, Rows]) -> dict[str, dict[str, NDArray[Any]]]:
    """Read the genes of every split into memory.

    Returns
    -------
    By split: ``sequence`` (base indices ``(N, window)`` or embeddings ``(N, bins, channels)``), ``halflife``
    ``(N, features)`` and ``label`` ``(N,)``.
    """
    with progress("reading genes", sum(rows.count for rows in tables.values())) as advance:

        def shown(parts: Iterable[Columns]) -> Iterator[Columns]:
            for part in parts:
                yield part
                advance(len(part["label"]), "")

        return {split: hold(shown(read_parts(rows)), rows.count) for split, rows in tables.items()}


def read_sample(rows: Rows, embedded: InputInfo | None = None) -> dict[str, NDArray[Any]]:
    """Read the genes that models are timed on.

    Parameters
    ----------
    rows
        The genes.
    embedded
        What the models read, if a backbone embeds the bases within them: it is not counted, and no number's value
        changes the time, so random embeddings take the place of the bases.
    """
    count = min(SAMPLE, rows.count)
    parts = [piece.read() for piece in rows.pieces(0, count, count)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    if embedded is None:
        return found
    few = max(1, min(count, SAMPLE_BYTES // (embedded.length * embedded.channels * 4)))
    shape = (few, embedded.length, embedded.channels)
    made = np.random.default_rng(0).standard_normal(shape, dtype=np.float32).astype(np.float16)
    return {name: column[:few] for name, column in found.items()} | {"sequence": made}


def fits_in_store(tables: dict[str, Rows], row_bytes: int) -> None:
    """Refuse genes that the object store of some node cannot hold.

    Raises
    ------
    ClusterError
        If they are too many; the sentence names what they take, what there is, and the keys to change.
    """
    import ray

    needed = sum(rows.count for rows in tables.values()) * row_bytes
    stores = [node["Resources"].get("object_store_memory", 0.0) for node in ray.nodes() if node["Alive"]]
    if needed > STORE_SHARE * min(stores):
        raise ClusterError(
            f"the genes of the study take {needed / 2**30:.1f} GiB of every node's object store, and the smallest has "
            f"{min(stores) / 2**30:.1f} GiB: raise cluster.object_store_gib, raise embed.bin_size, or set "
            "train.workers to 2 or more, which read their shares through Ray Data"
        )


def common_start(space: Space, sources: list[str]) -> str | None:
    """Return the identity of the half-life start if all trials have the same one, otherwise None."""
    config = space.config
    searched = [key for key in space.keys if key.split(".")[0] == "halflife" or key == "model.kind"]
    if any(key not in ("halflife.finetune", "halflife.beside") for key in searched):
        return None
    return start_identity(config, sources)


def trial_halflife(shared: Shared) -> torch.Tensor:
    """Return the half-life features of the training genes, shape ``(N, features)``."""
    return torch.from_numpy(shared.inputs.features)


def make_common(config: RunConfig, halflife: torch.Tensor) -> Start:
    """Make the start of every trial, as a task of the cluster: where trials have a GPU, on one."""
    prepare_process(config.train.cpus_per_worker)
    return make_start(config, halflife, device="cuda" if config.train.use_gpu else "cpu")


def trial_start(shared: Shared, config: RunConfig, device: torch.device) -> Start | None:
    """Return what the half-life branch of a trial starts from: the common start, or one of its own, made once."""
    if shared.start is not None:
        return shared.start
    folder = start_folder(shared, config, device)
    return read_start(folder) if folder else None


def start_folder(shared: Shared, config: RunConfig, device: torch.device) -> Path | None:
    """Return the folder of what the half-life branch of a trial starts from, made by the first trial that needs it."""
    identity = start_identity(config, shared.inputs.feature_sources)
    if identity is None:
        return None
    folder = shared.folder / STARTS / identity
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Another trial with the same settings may be making it.
    with FileLock(folder.with_name(f".{identity}.lock")):
        if identity_of(folder) != identity:
            history: list[dict[str, float]] = []
            start = shared.start or make_start(config, trial_halflife(shared), history.append, str(device))
            keep_start(start, folder, identity, config, history)
    return folder
