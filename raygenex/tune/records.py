"""What a study remembers between processes: one small file per trial, written after every epoch."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raygenex.config.tune import SCORES
from raygenex.errors import CheckpointError
from raygenex.files.whole import replace_text

STUDY = "study.json"
TRIALS = "trials"

State = Literal["running", "finished", "stopped", "failed"]


class TrialRecord(BaseModel):
    """A trial: what it tried, how far it came, and why it ended."""

    model_config = ConfigDict(extra="forbid")

    number: int
    params: dict[str, Any]
    """The searched keys, encoded as in `raygenex.tune.space`."""
    state: State = "running"
    reason: str = ""
    history: list[dict[str, float]] = Field(default_factory=list)
    """Numbers of every epoch, as `raygenex train` has them."""
    values: dict[str, float] = Field(default_factory=dict)
    """What the trial is judged by."""
    training_s: float = 0.0
    """Seconds inside the training of epochs, and of the half-life encoder where the trial has its own."""
    wall_s: float = 0.0
    """Seconds from the moment its place was free to its last result."""
    lost: int = 0
    """Processes or nodes that went away under it."""

    @property
    def ended(self) -> bool:
        """Whether it needs no more work."""
        return self.state != "running"

    @property
    def scored(self) -> bool:
        """Whether it can be compared: a trial that was stopped early counts with the best it had."""
        return self.state in ("finished", "stopped")

    @property
    def score(self) -> float:
        """The best valid AUROC it had, or valid score of targets."""
        return next(self.values[name] for name in SCORES if name in self.values)


class StudyState(BaseModel):
    """What the trials have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str
    run_id: str
    wall_s: float = 0.0
    """Seconds of searching, over all processes that took part."""


class Ledger:
    """The memory of a study, in the study's folder; one process writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[int, TrialRecord] = {}

    def read(self) -> StudyState | None:
        """Read the study and all its trials; None if none was begun.

        Raises
        ------
        CheckpointError
            If a file is damaged.
        """
        path = self.folder / STUDY
        if not path.exists():
            return None
        state: StudyState = _read(StudyState, path)
        for path in sorted((self.folder / TRIALS).glob("*.json")):
            record: TrialRecord = _read(TrialRecord, path)
            self.records[record.number] = record
        return state

    def begin(self, state: StudyState) -> None:
        """Write what the trials have in common."""
        (self.folder / TRIALS).mkdir(parents=True, exist_ok=True)
        _write(state, self.folder / STUDY)

    def keep(self, record: TrialRecord) -> None:
        """Write a trial."""
        self.records[record.number] = record
        _write(record, self.folder / TRIALS / f"{record.number:04d}.json")

    def trial_folder(self, number: int) -> Path:
        """Return the folder that a running trial may write."""
        return self.folder / TRIALS / f"{number:04d}"

    @property
    def ended(self) -> list[TrialRecord]:
        """The trials that need no more work, in order."""
        return [self.records[number] for number in sorted(self.records) if self.records[number].ended]

    @property
    def scored(self) -> list[TrialRecord]:
        """The trials that can be compared, in order."""
        return [record for record in self.ended if record.scored]


def _read(kind: type[Any], path: Path) -> Any:
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        raise CheckpointError(f"{path} is damaged: restore it, or pass --force to begin the study again") from None


def _write(what: BaseModel, path: Path) -> None:
    replace_text(path, what.model_dump_json(indent=1) + "\n")
