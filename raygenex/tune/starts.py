"""What the half-life branch of a trial starts from, made once for all trials with the same half-life settings."""

from pathlib import Path

import torch
from filelock import FileLock

from raygenex.config.run import RunConfig
from raygenex.train.network.halflife_stage import identity_of, keep_start
from raygenex.train.network.halflife_start import Start, make_start, read_start, start_identity
from raygenex.tune.shared import Shared, trial_halflife

STARTS = "halflife_encoders"


def trial_start(shared: Shared, config: RunConfig, device: torch.device) -> Start | None:
    """Return what the half-life branch of a trial starts from: the common start, or one of its own, made once."""
    if shared.start is not None:
        return shared.start
    folder = start_folder(shared, config, device)
    return read_start(folder) if folder else None


def start_folder(shared: Shared, config: RunConfig, device: torch.device) -> Path | None:
    """Return the folder of what the half-life branch of a trial starts from, made by the first trial that needs it."""
    identity = start_identity(config, shared.inputs.fingerprints["train"])
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
