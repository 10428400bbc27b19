"""What is wrong with a configuration, in one sentence: pydantic's findings in the words of whoever wrote the file."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from raygenex.config.base import Section, Source
from raygenex.config.kinds import KINDS, TAGS

_LONGEST = 60
"""Letters of a wrong value that are shown."""


def refusal(error: ValidationError, source: Source, root: type[Section]) -> str:
    """Return the sentence for the first thing that is wrong.

    Parameters
    ----------
    error
        What pydantic found.
    source
        What gave the values, which is named.
    root
        The schema, whose keys are named where one is misspelt.
    """
    found = error.errors()
    first = found[0]
    location = [str(part) for part in first["loc"] if part != "[key]"]
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        where = source.of(f"{location[0]}.{TAGS[location[0]]}")
        return f"{where}: {_wrong_kind(location[0], first['input'])}"
    where = source.of(_key(location))
    if first["type"] == "invalid_key":
        return f"{where}: the key {first['input']!r} is not text; write it in quotes"
    if first["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        return f"{where}: {_key(location)} is not a known key; {_nearest(location[-1], known, 'known keys are')}"
    # Of a value that may be of several types there is a finding for each, which names its type at the end; what names a
    # key or a place in a list there is of a value of its own.
    is_own = not first["loc"] or isinstance(first["loc"][-1], int) or location[-1] in _known_keys(location[:-1], root)
    together = [
        one
        for one in found
        if not is_own
        and one["loc"][:-1] == first["loc"][:-1]
        and one["input"] is first["input"]
        and one["type"] != "missing"
    ]
    if len(together) > 1:
        message = f"must be {' or '.join(dict.fromkeys(map(_wanted, together)))}"
        location = location[:-1]
    else:
        message = _message(first)
    if first["type"] == "value_error" and not message.startswith("must be "):
        # What concerns several sections names them itself.
        return ": ".join([where, *filter(None, [_key(location)]), message])
    shown = _shown(first["input"])
    return f"{where}: {_key(location) or 'the configuration'}: {message}{shown}"


def _shown(given: Any) -> str:
    if given is None:
        return ", and nothing is given"
    if not isinstance(given, str | int | float):
        return ""
    text = str(given).lower() if isinstance(given, bool) else repr(given)
    return f", not {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"


def _nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"{otherwise} {', '.join(sorted(known))}"


def _wrong_kind(section: str, values: Any) -> str:
    tag = TAGS[section]
    kinds = [str(kind) for kind in KINDS[section]]
    given = values.get(tag) if isinstance(values, dict) else None
    if given is None:
        return f"{section}.{tag} is missing: give one of {', '.join(kinds)}"
    if not isinstance(given, str):
        return f"{section}.{tag} must be one of {', '.join(kinds)}"
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
    "greater_than_equal": lambda context: f"must be at least {_number(context['ge'])}",
    "greater_than": lambda context: f"must be above {_number(context['gt'])}",
    "less_than_equal": lambda context: f"must be at most {_number(context['le'])}",
    "less_than": lambda context: f"must be below {_number(context['lt'])}",
    "finite_number": lambda context: "must be a finite number",
    "literal_error": lambda context: f"must be {context['expected']}",
    "string_pattern_mismatch": lambda context: (
        f"must be letters, digits, dots{', _ and -' if '-]' in context['pattern'] else ' and _'}, and begin with none "
        "of the signs"
    ),
    "too_short": lambda context: (
        f"must have at least {context['min_length']} value{'s' if context['min_length'] > 1 else ''}"
    ),
    "too_long": lambda context: f"must have at most {context['max_length']} values",
    "string_too_short": lambda context: "must not be empty",
}
"""The words for what pydantic calls by its own types, by the kind of its finding."""


def _number(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() else str(limit)


def _message(finding: Mapping[str, Any]) -> str:
    words = _MESSAGES.get(finding["type"])
    if words is not None:
        return words(finding.get("ctx", {}))
    message = finding["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _wanted(finding: Mapping[str, Any]) -> str:
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
