"""The run configuration: one YAML file, ``-o section.key=value`` overrides, and errors that say what to change."""

import logging
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raygenex.config.base import GIVEN, Source
from raygenex.config.kinds import TAGS, leave_behind
from raygenex.config.refusals import refusal
from raygenex.config.run import RunConfig
from raygenex.config.services import check_address, check_database_folder, check_model_name
from raygenex.config.variables import expand, keep_signs
from raygenex.config.yaml_file import DEEPEST, LONGEST, PlainYamlError, read_yaml, write_yaml
from raygenex.errors import ConfigError
from raygenex.files.locate import written_path

logger = logging.getLogger(__name__)


def parse_config(
    values: dict[str, Any], where: str, overrides: Mapping[str, str] | None = None, given: bool = False
) -> RunConfig:
    """Check plain values against the schema.

    Parameters
    ----------
    values
        Sections.
    where
        What holds them.
    overrides
        What gave a value that is not of ``where``, by key.
    given
        Whether a user wrote them, where others were kept: of these, older versions took more.

    Raises
    ------
    ConfigError
        For an unknown key or a value out of range; one sentence that names ``where``, the key and the allowed values.
    """
    source = Source(where, overrides or {})
    try:
        return RunConfig.model_validate(values, context=GIVEN if given else None).given_by(source)
    except ValidationError as error:
        raise ConfigError(refusal(error, source, RunConfig)) from None


def load_config(source: str | Path | dict[str, Any], overrides: tuple[str, ...] | list[str] = ()) -> RunConfig:
    """Read a run configuration from a YAML file, or from a dictionary of sections, and apply overrides.

    Parameters
    ----------
    source
        Path of the file, or its values. Environment variables in text are replaced: see `raygenex.config.variables`.
    overrides
        Changes of the form ``section.key=value``, the value as YAML.

    Raises
    ------
    ConfigError
        If the file is missing or is not a YAML mapping, a variable is unset, a key or value does not fit the schema, or
        Ray or MLflow cannot use it.
    """
    if isinstance(source, dict):
        where, values = "the config", deepcopy(source)
    else:
        where, values = f"config {source}", _read_file(source)
    changes = [_read_override(override) for override in overrides]
    for sentence in change_keys(values, changes):
        logger.info("%s", sentence)
    config = parse_config(expand(values, where), where, {key: said for key, _, said in changes}, given=True)
    _check_services(config, where)
    return config


def config_text(values: dict[str, Any]) -> str:
    """Return the values of a configuration as YAML that `load_config` reads as these, whatever signs they hold."""
    return write_yaml(keep_signs(values))


def _read_file(path: str | Path) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"config {path} does not exist; `raygenex init {path}` writes one to start from") from None
    except UnicodeDecodeError:
        raise ConfigError(f"config {path} is not text in UTF-8: save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"config {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        values = read_yaml(text) or {}
    except PlainYamlError as error:
        raise ConfigError(f"config {path} is {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"config {path} must hold sections, with their keys and values below them")
    return values


def _check_services(config: RunConfig, where: str) -> None:
    """Refuse what Ray or MLflow would refuse after the work.

    Configurations that come with checkpoints may hold it: their work was done before anybody looked.
    """
    check_model_name(config.tracking.model_name, where)
    if config.cluster.address is not None:
        check_address(config.cluster.address, f"{where}: cluster.address")
    output = written_path(config.output, "output")
    if config.tracking.uri is None:
        # Where the working directory is, only what opens the database needs to know.
        check_database_folder(str(output), where)


def _read_override(override: str) -> tuple[str, Any, str]:
    key, separator, text = override.partition("=")
    if not separator or "" in key.split(".") or key.count(".") > DEEPEST:
        raise ConfigError(f"override {override!r} is not of the form section.key=value")
    try:
        return key, read_yaml(text), f"override {override!r}"
    except PlainYamlError:
        raise ConfigError(f"override {override!r} has a value that is not valid YAML") from None


def set_key(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set ``section.key`` of plain values, and make the sections on the way that are not there.

    Raises
    ------
    ConfigError
        If something on the way is not a section; ``where`` says what wanted it.
    """
    *parents, last = key.split(".")
    for parent in parents:
        nested = values.setdefault(parent, {})
        if nested is None:
            nested = values[parent] = {}
        if not isinstance(nested, dict):
            raise ConfigError(f"{where} does not fit: {parent} is not a section")
        values = nested
    values[last] = value


def change_keys(values: dict[str, Any], changes: Iterable[tuple[str, Any, str]]) -> list[str]:
    """Set several keys of plain values; another kind of model, backbone or split leaves the keys of its own behind.

    Parameters
    ----------
    values
        Sections, which need not be complete; they are changed in place.
    changes
        ``section.key``, the value, and what wants it; of one key, the last one counts.

    Returns
    -------
    What was left behind, a sentence each.

    Raises
    ------
    ConfigError
        If a key does not fit.
    """
    tags = {f"{section}.{tag}": section for section, tag in TAGS.items()}
    left = []
    # The kind first: what is said of another kind before it would be lost with that kind's keys.
    for key, value, where in sorted(changes, key=lambda change: change[0] not in {*tags, *TAGS}):
        if key in tags:
            left += leave_behind(tags[key], values.get(tags[key]), value)
        set_key(values, key, value, where)
    return left
