"""The champions of a registered model, one after the other, as tags of the model."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

PREFIX = "raygenex.champion."
"""Tags of the registered model: one for each time that the champion moved, named by its time."""


@dataclass(frozen=True)
class Difference:
    """A metric of two models on the same genes: both values, a minus b, its interval, and the two-sided p-value."""

    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class TargetDifference:
    """The main metric of a target of two models, on the genes that have a value of it."""

    target: str
    metric: str
    genes: int
    difference: Difference


@dataclass(frozen=True)
class Event:
    """One move of the alias ``champion``."""

    time: str
    """UTC, ISO 8601, to the microsecond."""
    action: Literal["promote", "rollback"]
    before: str | None
    """The version that was champion; None for the first."""
    after: str
    """The version that is champion since."""
    auroc: Difference | None = None
    """Valid AUROC of ``after`` (a) and ``before`` (b); None where nothing was compared, or targets were."""
    confidence: float | None = None
    """Coverage of the interval."""
    genes: int | None = None
    """Genes that both were scored on."""
    valid_fingerprint: str | None = None
    """sha256 of the files of these genes, by commas."""
    forced: bool = False
    """Whether the gate was passed over."""
    reason: str | None = None
    """Why it was, in the words of the command."""
    note: str | None = None
    """Why nothing could be compared, where a forced move was not."""
    targets: tuple[TargetDifference, ...] = ()
    """Of models of targets: those that both have, the one that decides first."""

    @property
    def deciding(self) -> Difference | None:
        """What decides whether the champion moves; None where nothing was compared."""
        return self.targets[0].difference if self.targets else self.auroc


def now() -> str:
    """Return the time for an event."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def behind(event: Event, history: Iterable[Event]) -> Event:
    """Return an event with a time behind all others': the clock of this machine may be late, or have jumped back."""
    last = max((datetime.fromisoformat(known.time) for known in history), default=None)
    if last is None or datetime.fromisoformat(event.time) > last:
        return event
    return replace(event, time=(last + timedelta(microseconds=1)).isoformat(timespec="microseconds"))


def tag_of(event: Event) -> tuple[str, str]:
    """Return the key and the value of an event's tag."""
    key = "".join(letter for letter in event.time.removesuffix("+00:00") if letter.isdigit())
    values = asdict(event)
    if not event.targets:
        # Older versions read the history of models of the label, too.
        del values["targets"]
    return PREFIX + key, json.dumps(values)


def read_history(tags: Mapping[str, str]) -> tuple[Event, ...]:
    """Return the events among the tags of a registered model, the oldest first."""
    return tuple(_read(value) for key, value in sorted(tags.items()) if key.startswith(PREFIX))


def _read(text: str) -> Event:
    values: dict[str, Any] = json.loads(text)
    auroc = values.pop("auroc")
    targets = tuple(
        TargetDifference(**one | {"difference": Difference(**one["difference"])}) for one in values.pop("targets", ())
    )
    return Event(**values, auroc=Difference(**auroc) if auroc else None, targets=targets)


def earlier_champion(history: Iterable[Event], champion: str) -> str | None:
    """Return the version that was champion before the present one; the history has its oldest event first.

    A rollback undoes a promotion, so that two of them go back two. Where the alias was moved without raygenex, or a
    move was recorded and then failed, the history goes on from the version that the next event found.

    Returns
    -------
    A version, or None if the history knows none before.
    """
    line: list[str] = []
    for event in history:
        if event.before is not None:
            _go_to(line, event.before)
        if event.action == "rollback":
            _go_to(line, event.after)
        else:
            line.append(event.after)
    _go_to(line, champion)
    return line[-2] if len(line) > 1 else None


def _go_to(line: list[str], version: str) -> None:
    """Make ``version`` the end of the line: back to where it stands, or behind all if it is not there."""
    while line and version in line and line[-1] != version:
        line.pop()
    if not line or line[-1] != version:
        line.append(version)
