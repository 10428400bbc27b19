"""What is wrong with a configuration, in one sentence: pydantic's findings in the words of whoever wrote the file."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from raygenex.config.base import Section
from raygenex.config.kinds import KINDS, TAGS


def refusal(error: ValidationError, where: str, root: type[Section]) -> str:
    """Return the sentence for the first thing that is wrong.

    Parameters
    ----------
    error
        What pydantic found.
    where
        What holds the values, such as ``config run.yaml``.
    root
        The schema, whose keys are named where one is misspelt.
    """
    found = error.errors()
    first = found[0]
    location = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        return f"{where}: {_key(location)} is not a known key; {_nearest(location[-1], known, 'known keys are')}"
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{where}: {_wrong_kind(location[0], first['input'])}"
    # Of a value that may be of several types there is a finding for each, which names its type at the end.
    together = [one for one in found if one["loc"][:-1] == first["loc"][:-1] and one["input"] is first["input"]]
    if len(together) > 1:
        message = f"must be {' or '.join(dict.fromkeys(map(_wanted, together)))}"
        location = location[:-1]
    else:
        message = _message(first)
    given = first["input"]
    shown = (
        f", not {given!r}"
        if isinstance(given, str | int | float)
        else ", and nothing is given"
        if given is None
        else ""
    )
    return f"{where}: {_key(location) or 'the configuration'}: {message}{shown}"


def _nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"{otherwise} {', '.join(sorted(known))}"


def _wrong_kind(section: str, values: Any) -> str:
    tag = TAGS[section]
    kinds = [str(kind) for kind in KINDS[section]]
    given = values.get(tag) if isinstance(values, dict) else None
    if not isinstance(given, str):
        return f"{section}.{tag} is missing: give one of {', '.join(kinds)}"
    close = difflib.get_close_matches(given.lower(), kinds, n=1)
    hint = f"did you mean {close[0]}? It may be {', '.join(kinds)}" if close else f"it may be {', '.join(kinds)}"
    return f"{section}.{tag} {given!r} is not known; {hint}"


_MESSAGES: dict[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda context: "is missing",
    "model_type": lambda context: "must be a section, with its keys below it",
    "model_attributes_type": lambda context: "must be a section, with its keys below it",
    "dict_type": lambda context: "must be a section, with its keys below it",
    "int_type": lambda context: "must be a whole number",
    "int_parsing": lambda context: "must be a whole number",
    "int_from_float": lambda context: "must be a whole number",
    "float_type": lambda context: "must be a number",
    "float_parsing": lambda context: "must be a number",
    "string_type": lambda context: "must be text",
    "tuple_type": lambda context: "must be a list",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "greater_than": lambda context: f"must be above {context['gt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "less_than": lambda context: f"must be below {context['lt']:g}",
    "finite_number": lambda context: "must be a finite number",
    "literal_error": lambda context: f"must be {context['expected']}",
    "string_pattern_mismatch": lambda context: (
        "may hold letters, digits, dots, _ and - alone, and begins with none of the signs"
    ),
}
"""The words for what pydantic calls by its own types, by the kind of its finding."""


def _message(finding: ErrorDetails) -> str:
    words = _MESSAGES.get(finding["type"])
    if words is not None:
        return words(finding.get("ctx", {}))
    message = finding["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _wanted(finding: ErrorDetails) -> str:
    return _message(finding).removeprefix("must be ")


def _key(location: list[str]) -> str:
    """Return the key as it is written, without what pydantic puts between (``model.cnn_dna_only.dropout``)."""
    parts = [part for i, part in enumerate(location) if not (i == 1 and location[0] in TAGS)]
    return ".".join(part for part in parts if not part.startswith(("tuple[", "function-")))


def _known_keys(location: list[str], root: type[Section]) -> list[str]:
    section: Any = root
    for i, part in enumerate(location):
        if i == 1 and location[0] in TAGS:
            section = KINDS[location[0]][part]
            continue
        if part.isdigit() or part not in section.model_fields:
            # The number of an entry of a list, or the key of one of a mapping.
            continue
        annotation = section.model_fields[part].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        section = next((o for o in options if isinstance(o, type) and issubclass(o, Section)), section)
    return list(section.model_fields)
