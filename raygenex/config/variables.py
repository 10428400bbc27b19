"""Environment variables in the values of a configuration, written as a shell writes them."""

import os
import re
from typing import Any

from raygenex.errors import ConfigError
from raygenex.redact import change_texts

DEEPEST = 40
"""Defaults inside one another."""

_VARIABLE = re.compile(r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<then>\}|:-))")


def expand(value: Any, where: str) -> Any:
    """Replace variables in every text of plain values; keys of mappings stay.

    ``$NAME``, ``${NAME}`` and ``${NAME:-default}``, whose default may hold others, are variables; ``$$`` is the sign.

    Raises
    ------
    ConfigError
        If a variable without a default is unset or empty, or a ``$`` begins none of these; it begins with ``where``.
    """
    return change_texts(value, lambda text: _read(text, 0, where, depth=0, needed=True)[0])


def keep_signs(value: Any) -> Any:
    """Return plain values that `expand` turns into these."""
    return change_texts(value, lambda text: text.replace("$", "$$"))


def _read(text: str, place: int, where: str, depth: int, needed: bool) -> tuple[str, int]:
    """Expand a text from a place to its end, or a default to its brace; return it, and the place behind it.

    Of a default that is not ``needed``, variables may be unset.
    """
    parts: list[str] = []
    while place < len(text):
        if depth and text[place] == "}":
            return "".join(parts), place + 1
        if text[place] != "$":
            parts.append(text[place])
            place += 1
            continue
        if text.startswith("$$", place):
            parts.append("$")
            place += 2
            continue
        match = _VARIABLE.match(text, place)
        if match is None or depth == DEEPEST:
            raise _malformed(where)
        name, default = match["plain"] or match["name"], None
        # An empty variable counts as unset, as with the shell's own ":-".
        found = os.environ.get(name)
        place = match.end()
        if match["then"] == ":-":
            default, place = _read(text, place, where, depth + 1, needed and not found)
        if needed and not found and default is None:
            sign = "" if match["name"] else "; $$ is the sign $"
            raise ConfigError(
                f"{where} needs the environment variable {name}: set it, or give a value in its place{sign}"
            )
        parts.append(found or default or "")
    if depth:
        raise _malformed(where)
    return "".join(parts), place


def _malformed(where: str) -> ConfigError:
    return ConfigError(
        f"{where} has a $ that begins no variable: write $NAME, ${{NAME}} or ${{NAME:-default}}, and $$ for the sign"
    )
