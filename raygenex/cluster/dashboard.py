"""The dashboard of a Ray cluster, which takes jobs: its address, its token, and whether its Ray fits."""

import logging
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raygenex.errors import ClusterError, ConfigError, first_line

logger = logging.getLogger(__name__)

ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
# How long the dashboard may take to answer at all, in seconds.
ANSWER_S = 10.0
# The versions of Ray that pyproject.toml allows.
OLDEST_RAY = (2, 59)
NEWEST_RAY = (3, 0)
# Loggers of Ray that tell of each package and each connection.
_CHATTY = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)


def read_address(address: str | None) -> str:
    """Return ``http://HOST:PORT`` of the dashboard.

    Raises
    ------
    ConfigError
        If there is none, or it has another form.
    """
    if not address:
        raise ConfigError(f"no cluster to submit to: give --address http://HEAD:8265, or set {ADDRESS_VARIABLE}")
    full = address if "://" in address else f"http://{address}"
    parts = urlsplit(full)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--address {address} is not the address of a dashboard: give http://HEAD:8265")
    return full.rstrip("/")


def connect(address: str) -> Any:
    """Return a ``JobSubmissionClient`` of a dashboard that answers, knows the token and runs a Ray that fits.

    It tells Ray to use the token, and no other address, by this process's environment: it is for a process that submits
    and does nothing else.

    Raises
    ------
    ClusterError
        If any of this is not so.
    """
    _knock(address)
    # Ray sends a token only if it is told to, even where one is set.
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    _check_token_file()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Ray prefers these to the address that it is given.
    for name in (ADDRESS_VARIABLE, "RAY_ADDRESS"):
        os.environ.pop(name, None)
    try:
        client = JobSubmissionClient(address)
    except AuthenticationError as error:
        raise ClusterError(_refusal(address, str(error))) from None
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise ClusterError(
            f"{address} answers, but not as a Ray dashboard ({first_line(error)}): check --address"
        ) from error
    _check_version(address, getattr(client, "_server_ray_version", None))
    return client


def _knock(address: str) -> None:
    """Wait a few seconds for any answer, where Ray's client would wait for ever."""
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=ANSWER_S).close()
    except urllib.error.HTTPError:
        # An answer, such as that a token is missing.
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ClusterError(
            f"no Ray dashboard answers at {address} ({reason}): start the cluster, or open the tunnel to it (`ray "
            "dashboard CLUSTER.yaml`)"
        ) from error


def _check_token_file() -> None:
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if path and not os.environ.get("RAY_AUTH_TOKEN") and not Path(path).is_file():
        raise ConfigError(f"RAY_AUTH_TOKEN_PATH names {path}, which is not a file: write the cluster's token there")


def _refusal(address: str, answer: str) -> str:
    """Say why a dashboard did not let this process in."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return (
            f"the cluster at {address} asks for a token and none was sent: set RAY_AUTH_MODE=token, and the token in "
            "RAY_AUTH_TOKEN or in a file named by RAY_AUTH_TOKEN_PATH"
        )
    if "invalid" in answer.lower():
        return f"the cluster at {address} refused the token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's"
    return (
        f"the cluster at {address} asks for a token and there is none here: set RAY_AUTH_TOKEN, or name the token's "
        "file by RAY_AUTH_TOKEN_PATH"
    )


def _check_version(address: str, theirs: str | None) -> None:
    import ray

    if theirs is None:
        return
    found = tuple(int(part) for part in re.findall(r"\d+", theirs)[:2])
    if not OLDEST_RAY <= found < NEWEST_RAY:
        low, high = (".".join(map(str, version)) for version in (OLDEST_RAY, NEWEST_RAY))
        raise ClusterError(
            f"the cluster at {address} runs Ray {theirs}, and raygenex needs {low} or later, below {high}: start it "
            f"with Ray {ray.__version__}, the version here"
        )
    if theirs != ray.__version__:
        logger.warning("the cluster runs Ray %s, and Ray %s is here: both should be the same", theirs, ray.__version__)
