"""Which values of a configuration a cluster can reach: URLs, and paths below folders that every node sees."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from posixpath import normpath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from raygenex.config.base import SPLITS
from raygenex.config.data import FileSplit, GroupSplit
from raygenex.config.embed import HyenaBackbone
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError

logger = logging.getLogger(__name__)

UNTRACKED = ("embed", "data build", "data check", "data describe", "data simulate", "data split")
"""Verbs that write nothing to MLflow."""

# Schemes of URLs that name a path of the machine that reads them.
_LOCAL_SCHEMES = ("file", "local", "sqlite")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Place(NamedTuple):
    """A value that names a file or folder, its key, and whether that key takes URLs."""

    key: str
    value: str
    takes_url: bool


def check_shared(folders: Sequence[str]) -> None:
    """Refuse, with a ConfigError, a shared folder that is not an absolute path."""
    for folder in folders:
        if not PurePosixPath(folder).is_absolute():
            raise ConfigError(
                f"--shared {folder} is not an absolute path: give the path that every node of the cluster has"
            )


def refuse_local_paths(config: RunConfig, shared: Sequence[str], verb: str, places: Sequence[Place] = ()) -> None:
    """Check that a cluster finds everything that a configuration, and a verb's options, name.

    Parameters
    ----------
    config
        What is to be sent.
    shared
        Absolute folders that every node of the cluster sees; ``/`` for a cluster of one machine, this one.
    verb
        What the cluster is to do; verbs that do not track need no tracking server.
    places
        What the verb's own options name.

    Raises
    ------
    ConfigError
        For the first value that is a path of this machine; the sentence names its key.
    """
    check_shared(shared)
    outside = f" (it is not below {' or '.join(shared)})" if shared else ""
    for place in (*_places(config), *places):
        if _reaches(place, shared):
            _warn_of_loopback(place.key, place.value)
            continue
        ways = "give a URL (s3://, gs://, https://) or a path" if place.takes_url else "give a path (not a URL)"
        raise ConfigError(
            f"{place.key} is {place.value}, which the cluster does not see{outside}: {ways} below a folder "
            "that every node sees, and name that folder by --shared"
        )
    if verb not in UNTRACKED:
        _check_tracking(config)


def _places(config: RunConfig) -> Iterator[Place]:
    """Yield every value that names a file or a folder."""
    # What is written comes first: it is what a configuration made for one machine always has to change.
    yield Place("output", config.output, False)
    if config.embed.store is not None:
        yield Place("embed.store", config.embed.store, False)
    for split in SPLITS:
        yield from (Place(f"data.{split}", path, True) for path in config.data.split(split))
    backbone = config.backbone
    if isinstance(backbone, HyenaBackbone) and backbone.weights is not None and not backbone.is_hub_id:
        yield Place("backbone.weights", backbone.weights, False)
    if config.explain.motifs is not None:
        yield Place("explain.motifs", config.explain.motifs, False)
    for name in ("genome", "annotation"):
        if (value := getattr(config.variants, name)) is not None:
            yield Place(f"variants.{name}", value, True)
    yield from (Place("variants.genes", path, True) for path in config.variants.genes)
    yield from _tables(config)


def _tables(config: RunConfig) -> Iterator[Place]:
    if config.build is not None:
        build = config.build
        for name in ("genome", "annotation", "features", "windows", "tss_peaks"):
            if (value := getattr(build, name)) is not None:
                yield Place(f"build.{name}", value, True)
        if build.label.table is not None:
            yield Place("build.label.table", build.label.table, True)
        for number, target in enumerate(build.targets):
            yield Place(f"build.targets.{number}.table", target.table, True)
        for number, extra in enumerate(build.extra):
            yield Place(f"build.extra.{number}.table", extra.table, True)
    for number, feature in enumerate(config.data.features):
        if feature.table is not None:
            yield Place(f"data.features.{number}.table", feature.table, True)
    for number, learned in enumerate(config.targets):
        if learned.table is not None:
            yield Place(f"targets.{number}.table", learned.table, True)
    if isinstance(config.split, FileSplit):
        yield Place("split.file", config.split.file, True)
    if isinstance(config.split, GroupSplit) and config.split.table is not None:
        yield Place("split.table", config.split.table, True)


def _reaches(place: Place, shared: Sequence[str]) -> bool:
    path = place.value
    if "://" in path:
        # A chain such as simplecache::s3://... reads from its last link.
        if path.split("://")[0].split("::")[-1] not in _LOCAL_SCHEMES:
            return place.takes_url
        path = unquote(path.split("://", 1)[1])
    # `..` must not lead out of the folder.
    return any(PurePosixPath(normpath(path)).is_relative_to(normpath(folder)) for folder in shared)


def _check_tracking(config: RunConfig) -> None:
    uri = config.tracking.uri
    if uri is None or "://" not in uri or uri.split("://")[0] in _LOCAL_SCHEMES:
        found = "not set, which means a file in output" if uri is None else f"{uri}, a file"
        raise ConfigError(
            f"tracking.uri is {found}: give the URL of an MLflow server that the cluster reaches, such as "
            "-o tracking.uri=http://HOST:5000"
        )
    _warn_of_loopback("tracking.uri", uri)


def _warn_of_loopback(key: str, value: str) -> None:
    if "://" in value and urlsplit(value).hostname in _LOOPBACK:
        logger.warning("%s is %s: each node of the cluster will take that for itself", key, value)
