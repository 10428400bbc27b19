"""YAML of plain values: no tags of Python, no key twice, and no more values than a person writes.

The parser is PyYAML, of YAML 1.1, with the scalars of YAML 1.2's core schema: ``on`` and ``1:30`` are text, ``010`` is
10, ``1e-4`` is a number.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from raygenex.errors import first_line

LONGEST = 2**20
"""Characters of a text."""

DEEPEST = 40
"""Mappings and lists inside one another."""

MOST_VALUES = 100_000
"""Values, each counted as often as an alias repeats it."""


class PlainYamlError(ValueError):
    """A text that is not YAML of plain values; says what is wrong, and where."""


def read_yaml(text: str) -> Any:
    """Return the values of a YAML document; None of an empty one.

    Raises
    ------
    PlainYamlError
        If the text is not YAML or too long, asks for an object, gives a key twice, nests too deep, or repeats itself by
        aliases beyond `MOST_VALUES`.
    """
    if len(text) > LONGEST:
        raise PlainYamlError(f"longer than {LONGEST} characters")
    try:
        loader = _Plain(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _count(node, {}) > MOST_VALUES:
                raise PlainYamlError(f"too large: its aliases repeat values more than {MOST_VALUES} times")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except PlainYamlError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise PlainYamlError(f"not valid YAML{line}: {getattr(error, 'problem', None) or first_line(error)}") from None
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        # Numbers of thousands of digits, and days that no calendar has.
        raise PlainYamlError(f"not valid YAML: {error}") from None


def write_yaml(values: Any) -> str:
    """Return plain values as YAML, in the order of their keys, that versions 1.1 and 1.2 read alike."""
    return yaml.dump(values, Dumper=_Quoting, sort_keys=False)


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the values of a node and all below it; a node that holds itself is an error."""
    if id(node) in known:
        if not known[id(node)]:
            raise PlainYamlError(f"endless: the value at line {node.start_mark.line + 1} holds itself")
        return known[id(node)]
    known[id(node)] = 0
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    known[id(node)] = found = 1 + sum(_count(part, known) for part in below)
    return found


_MERGE = "tag:yaml.org,2002:merge"
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
"""The core schema of YAML 1.2: what plain text is beside text, and the letters it begins with."""


class _Plain(yaml.SafeLoader):
    """A safe loader of YAML 1.2's scalars.

    It refuses deep nesting, and a key given twice, where YAML would quietly take the last.
    """

    # Merge keys are of YAML 1.1 alone, and in configurations that are there.
    yaml_implicit_resolvers = {"<": [(_MERGE, re.compile("<<"))]}  # noqa: RUF012
    depth = 0

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._looked_at: set[int] = set()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"over {DEEPEST} levels", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Once a node: by then it has the keys of what is merged into it, which its own may replace.
        if id(node) not in self._looked_at:
            self._looked_at.add(id(node))
            self._refuse_repeats(node)
        super().flatten_mapping(node)

    def _refuse_repeats(self, node: yaml.MappingNode) -> None:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            # A merge key has no value of its own.
            key = key_node.value if key_node.tag == _MERGE else self.construct_object(key_node)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key} is given twice", key_node.start_mark)
            seen.add(key)

    def construct_yaml_bool(self, node: yaml.ScalarNode) -> bool:
        text = self.construct_scalar(node).lower()
        if text not in ("true", "false"):
            raise yaml.constructor.ConstructorError(None, None, f"{text} is neither true nor false", node.start_mark)
        return text == "true"

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        # Zeros at the beginning mean nothing, where Python refuses them and YAML 1.1 reads octal digits.
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return float(re.sub(r"\.(?=[in])", "", self.construct_scalar(node).lower()))


class _Quoting(yaml.SafeDumper):
    """A safe dumper that quotes what one of the two versions would not read as text."""


for _tag, _pattern, _first in _SCALARS:
    for _class in (_Plain, _Quoting):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)
for _tag in ("bool", "int", "float"):
    _Plain.add_constructor(f"tag:yaml.org,2002:{_tag}", getattr(_Plain, f"construct_yaml_{_tag}"))
