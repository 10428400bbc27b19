"""The run configuration: one YAML file, ``-o section.key=value`` overrides, and errors that say what to change."""

import difflib
import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raygenex.config.base import Section
from raygenex.config.data import ChromosomeSplit, FileSplit, GroupSplit, RandomSplit, SimilaritySplit
from raygenex.config.embed import HyenaBackbone, OneHotBackbone
from raygenex.config.model import (
    CNN_KINDS,
    AutoencoderXgboost,
    CnnConfig,
    Logistic,
    LstmConfig,
    XgboostKmer,
)
from raygenex.config.run import RunConfig
from raygenex.config.yaml_file import LONGEST, PlainYamlError, read_yaml
from raygenex.errors import ConfigError

_TAGGED: dict[str, tuple[str, list[type[Section]]]] = {
    "model": ("kind", [*CnnConfig.__subclasses__(), LstmConfig, AutoencoderXgboost, XgboostKmer, Logistic]),
    "backbone": ("kind", [OneHotBackbone, HyenaBackbone]),
    "split": ("rule", [RandomSplit, ChromosomeSplit, GroupSplit, SimilaritySplit, FileSplit]),
}
"""The sections that come in several kinds: the key that says which, and the kinds."""


def parse_config(values: dict[str, Any], where: str) -> RunConfig:
    """Check plain values against the schema.

    Raises
    ------
    ConfigError
        For an unknown key or a value out of range; one sentence that names ``where``, the key and the allowed values.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, where)) from None


def load_config(source: str | Path | dict[str, Any], overrides: tuple[str, ...] | list[str] = ()) -> RunConfig:
    """Read a run configuration from a YAML file, or from a dictionary of sections, and apply overrides.

    Parameters
    ----------
    source
        Path of the file, or its values. ``${NAME}`` and ``${NAME:-default}`` in text become environment variables.
    overrides
        Changes of the form ``section.key=value``, the value as YAML.

    Raises
    ------
    ConfigError
        If the file is missing or is not a YAML mapping, a variable is unset, or a key or value does not fit the schema.
    """
    if isinstance(source, dict):
        where, values = "the config", source
    else:
        where, values = f"config {source}", _read_file(source)
    values = _expand(values, where)
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, where)


def _read_file(path: str | Path) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"config {path} does not exist; `raygenex init {path}` writes one to start from") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"config {path} cannot be read: {error}") from None
    try:
        values = read_yaml(text) or {}
    except PlainYamlError as error:
        raise ConfigError(f"config {path} is {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"config {path} must be a mapping of sections, not a {type(values).__name__}")
    return values


def _expand(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, where) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        # An empty variable counts as unset, as with the shell's own ":-".
        found = os.environ.get(name) or default
        if found is None:
            raise ConfigError(f"{where} needs the environment variable {name}: set it, or give a value in its place")
        return found

    return re.sub(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}", replace, value)


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"override {override!r} is not of the form section.key=value")
    try:
        value = read_yaml(text)
    except PlainYamlError:
        raise ConfigError(f"override {override!r} has a value that is not valid YAML") from None
    set_key(values, key, value, f"override {override!r}")


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


def change_keys(values: dict[str, Any], changes: dict[str, Any], where: str) -> None:
    """Set several keys of plain, complete values; another ``model.kind`` takes that kind's own sizes along.

    Raises
    ------
    ConfigError
        If a key does not fit; ``where`` says what wanted it.
    """
    # The kind first: what is said of another kind before it would be lost with that kind's sizes.
    for key, value in sorted(changes.items(), key=lambda item: item[0] != "model.kind"):
        kind = values["model"]["kind"]
        if key == "model.kind" and value != kind and not (kind in CNN_KINDS and value in CNN_KINDS):
            # Sizes of one kind mean nothing to another; the four kinds of the CNN share theirs.
            values["model"] = {}
        set_key(values, key, value, f"{where}: {key}")


def _explain(error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(part for part in location if not part.startswith(("tuple[", "function-"))) or "the configuration"
    if first["type"] == "extra_forbidden":
        name = location[-1]
        known = _known_keys(location[:-1])
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys are {', '.join(sorted(known))}"
        return f"{where}: {_without_tags(location)} is not a known key; {hint}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = first["input"]
    shown = f", not {given!r}" if isinstance(given, str | int | float | bool | None.__class__) else ""
    return f"{where}: {_without_tags(location) or key}: {message}{shown}"


def _without_tags(location: list[str]) -> str:
    """Drop the tag that pydantic puts after a discriminated section (``model.cnn_dna_only.dropout``)."""
    return ".".join(part for i, part in enumerate(location) if not (i == 1 and location[0] in _TAGGED))


def _known_keys(location: list[str]) -> list[str]:
    section: Any = RunConfig
    for i, part in enumerate(location):
        if i == 1 and location[0] in _TAGGED:
            tag, kinds = _TAGGED[location[0]]
            section = next(kind for kind in kinds if kind.model_fields[tag].default == part)
            continue
        if part.isdigit() or part not in section.model_fields:
            # The number of an entry of a list, or the key of one of a mapping.
            continue
        annotation = section.model_fields[part].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        section = next((o for o in options if isinstance(o, type) and issubclass(o, Section)), section)
    return list(section.model_fields)
