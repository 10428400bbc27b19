"""What a run's folder remembers between processes: what it is a run of, its MLflow run, and whether it finished."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from raygenex.errors import CheckpointError
from raygenex.files.json_file import load_json
from raygenex.files.whole import replace_text

STATE_FILE = "run.json"


class RunState(BaseModel):
    """The memory of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str
    run_id: str
    finished: bool
    trained: bool = False
    """Whether the checkpoint is in place; a run is finished when MLflow has everything too."""


def read_state(folder: Path) -> RunState | None:
    """Read a run's state; None if nothing was started there.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    path = folder / STATE_FILE
    try:
        return RunState.model_validate(load_json(path))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError):
        raise CheckpointError(f"{path} is damaged: pass --force to start this run again") from None


def write_state(folder: Path, state: RunState) -> None:
    """Write a run's state aside and rename it into place."""
    replace_text(folder / STATE_FILE, state.model_dump_json(indent=2) + "\n")


def known_state(folder: Path, identity: str) -> RunState | None:
    """Return the state of an earlier run of the same settings and data in a folder; None if nothing was started there.

    Raises
    ------
    CheckpointError
        If the folder holds a run of something else.
    """
    state = read_state(folder)
    if state is not None and state.identity != identity:
        raise CheckpointError(
            f"{folder} holds a {'finished' if state.finished else 'started'} run with other settings or data: "
            "give this one another name, or pass --force to replace it"
        )
    return state
