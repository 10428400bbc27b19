"""What all sections of the configuration are made of."""

import hashlib
import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

SPLITS = ("train", "valid", "test")
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_names(value: object) -> object:
    """Let one value stand for a list, and a number for a name: YAML reads the chromosomes 1, 2 as numbers."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return [str(value)]
    if not isinstance(value, list | tuple):
        return value
    return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]


def _not_a_url(value: str | None) -> str | None:
    if value is not None and "://" in value:
        raise ValueError(f"{value} must be a folder that every node can reach, not a URL")
    return value


Folder = Annotated[str, Field(min_length=1), AfterValidator(_not_a_url)]
Paths = Annotated[tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...])]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_names, json_schema_input_type=str | tuple[str, ...])]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors and values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


def default_kind(kind: str) -> BeforeValidator:
    """Let a section that names no kind be of the default one."""
    return BeforeValidator(lambda value: {"kind": kind, **value} if isinstance(value, dict) else value)


def canonical_hash(value: object) -> str:
    """Return 12 hex digits of the sha256 of a JSON value, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]
