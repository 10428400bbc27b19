"""Guarding a training against leaks: the verdict of the full check, once per data set, kept next to the runs."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from raygenex.config.base import canonical_hash
from raygenex.config.run import RunConfig
from raygenex.data.check.check import look, without_bases
from raygenex.data.check.describe import DataReport
from raygenex.data.check.leakage import LeakageReport, sentence
from raygenex.errors import DataError
from raygenex.files.fingerprint import fingerprints
from raygenex.files.json_file import load_json
from raygenex.files.locate import locate
from raygenex.files.whole import replace_text
from raygenex.terminal.progress import steps

logger = logging.getLogger(__name__)

METHOD = 1
"""Raised whenever what counts as a leak changes, so that older verdicts are made again."""


@dataclass(frozen=True)
class Verdict:
    """How much leaks between the splits."""

    worst: float
    """The largest share of genes with a leak over all pairs of splits, 0 to 1."""
    sentence: str
    """What leaks, and what to do; empty if nothing does."""
    without_bases: str = ""
    """Genes of whose promoters no base is known; empty if there are none, or an older version made the verdict."""


def guard(config: RunConfig, strict: bool) -> Verdict:
    """Look for leaks between the configured splits before a training; warn, or stop if ``strict``.

    Promoters of which no base is known are a warning too.

    The verdict is kept in ``OUTPUT/checks``, by the sha256 of the files and what counts as a leak.

    Raises
    ------
    DataError
        If more leaks than ``check.max_leaked`` and ``strict`` is true; and as `raygenex.data.check.check.check` does.
    """
    path = _path(config)
    verdict = _read(path)
    if verdict is None:
        with steps("looking for leaks between splits") as on_progress:
            _, scans, leakage = look(
                config.data, config.check, on_progress, cluster=config.cluster, labelled=not config.targets
            )
        verdict = _keep(path, config, leakage, without_bases(scans))
    if verdict.without_bases:
        logger.warning("%s: leave these genes out, or write their promoters again", verdict.without_bases)
    if verdict.worst > config.check.max_leaked:
        if strict:
            raise DataError(verdict.sentence)
        logger.warning("LEAK between splits: %s", verdict.sentence)
    return verdict


def keep_verdict(config: RunConfig, report: DataReport) -> Verdict:
    """Keep the verdict of a full check, and return it.

    Raises
    ------
    DataError
        If the output folder cannot be written.
    """
    return _keep(_path(config), config, report.leakage, without_bases(report.splits))


def _keep(path: Path, config: RunConfig, leaks: LeakageReport, bare: list[str]) -> Verdict:
    told = sentence(leaks, config.check) if leaks.worst > 0 else ""
    verdict = Verdict(leaks.worst, told, "; ".join(bare))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(vars(verdict)))
    except OSError as error:
        raise DataError(f"{path.parent} cannot be written ({error.strerror}); set output to another folder") from None
    return verdict


def _path(config: RunConfig) -> Path:
    data = config.data
    prints = {name: fingerprints(locate(data.split(name), f"data.{name}")) for name in data.configured}
    key = canonical_hash(
        [METHOD, prints, config.data.window, config.check.model_dump(mode="json", exclude={"workers"})]
    )
    return Path(config.output_root, "checks", f"{key}.json")


def _read(path: Path) -> Verdict | None:
    """Return a kept verdict; None if there is none, or it is damaged and must be made again."""
    try:
        values = load_json(path)
        return Verdict(float(values["worst"]), str(values["sentence"]), str(values.get("without_bases", "")))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
