"""The gate before the alias ``champion``, and the way back."""

import logging
from dataclasses import dataclass, replace

from raygenex.config.run import RunConfig
from raygenex.errors import ClusterError, ConfigError, RaygenexError, TrackingError
from raygenex.predict.predictor import Predictor
from raygenex.registry.history import (
    Difference,
    Event,
    TargetDifference,
    behind,
    earlier_champion,
    now,
    tag_of,
)
from raygenex.registry.register import CANDIDATE, CHAMPION, RegisterResult, register
from raygenex.registry.scoring import (
    Contender,
    PairedScores,
    check_same_data,
    check_same_tags,
    compare_metric,
    fetch_contender,
    score_both,
    shared_targets,
)
from raygenex.registry.versions import TITLES, Registry, Version
from raygenex.tracking.store import mlflow_errors

logger = logging.getLogger(__name__)

_MAX_REASON = 1000


@dataclass(frozen=True)
class PromoteResult:
    """What the gate said of a version."""

    name: str
    version: str
    """The version that wanted to be champion."""
    previous: str | None
    """The version that was champion."""
    champion: str
    """The version that is champion now."""
    moved: bool
    """Whether the alias was moved."""
    forced: bool
    reason: str | None
    auroc: Difference | None
    """Valid AUROC of the version (a) and the champion (b); None where nothing was compared, or targets were."""
    confidence: float | None
    """Coverage of the interval."""
    genes: int | None
    """Valid genes that both were scored on."""
    note: str | None
    """Why nothing could be compared, where a forced move was not."""
    targets: tuple[TargetDifference, ...] = ()
    """Of models of targets: those that both have, the one that decides first."""

    @property
    def passed(self) -> bool:
        """Whether the version is champion now."""
        return self.champion == self.version

    def text(self) -> str:
        """Say whether the version is champion now, and what the comparison found."""
        what = f"version {self.version} of {self.name}"
        if self.previous == self.version:
            return f"champion: {what} is champion already, nothing changed"
        if self.previous is None:
            return f"champion: {what}, the first"
        found = [("AUROC", self.genes, self.auroc)] if self.auroc is not None else []
        found += [(f"{one.target} {TITLES[one.metric]}", one.genes, one.difference) for one in self.targets]
        compared = "".join(f"\n{_compared(self, *one)}" for one in found)
        if not self.moved:
            decides = f" of {self.targets[0].target}" if self.targets else ""
            return (
                f"champion: still version {self.champion} of {self.name}; version {self.version} is not shown to be "
                f"better, since the interval's lower bound{decides} is not above 0{compared}"
            )
        forced = f", forced{f' ({self.reason})' if self.reason else ''}" if self.forced else ""
        note = f"\nnot compared: {self.note}" if self.note else ""
        return f"champion: {what}, in place of version {self.previous}{forced}{compared}{note}"


@dataclass(frozen=True)
class RollbackResult:
    """The version that is champion again, and the one that was."""

    name: str
    champion: str
    previous: str

    def text(self) -> str:
        """Say which version is champion again."""
        return f"champion: version {self.champion} of {self.name} again, in place of version {self.previous}"


@dataclass(frozen=True)
class RegisterAndPromoteResult:
    """A registered version, and whether the gate let it become champion."""

    registered: RegisterResult
    promotion: PromoteResult

    def text(self) -> str:
        """Say under which names it is registered, and which version is champion."""
        return f"{self.registered.text()}\n{self.promotion.text()}"


def register_and_promote(config: RunConfig) -> RegisterAndPromoteResult:
    """Register the run's model, and let it become champion if it is better on valid; raises as both do."""
    registered = register(config)
    return RegisterAndPromoteResult(registered, promote(config, registered.version))


def promote(config: RunConfig, which: str = CANDIDATE, force: bool = False, reason: str | None = None) -> PromoteResult:
    """Let the alias ``champion`` move to a version if it is better on valid.

    Both versions score the valid genes that they were chosen on. The alias moves if the lower bound of the paired
    bootstrap interval of the difference in AUROC, ``evaluate.confidence`` wide and two-sided, is above 0: a version
    that is no better passes with a chance of about (1 - confidence) / 2. Test is not opened. Without a champion, the
    version becomes the first. Of models of targets, the first target of the version that the champion has too decides,
    by its AUROC or Pearson's r; other targets that both have are shown beside it.

    Parameters
    ----------
    config
        Gives the registered model, ``data.valid``, the bootstrap, its seed, the actors and the cluster.
    which
        A version's number or an alias.
    force
        Whether the alias moves whatever the comparison says, or without one where the data do not allow it; the
        history keeps that.
    reason
        Why it is forced.

    Raises
    ------
    ConfigError, DataError, CheckpointError, TrackingError, ClusterError
        If the versions cannot be found, loaded or compared, or MLflow refuses; the alias is where it was then.
    """
    _check_reason(force, reason)
    registry = Registry(config)
    new, old = registry.find(which), registry.champion()
    if old is not None and old.version == new.version:
        return _result(registry, new, old, moved=False, event=None)
    if old is not None and not force:
        check_same_tags(config, new, old)
    contender = fetch_contender(config, registry.name, new)
    if old is None or force:
        # Otherwise it is loaded to be compared.
        Predictor.check(contender.checkpoint)
    event = Event(now(), "promote", old.version if old else None, new.version, forced=force, reason=reason)
    if old is not None:
        event = _with_comparison(config, registry, contender, old, event)
        if not force and (event.deciding is None or event.deciding.low <= 0.0):
            return _result(registry, new, old, moved=False, event=event)
    _move(registry, event)
    return _result(registry, new, old, moved=True, event=event)


def plan_promote(config: RunConfig, which: str, force: bool, reason: str | None) -> str:
    """Check what `promote` checks before it scores, and say what it would do."""
    _check_reason(force, reason)
    registry = Registry(config)
    new, old = registry.find(which), registry.champion()
    start = f"promote: version {new.version} of {registry.name}"
    if old is not None and old.version == new.version:
        return f"{start} is champion already, nothing to do"
    if old is not None and not force:
        check_same_tags(config, new, old)
    contender = fetch_contender(config, registry.name, new)
    if old is None:
        return f"{start} becomes the first champion"
    if force:
        return f"{start} becomes champion in place of version {old.version}, whatever the comparison says"
    champion = fetch_contender(config, registry.name, old)
    check_same_data(config, contender, champion)
    shared_targets(config, contender, champion)
    return (
        f"{start} against champion version {old.version} on valid, by {config.evaluate.bootstrap} bootstrap resamples"
    )


def rollback(config: RunConfig) -> RollbackResult:
    """Let the alias ``champion`` go back to the version that was champion before.

    Raises
    ------
    TrackingError
        If there is no champion or none before it, the earlier version is gone, or MLflow refuses.
    """
    registry = Registry(config)
    old, new = _find_rollback(registry)
    _move(registry, Event(now(), "rollback", old.version, new.version))
    return RollbackResult(registry.name, new.version, old.version)


def plan_rollback(config: RunConfig) -> str:
    """Say which version would be champion again."""
    registry = Registry(config)
    old, new = _find_rollback(registry)
    return f"rollback: champion of {registry.name} from version {old.version} to version {new.version}"


def _check_reason(force: bool, reason: str | None) -> None:
    if reason is not None and not force:
        raise ConfigError("--reason says why the gate is passed over: give it together with --force")
    if reason is not None and len(reason) > _MAX_REASON:
        raise ConfigError(f"--reason has {len(reason)} letters: say it in {_MAX_REASON} or fewer")


def _find_rollback(registry: Registry) -> tuple[Version, Version]:
    """Return the champion and the one before it."""
    champion = registry.champion()
    if champion is None:
        raise TrackingError(
            f"{registry.name} has no champion, so there is none to go back from: `raygenex registry promote` makes one"
        )
    earlier = earlier_champion(registry.history(), champion.version)
    if earlier is None:
        raise TrackingError(
            f"{registry.name} had no champion before version {champion.version}: name a version for "
            "`raygenex registry promote --version`"
        )
    if earlier not in {version.version for version in registry.versions()}:
        raise TrackingError(
            f"version {earlier} of {registry.name}, champion before version {champion.version}, is deleted: name "
            "another for `raygenex registry promote --version`"
        )
    return champion, registry.find(earlier)


def _with_comparison(config: RunConfig, registry: Registry, new: Contender, old: Version, event: Event) -> Event:
    """Return the event with the differences on valid, or with why there are none where it is forced."""
    try:
        champion = fetch_contender(config, registry.name, old)
        pairs = score_both(config, new, champion)
        targets = tuple(_difference(config, pair) for pair in pairs)
    except RaygenexError as error:
        # A cluster that is too small says nothing of the models.
        if not event.forced or isinstance(error, ClusterError):
            raise
        logger.warning("promoting without a comparison: %s", error)
        return replace(event, note=str(error))
    of_label = not new.info.targets and not champion.info.targets
    return replace(
        event,
        # Scoring may have taken long, and others may have moved the champion before it began.
        time=now(),
        auroc=targets[0].difference if of_label else None,
        targets=() if of_label else targets,
        confidence=config.evaluate.confidence,
        genes=targets[0].genes,
        valid_fingerprint=",".join(new.valid_fingerprints),
    )


def _difference(config: RunConfig, pair: PairedScores) -> TargetDifference:
    metric = pair.target.main_metric
    return TargetDifference(pair.target.name, metric, pair.truth.size, compare_metric(config, pair, metric))


def _move(registry: Registry, event: Event) -> None:
    """Record an event and move the alias, which comes last; if that fails, the record goes."""
    key, value = tag_of(behind(event, registry.history()))
    with mlflow_errors(registry.tracker.uri):
        current = registry.champion()
        if (current.version if current else None) != event.before:
            raise TrackingError(
                f"the champion of {registry.name} moved from version {event.before} to "
                f"{current.version if current else 'none'} in the meantime: run it again"
            )
        registry.client.set_registered_model_tag(registry.name, key, value)
        try:
            registry.client.set_registered_model_alias(registry.name, CHAMPION, event.after)
        except BaseException:
            registry.client.delete_registered_model_tag(registry.name, key)
            raise


def _result(registry: Registry, new: Version, old: Version | None, moved: bool, event: Event | None) -> PromoteResult:
    champion = new if moved or old is None else old
    return PromoteResult(
        name=registry.name,
        version=new.version,
        previous=old.version if old else None,
        champion=champion.version,
        moved=moved,
        forced=event.forced if event else False,
        reason=event.reason if event else None,
        auroc=event.auroc if event else None,
        confidence=event.confidence if event else None,
        genes=event.genes if event else None,
        note=event.note if event else None,
        targets=event.targets if event else (),
    )


def _compared(result: PromoteResult, what: str, genes: int | None, found: Difference) -> str:
    assert result.confidence is not None, "stands with the difference"
    return (
        f"valid {what} on {genes} genes: {found.a:.4f} (version {result.version}) and {found.b:.4f} (version "
        f"{result.previous}), difference {found.difference:+.4f}, {100 * result.confidence:g} % interval "
        f"{found.low:+.4f} to {found.high:+.4f}, p {found.p_value:.2g}"
    )
