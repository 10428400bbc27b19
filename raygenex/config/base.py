"""What all sections of the configuration are made of."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

SPLITS = ("train", "valid", "test")
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
LARGEST = 2**31 - 1
"""Of whole numbers that count something."""
PositiveInt = Annotated[int, Field(ge=1, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Several = Annotated[int, Field(ge=2, le=LARGEST)]
Width = Annotated[int, Field(ge=1, le=2**16)]
"""Channels of a layer."""
Position = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
"""Bases from the TSS."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
AnySeed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A seed that may be negative."""
PositiveFloat = Annotated[float, Field(gt=0.0)]


def _as_list(value: object, wanted: str) -> object:
    """Let one text stand for a list of it."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be {wanted}")
    return value


def _as_paths(value: object) -> object:
    return _as_list(value, "a path or a list of paths")


def _as_texts(value: object) -> object:
    return _as_list(value, "a name or a list of names")


def as_named(value: object) -> object:
    """Let a name stand for a section of it, and one section for a list of it."""
    values = value if isinstance(value, list | tuple) else [value]
    return [{"name": item} if isinstance(item, str) else item for item in values]


def refuse_repeats(names: list[str], *taken: str) -> None:
    """Raise a ValueError if a name is there twice, or names another column of every table."""
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise ValueError(f"the name {twice} is there twice")
    if (found := next((name for name in ("gene_id", *taken) if name in names), None)) is not None:
        raise ValueError(f"{found} names another column in every table of genes: choose another name")


def _as_names(value: object) -> object:
    """Let one value stand for a list, and a number for a name: YAML reads the chromosomes 1, 2 as numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    value = _as_texts(value)
    assert isinstance(value, list | tuple), "or it is refused"
    return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]


def _not_a_url(value: str | None) -> str | None:
    if value is not None and "://" in value:
        raise ValueError(f"{value} must be a folder that every node can reach, not a URL")
    return value


def _not_empty(value: str, info: ValidationInfo) -> str:
    """Refuse an empty path, which is that of the working directory; configurations of before may hold one."""
    if not value and info.context == GIVEN:
        raise ValueError("must not be empty: give a path, or leave the key out")
    return value


GIVEN = "given"
"""The context of a validation of what a user wrote, and not of what was kept."""
PathText = Annotated[str, AfterValidator(_not_empty)]
Folder = Annotated[str, Field(min_length=1), AfterValidator(_not_a_url)]
Paths = Annotated[tuple[PathText, ...], BeforeValidator(_as_paths, json_schema_input_type=str | tuple[str, ...])]
Columns = Annotated[tuple[str, ...], BeforeValidator(_as_texts, json_schema_input_type=str | tuple[str, ...])]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_names, json_schema_input_type=str | tuple[str, ...])]


@dataclass(frozen=True)
class Source:
    """What gave the values of a configuration; it makes no configuration another."""

    where: str = field(default="the config", compare=False)
    """What holds the values, such as ``config run.yaml``."""
    overrides: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What gave a key its value in the place of that, such as ``override 'seed=x'``, by the key."""

    def of(self, key: str) -> str:
        """Return what gave a key its value."""
        return next((text for name, text in self.overrides.items() if f"{key}.".startswith(f"{name}.")), self.where)


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors and values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_number_is_a_truth(cls, values: Any) -> Any:
        """Refuse true for a number, and a number or a word such as on for true: pydantic takes one for the other."""
        if not isinstance(values, dict):
            return values
        found = dict(values)
        for name in cls.model_fields.keys() & values.keys():
            kinds = _plain_types(cls.model_fields[name].annotation)
            value = values[name]
            if bool in kinds:
                # An environment variable says it in text.
                found[name] = value = _TRUTHS.get(value.lower(), value) if isinstance(value, str) else value
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    raise ValueError(f"{name} is {value!r}: give true or false")
            elif kinds & {int, float} and _holds_a_truth(value):
                raise ValueError(f"{name} is true or false: give a number")
            elif kinds & {int, float} and str not in kinds and isinstance(value, str) and "_" in value:
                # Python reads 1_000 as a number, and YAML as text.
                raise ValueError(f"{name} is {value!r}: give a number, in digits alone")
        return found


_TRUTHS = {"true": True, "false": False}


def _plain_types(annotation: Any) -> set[type]:
    """Return the types of Python that an annotation is made of."""
    parts = getattr(annotation, "__args__", ())
    return {annotation} if isinstance(annotation, type) and not parts else set().union(*map(_plain_types, parts))


def _holds_a_truth(value: Any) -> bool:
    return any(map(_holds_a_truth, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


def default_kind(kind: str) -> BeforeValidator:
    """Let a section that names no kind be of the default one."""
    return BeforeValidator(lambda value: {"kind": kind, **value} if isinstance(value, dict) else value)


def canonical_hash(value: object) -> str:
    """Return 12 hex digits of the sha256 of a JSON value, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]
