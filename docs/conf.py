"""Sphinx settings, and two directives that write the tables of keys and verbs from the package itself."""

from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from raygenex import __version__
from raygenex.cli.main import app
from raygenex.config.run import RunConfig

project = "raygenex"
author = "the raygenex authors"
copyright = "the raygenex authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
napoleon_google_docstring = False
napoleon_use_rtype = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"raygenex {__version__}"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072B2", "color-brand-content": "#0072B2"},
    "dark_css_variables": {"color-brand-primary": "#56B4E9", "color-brand-content": "#56B4E9"},
}

_BOUNDS = {"minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}"}
_WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def value_text(schema: dict[str, Any]) -> str:
    """Say in words which values a JSON schema allows."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(value_text(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return "keys of their own, below"
    if "prefixItems" in schema:
        return f"list of {', '.join(value_text(item) for item in schema['prefixItems'])}"
    if schema.get("type") == "array" and "$ref" in schema["items"]:
        return "list of sections, keys below"
    if schema.get("type") == "array":
        items = value_text(schema["items"])
        return f"list of {items.replace('whole number', 'whole numbers')}"
    if schema.get("type") == "object":
        return "section.key: value, any number of them"
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return " ".join([_WORDS[schema["type"]], ", ".join(bounds)]).strip()


def config_table(section: str) -> str:
    """Return the Markdown of a section's tables, or of the plain keys on the top level for ``run``."""
    schema = RunConfig.model_json_schema()
    top = schema["properties"]
    if section == "run":
        plain = {name: value for name, value in top.items() if "type" in value and "default" in value}
        return _table(plain)
    options = _references(top[section])
    parts = []
    for name in options:
        found = schema["$defs"][name]
        keys = found["properties"]
        parts.append(found.get("description", ""))
        tag = "rule" if "rule" in keys else "kind"
        if len(options) > 1:
            keys = {tag: keys[tag]} | {key: value for key, value in keys.items() if key != tag}
        if section == "model" and name.startswith("Cnn") and name != options[0]:
            # The four kinds of the CNN share their sizes.
            keys = {"kind": keys["kind"]}
        parts.append(_table(keys))
        for key, value in keys.items():
            for nested in _references(value):
                parts += [f"`{section}.{key}`: " + schema["$defs"][nested]["description"]]
                parts.append(_table(schema["$defs"][nested]["properties"]))
    return "\n\n".join(parts)


def _references(value: dict[str, Any]) -> list[str]:
    parts = [*value.get("anyOf", []), *value.get("oneOf", []), *([value["items"]] if "items" in value else [])]
    own = [value["$ref"].split("/")[-1]] if "$ref" in value else []
    return list(dict.fromkeys(own + [name for part in parts for name in _references(part)]))


def _table(keys: dict[str, dict[str, Any]]) -> str:
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, value in keys.items():
        default = value.get("default")
        default = "the defaults below" if isinstance(default, dict) and default else default
        if isinstance(default, list) and default and isinstance(default[0], dict):
            default = ", ".join(str(section.get("name")) for section in default)
        shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        meaning = value.get("description", "which of the kinds this is")
        lines.append(f"| `{name}` | {value_text(value)} | `{shown}` | {meaning} |")
    return "\n".join(lines)


def verb_table() -> str:
    """Return the Markdown of a table of every verb with its own words and options."""
    lines = ["| verb | what it does | options |", "|---|---|---|"]
    for name, command in _walk(typer.main.get_command(app)):
        options = [param.opts[0] for param in command.params if param.param_type_name == "option"]
        shown = " ".join(f"`{option}`" for option in options if option not in ("--debug", "--help"))
        lines.append(f"| `{name}` | {command.help} | {shown} |")
    return "\n".join(lines)


def _walk(command: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            found += _walk(child, f"{prefix}{name} ")
        else:
            found.append((prefix + name, child))
    return found


class ConfigSection(SphinxDirective):
    """The keys of one section of the configuration, from its schema."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        return self.parse_text_to_nodes(config_table(self.arguments[0]))


class Verbs(SphinxDirective):
    """The verbs of the command line, from the command line."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        return self.parse_text_to_nodes(verb_table())


def setup(sphinx: Sphinx) -> None:
    """Add the directives."""
    sphinx.add_directive("config-section", ConfigSection)
    sphinx.add_directive("verbs", Verbs)
