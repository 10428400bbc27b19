"""The versions of a registered model: which there are, which alias names which, and what their tags say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raygenex.config.run import RunConfig
from raygenex.errors import TrackingError
from raygenex.redact import redact
from raygenex.registry.history import Event, read_history
from raygenex.registry.register import CHAMPION, name_filter
from raygenex.stats import metrics, quantities
from raygenex.terminal.table import columns
from raygenex.tracking.runs import Tracker
from raygenex.tracking.store import database_file, mlflow_errors, tracking_uri

DASH = "-"
"""What tables show where nothing is known."""

TITLES = metrics.TITLES | quantities.TITLES
"""Metrics of labels and of targets as texts name them."""

_SHORT = 12

_VALID = "valid_"


@dataclass(frozen=True)
class Version:
    """A version of the registered model, as its tags describe it; None where a tag is absent."""

    version: str
    """Its number, as MLflow writes it."""
    aliases: tuple[str, ...]
    """The aliases that point at it."""
    created: str
    """When it was registered, UTC, ISO 8601."""
    run_id: str | None
    """The MLflow run that trained it."""
    parent_run: str | None
    """That run's parent, such as a benchmark."""
    run_name: str | None
    """Name of the run."""
    model_kind: str | None
    """``model.kind``."""
    config_hash: str | None
    """Hash of the configuration that trained it."""
    train_fingerprint: str | None
    """sha256 of the files that it learned from, by commas."""
    valid_fingerprint: str | None
    """sha256 of the files that it was chosen on, by commas."""
    git_commit: str | None
    """Commit when it was registered, with ``-dirty`` if there were changes."""
    metrics: dict[str, float]
    """Metrics on valid."""
    checkpoint_sha256: str | None = None
    """Of the weights and their description."""
    main_metric: str | None = None
    """Of a model of targets, which of ``metrics`` is the main one of its first target, such as ``level_pearson``."""


@dataclass(frozen=True)
class Listing:
    """All versions of a model, the newest first, and how its champions came and went."""

    name: str
    uri: str
    """The MLflow that has them, without user and password."""
    versions: tuple[Version, ...]
    history: tuple[Event, ...]

    def text(self) -> str:
        """Return a table of versions, and a line for each move of the champion."""
        if not self.versions:
            return f"{self.name} in {self.uri} has no versions"
        head = (
            "version",
            "aliases",
            "registered (UTC)",
            "run",
            "kind",
            "on valid",
            "config",
            "valid data",
            "commit",
        )
        rows = [head, *(_row(version) for version in self.versions)]
        lines = [f"{self.name} in {self.uri}", "", *columns(rows)]
        lines += ["", "champions (UTC):"]
        lines += [f"  {_event(event)}" for event in self.history] or ["  none yet"]
        return "\n".join(lines)


class Registry:
    """The registered model of a configuration, ``tracking.model_name``.

    Raises
    ------
    TrackingError
        If the store cannot be reached, or has no such model.
    """

    def __init__(self, config: RunConfig) -> None:
        self.name = config.tracking.model_name
        uri = tracking_uri(config)
        absent = f"there is no registered model {self.name} in {uri}: register a run with `raygenex register`"
        # Looking must not make a database.
        if (file := database_file(uri)) is not None and not file.exists():
            raise TrackingError(absent)
        self.tracker = Tracker(config)
        self.client: Any = self.tracker.client
        with mlflow_errors(uri):
            found = self.client.search_registered_models(name_filter(self.name))
        if not found:
            raise TrackingError(absent)

    def find(self, which: str) -> Version:
        """Return a version by its number or an alias.

        Raises
        ------
        TrackingError
            If there is no such version or alias; the message names those that there are.
        """
        versions = self.versions()
        for version in versions:
            if which == version.version or which in version.aliases:
                return version
        numbers = ", ".join(version.version for version in versions) or "none"
        aliases = ", ".join(sorted(alias for version in versions for alias in version.aliases)) or "none"
        raise TrackingError(
            f"{self.name} has no version or alias {which}: its versions are {numbers}, its aliases {aliases}"
        )

    def champion(self) -> Version | None:
        """Return the version that the alias ``champion`` points at, if there is one."""
        return next((version for version in self.versions() if CHAMPION in version.aliases), None)

    def versions(self) -> tuple[Version, ...]:
        """Return all versions, the newest first."""
        with mlflow_errors(self.tracker.uri):
            aliases = self.client.get_registered_model(self.name).aliases
            found = self.client.search_model_versions(name_filter(self.name))
        versions = (_describe(entry, aliases) for entry in found)
        return tuple(sorted(versions, key=lambda version: int(version.version), reverse=True))

    def history(self) -> tuple[Event, ...]:
        """Return how the champions came and went, the oldest first."""
        with mlflow_errors(self.tracker.uri):
            tags: Mapping[str, str] = self.client.get_registered_model(self.name).tags
        return read_history(tags)


def list_versions(config: RunConfig) -> Listing:
    """Return the versions of the registered model, and its champions so far.

    Raises
    ------
    TrackingError
        If there is no such model.
    """
    registry = Registry(config)
    return Listing(registry.name, redact(registry.tracker.uri), registry.versions(), registry.history())


def _describe(entry: Any, aliases: Mapping[str, str]) -> Version:
    tags: Mapping[str, str] = entry.tags
    number = str(entry.version)
    return Version(
        version=number,
        aliases=tuple(sorted(alias for alias, target in aliases.items() if str(target) == number)),
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        run_id=entry.run_id or None,
        parent_run=tags.get("raygenex.parent_run"),
        run_name=tags.get("raygenex.run_name"),
        model_kind=tags.get("raygenex.model_kind"),
        config_hash=tags.get("raygenex.config_hash"),
        train_fingerprint=tags.get("raygenex.train_fingerprint"),
        valid_fingerprint=tags.get("raygenex.valid_fingerprint"),
        git_commit=tags.get("raygenex.git_commit"),
        metrics={key.removeprefix(_VALID): float(value) for key, value in tags.items() if key.startswith(_VALID)},
        checkpoint_sha256=tags.get("raygenex.checkpoint_sha256"),
        main_metric=tags.get("raygenex.main_metric"),
    )


def _row(version: Version) -> tuple[str, ...]:
    commit = version.git_commit
    return (
        version.version,
        ", ".join(version.aliases) or DASH,
        _minute(version.created),
        version.run_name or DASH,
        version.model_kind or DASH,
        _main(version),
        version.config_hash or DASH,
        (version.valid_fingerprint or DASH)[:_SHORT],
        DASH if commit is None else commit[:_SHORT] + ("-dirty" if commit.endswith("-dirty") else ""),
    )


def _main(version: Version) -> str:
    """Return the main metric on valid with its name, of a model of targets that of the first."""
    name = version.main_metric or "auroc"
    if (value := version.metrics.get(name)) is None:
        return DASH
    target, _, metric = name.rpartition("_")
    return f"{target} {TITLES[metric]} {value:.4f}".strip()


def _event(event: Event) -> str:
    time = _minute(event.time)
    if event.action == "rollback":
        return f"{time}  version {event.after} again, in place of version {event.before}"
    if event.before is None:
        return f"{time}  version {event.after}, the first"
    words = [f"{time}  version {event.after} in place of version {event.before}"]
    if event.auroc is not None:
        found = event.auroc
        words.append(
            f"valid AUROC {found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f}), p {found.p_value:.2g}"
        )
    for one in event.targets:
        found = one.difference
        words.append(
            f"valid {one.target} {TITLES[one.metric]} {found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f}), "
            f"p {found.p_value:.2g}"
        )
    if event.forced:
        words.append(f"forced: {event.reason}" if event.reason else "forced")
    return ", ".join(words)


def _minute(time: str) -> str:
    """Return the date and the minute of an ISO 8601 time."""
    return time[:16].replace("T", " ")
