"""Secrets in text: what goes into MLflow, files, logs and messages passes through here."""

import json
import os
import re
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote

HIDDEN = "***"

_VARIABLES = (
    "RAY_AUTH_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_CLIENT_SECRET",
    "DATABRICKS_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "PGPASSWORD",
)
"""Variables of the environment whose values are secrets wherever they stand."""

# A shorter value would be found in words that hold no secret.
_SHORTEST = 6
_DATABASE = r"(?:postgres(?:ql)?|mysql|mariadb|mssql|oracle|mongodb|redis|rediss)(?:\+\w+)?"
# A number and then a separator is the port of an address without a user.
_NO_PORT = r"(?!\d{1,5}(?:[/?#,;)\]}'\"\s]|$))"
# User and password, to the last @, which a password may hold; a quote ends the text of a page's JSON.
_PASSWORD = re.compile(rf"(?<=://)[^/\s\"'<>,():@]*:{_NO_PORT}[^/\s\"<]*@")
# The passwords of databases may hold a slash or a quote as they stand.
_LOOSE_PASSWORD = re.compile(rf"(?i)(\b{_DATABASE}://)[^/\s\"'<>,():@]*:{_NO_PORT}[^\s@]+@")
# A user alone is a token or a name here; elsewhere it names a container (abfss) or an account that has a key (ssh).
_USER = re.compile(rf"(?i)(\b(?:https?|ftps?|{_DATABASE})://)[^/\s\"'<>,():]+@")
# Keys of signed addresses: Amazon's and Google's X-..., Azure's sig, and what others call theirs.
_QUERY = re.compile(
    r"(?i)([?&;](?:amp;)?[\w.-]*(?:signature|credential|token|password|passwd|\bpwd|secret|api_?key|access_?key|"
    r"account_?key|\bsig|\bsas)=)[^&\s\"'<>#;,)]+"
)
# What a database's or a store's own text of a connection calls them.
_PAIR = re.compile(
    r"(?i)(?<![\w.-])((?:password|passwd|AccountKey|SharedAccessSignature) ?= ?)('[^']*'|\"[^\"]*\"|[^\s\"'&<>;,)]+)"
)
_HEADER = re.compile(r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+)[^\s\"'<>,;]+")


def redact(text: str) -> str:
    """Leave user and password out of addresses, and hide signatures, tokens and the environment's secrets.

    An address stays one that works, with credentials from the environment in place of its own.
    """
    for name in _VARIABLES:
        value = os.environ.get(name, "").strip()
        if len(value) >= _SHORTEST:
            for form in _written(value):
                text = text.replace(form, HIDDEN)
    if "://" in text:
        text = _PASSWORD.sub("", text)
        text = _LOOSE_PASSWORD.sub(r"\1", text)
        text = _USER.sub(r"\1", text)
    if "=" in text:
        text = _PAIR.sub(rf"\1{HIDDEN}", _QUERY.sub(rf"\1{HIDDEN}", text))
    return _HEADER.sub(rf"\1{HIDDEN}", text)


@lru_cache(maxsize=2 * len(_VARIABLES))
def _written(secret: str) -> tuple[str, ...]:
    """Return a secret as it is written in plain text, in an address, in JSON, and each of them in HTML."""
    found = [secret, quote(secret, safe="")]
    for is_ascii in (True, False):
        found.append(json.dumps(secret, ensure_ascii=is_ascii)[1:-1])
    # A page's JSON holds no <.
    found += [form.replace("<", "\\u003c") for form in found]
    # The two ways of writing quotes, Python's and Jinja's.
    html = [escape(form) for form in found]
    found += html + [form.replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for form in html]
    return tuple(dict.fromkeys(found))


def redact_values(value: Any) -> Any:
    """Return plain values with every text in them redacted."""
    return change_texts(value, redact)


def change_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return plain values (mappings, lists, text, numbers) with every text in them changed; keys of mappings stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: change_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [change_texts(item, change) for item in value]
    return value
