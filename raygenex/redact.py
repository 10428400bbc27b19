"""Secrets in text: what goes into MLflow, files, logs and messages passes through here."""

import os
import re
from typing import Any

HIDDEN = "***"

_VARIABLES = (
    "RAY_AUTH_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "HF_TOKEN",
)
"""Variables of the environment whose values are secrets wherever they stand."""

# A shorter value would be found in words that hold no secret.
_SHORTEST = 6
# To the last @, which a password may hold; a quote ends the text of a page's JSON.
_USER = re.compile(r"(?<=://)[^/\s\"<]+@")
# Keys of signed addresses: Amazon's and Google's X-..., Azure's sig, and what others call theirs.
_QUERY = re.compile(
    r"(?i)([?&;](?:amp;)?[\w.-]*(?:signature|credential|token|password|passwd|secret|api_?key|access_?key|\bsig)=)[^&\s\"'<>#;,)]+"
)


def redact(text: str) -> str:
    """Leave user and password out of addresses, and hide signatures, tokens and the environment's secrets.

    An address stays one that works, with credentials from the environment in place of its own.
    """
    for name in _VARIABLES:
        value = os.environ.get(name, "").strip()
        if len(value) >= _SHORTEST:
            text = text.replace(value, HIDDEN)
    if "://" in text:
        text = _USER.sub("", text)
    return _QUERY.sub(rf"\1{HIDDEN}", text) if "=" in text else text


def redact_values(value: Any) -> Any:
    """Return plain values (mappings, lists, text, numbers) with every text in them redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redact_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(item) for item in value]
    return value
