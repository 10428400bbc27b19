"""Two registered versions side by side: metrics on the same genes, settings and data."""

from dataclasses import dataclass

from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError, DataError
from raygenex.registry.history import Difference
from raygenex.registry.register import CANDIDATE, CHAMPION
from raygenex.registry.scoring import compare_metric, fetch_contender, score_both
from raygenex.registry.versions import DASH, Registry, Version
from raygenex.stats import quantities
from raygenex.stats.metrics import METRICS
from raygenex.terminal.table import columns
from raygenex.tracking.runs import flatten

# What says where a run is and what is done beside it: nothing of the model.
_WHERE = ("output", "tracking", "cluster", "benchmark", "tune")


@dataclass(frozen=True)
class CompareResult:
    """Two versions, a and b."""

    name: str
    a: Version
    b: Version
    settings: dict[str, tuple[str | None, str | None]]
    """Configuration keys that differ, with the value of each; None where a kind of model has no such key."""
    same_train: bool
    """Whether both learned from the same files."""
    same_valid: bool
    """Whether both were chosen on the same files."""
    genes: int | None
    """Valid genes that both were scored on; None otherwise."""
    confidence: float
    """Coverage of the intervals."""
    metrics: dict[str, Difference]
    """Metrics on valid, a minus b; empty if the versions cannot be scored on the same genes.

    Of models of targets ``TARGET_METRIC``, of the targets that both have.
    """
    note: str | None
    """Why they cannot."""
    measured: dict[str, int]
    """Genes that have a value, by target; empty of the label."""

    def text(self) -> str:
        """Return metrics side by side with their differences, then what differs in settings and data."""
        a, b = self.a, self.b
        lines = [f"a: {_name(a)}", f"b: {_name(b)}"]
        if self.metrics:
            known = "".join(f", {name} of {genes}" for name, genes in self.measured.items())
            lines += ["", f"on the {self.genes} genes of valid{known}, {100 * self.confidence:g} % intervals"]
            rows: list[tuple[str, ...]] = [("metric", "a", "b", "a - b", "interval", "p")]
            for name, found in self.metrics.items():
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
            lines += columns(rows)
        else:
            lines += ["", f"not compared on the same genes: {self.note}"]
            both = a.metrics.keys() & b.metrics
            names = [name for name in dict.fromkeys([*METRICS, *sorted(both)]) if name in both]
            rows = [("metric, each on its own valid", "a", "b")]
            lines += columns([*rows, *((name, f"{a.metrics[name]:.4f}", f"{b.metrics[name]:.4f}") for name in names)])
        lines += ["", f"train data: {_same(self.same_train)}; valid data: {_same(self.same_valid)}"]
        if not self.settings:
            return "\n".join([*lines, "settings: the same"])
        rows = [("setting", "a", "b")]
        rows += [(key, values[0] or DASH, values[1] or DASH) for key, values in self.settings.items()]
        return "\n".join([*lines, "", *columns(rows)])


def compare(config: RunConfig, a: str = CANDIDATE, b: str = CHAMPION) -> CompareResult:
    """Compare two versions on the valid genes that both were chosen on; test is not opened.

    Versions that were chosen on other data are not scored: settings, data and each version's own metrics remain.

    Parameters
    ----------
    config
        Gives the registered model, ``data.valid``, the bootstrap, its seed, the actors and the cluster.
    a, b
        Numbers or aliases of versions.

    Raises
    ------
    ConfigError, CheckpointError, TrackingError, ClusterError
        If a and b are one version, a version cannot be found or loaded, or the cluster is too small.
    """
    registry = Registry(config)
    found = [registry.find(which) for which in (a, b)]
    if found[0].version == found[1].version:
        raise ConfigError(f"{a} and {b} are both version {found[0].version} of {registry.name}: name two versions")
    first, second = (fetch_contender(config, registry.name, version) for version in found)
    metrics: dict[str, Difference] = {}
    measured: dict[str, int] = {}
    genes, note = None, None
    try:
        pairs = score_both(config, first, second)
    except DataError as error:
        note = str(error)
    else:
        of_label = not first.info.targets and not second.info.targets
        for pair in pairs:
            start = "" if of_label else f"{pair.target.name}_"
            names = METRICS if pair.target.kind == "binary" else quantities.METRICS
            metrics |= {f"{start}{name}": compare_metric(config, pair, name) for name in names}
        measured = {} if of_label else {pair.target.name: pair.truth.size for pair in pairs}
        genes = pairs[0].genes
    return CompareResult(
        name=registry.name,
        a=first.version,
        b=second.version,
        settings=_changed_settings(flatten(first.info.config), flatten(second.info.config)),
        same_train=sorted(first.info.fingerprints.get("train", ()))
        == sorted(second.info.fingerprints.get("train", ())),
        same_valid=first.valid_fingerprints == second.valid_fingerprints,
        genes=genes,
        confidence=config.evaluate.confidence,
        metrics=metrics,
        note=note,
        measured=measured,
    )


def _changed_settings(a: dict[str, str], b: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return the keys whose values differ, in the order of a, then those of b alone; not where a run stands."""
    keys = [key for key in a | b if key.split(".")[0] not in _WHERE]
    return {key: (a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)}


def _name(version: Version) -> str:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    run = f", run {version.run_name}" if version.run_name else ""
    kind = f", {version.model_kind}" if version.model_kind else ""
    return f"version {version.version}{aliases}{run}{kind}"


def _same(same: bool) -> str:
    return "the same" if same else "different"
