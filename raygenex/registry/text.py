"""What the command line prints of the registry."""

from raygenex.registry.compare import CompareResult
from raygenex.registry.history import Difference, Event
from raygenex.registry.promote import PromoteResult, RollbackResult
from raygenex.registry.versions import Listing, Version
from raygenex.stats.metrics import METRICS

_DASH = "-"
_SHORT = 12


def list_text(listing: Listing) -> str:
    """Return a table of versions, and a line for each move of the champion."""
    if not listing.versions:
        return f"{listing.name} in {listing.uri} has no versions"
    head = ("version", "aliases", "registered (UTC)", "run", "kind", "valid AUROC", "config", "valid data", "commit")
    rows = [head, *(_row(version) for version in listing.versions)]
    lines = [f"{listing.name} in {listing.uri}", "", *_columns(rows)]
    lines += ["", "champions (UTC):"]
    lines += [f"  {_event(event)}" for event in listing.history] or ["  none yet"]
    return "\n".join(lines)


def compare_text(result: CompareResult) -> str:
    """Return metrics side by side with their differences, then what differs in settings and data."""
    a, b = result.a, result.b
    lines = [f"a: {_name(a)}", f"b: {_name(b)}"]
    if result.metrics:
        lines += ["", f"on the {result.genes} genes of valid, {100 * result.confidence:g} % intervals"]
        rows: list[tuple[str, ...]] = [("metric", "a", "b", "a - b", "interval", "p")]
        for name in METRICS:
            found = result.metrics[name]
            interval = f"{found.low:+.4f} to {found.high:+.4f}"
            rows.append(
                (
                    name,
                    f"{found.a:.4f}",
                    f"{found.b:.4f}",
                    f"{found.difference:+.4f}",
                    interval,
                    f"{found.p_value:.2g}",
                )
            )
        lines += _columns(rows)
    else:
        lines += ["", f"not compared on the same genes: {result.note}"]
        names = [name for name in METRICS if name in a.metrics and name in b.metrics]
        rows = [("metric, each on its own valid", "a", "b")]
        lines += _columns([*rows, *((name, f"{a.metrics[name]:.4f}", f"{b.metrics[name]:.4f}") for name in names)])
    lines += ["", f"train data: {_same(result.same_train)}; valid data: {_same(result.same_valid)}"]
    if not result.settings:
        return "\n".join([*lines, "settings: the same"])
    rows = [("setting", "a", "b")]
    rows += [(key, values[0] or _DASH, values[1] or _DASH) for key, values in result.settings.items()]
    return "\n".join([*lines, "", *_columns(rows)])


def promote_text(result: PromoteResult) -> str:
    """Say whether the version is champion now, and what the comparison found."""
    what = f"version {result.version} of {result.name}"
    if result.previous == result.version:
        return f"champion: {what} is champion already, nothing changed"
    if result.previous is None:
        return f"champion: {what}, the first"
    compared = "" if result.auroc is None else f"\n{_compared(result, result.auroc)}"
    if not result.moved:
        return (
            f"champion: still version {result.champion} of {result.name}; version {result.version} is not shown to be "
            f"better, since the interval's lower bound is not above 0{compared}"
        )
    forced = f", forced{f' ({result.reason})' if result.reason else ''}" if result.forced else ""
    note = f"\nnot compared: {result.note}" if result.note else ""
    return f"champion: {what}, in place of version {result.previous}{forced}{compared}{note}"


def rollback_text(result: RollbackResult) -> str:
    """Say which version is champion again."""
    return f"champion: version {result.champion} of {result.name} again, in place of version {result.previous}"


def _compared(result: PromoteResult, auroc: Difference) -> str:
    assert result.confidence is not None, "stands with the difference"
    return (
        f"valid AUROC on {result.genes} genes: {auroc.a:.4f} (version {result.version}) and {auroc.b:.4f} (version "
        f"{result.previous}), difference {auroc.difference:+.4f}, {100 * result.confidence:g} % interval "
        f"{auroc.low:+.4f} to {auroc.high:+.4f}, p {auroc.p_value:.2g}"
    )


def _row(version: Version) -> tuple[str, ...]:
    auroc = version.metrics.get("auroc")
    commit = version.git_commit
    return (
        version.version,
        ", ".join(version.aliases) or _DASH,
        _minute(version.created),
        version.run_name or _DASH,
        version.model_kind or _DASH,
        _DASH if auroc is None else f"{auroc:.4f}",
        version.config_hash or _DASH,
        (version.valid_fingerprint or _DASH)[:_SHORT],
        _DASH if commit is None else commit[:_SHORT] + ("-dirty" if commit.endswith("-dirty") else ""),
    )


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
    if event.forced:
        words.append(f"forced: {event.reason}" if event.reason else "forced")
    return ", ".join(words)


def _minute(time: str) -> str:
    """Return the date and the minute of an ISO 8601 time."""
    return time[:16].replace("T", " ")


def _name(version: Version) -> str:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    run = f", run {version.run_name}" if version.run_name else ""
    kind = f", {version.model_kind}" if version.model_kind else ""
    return f"version {version.version}{aliases}{run}{kind}"


def _same(same: bool) -> str:
    return "the same" if same else "different"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows of text as aligned lines."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
