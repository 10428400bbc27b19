"""The sections of the configuration for MLflow and Ray."""

import re
from typing import Annotated

from pydantic import Field

from raygenex.config.base import PathText, PositiveFloat, PositiveInt, Section
from raygenex.errors import ConfigError


class TrackingConfig(Section):
    """MLflow: where runs are written, and the name of the registered model."""

    uri: PathText | None = Field(None, description="tracking URI; null: a sqlite file in OUTPUT")
    experiment: str = Field("raygenex", description="MLflow experiment", min_length=1)
    model_name: str = Field("raygenex", description="registered model", min_length=1)
    patience_s: Annotated[float, Field(ge=0.0)] = Field(
        300.0, description="seconds that finished work waits for an MLflow that is away, to deliver what it lacks"
    )


class ClusterConfig(Section):
    """The Ray cluster to use."""

    address: str | None = Field(None, description="Ray address; null: RAY_ADDRESS if set, else an embedded local Ray")
    local_cpus: PositiveInt | None = Field(
        None, description="logical CPUs of an embedded Ray; null: enough for the run"
    )
    wait_s: Annotated[float, Field(ge=0.0)] = Field(0.0, description="seconds to let an autoscaler add what is missing")
    object_store_gib: PositiveFloat | None = Field(
        None, description="object store of an embedded Ray; null: Ray's choice"
    )


# What SQLAlchemy reads in the path of a database's address.
_OF_A_URL = re.compile(r"\?|%[0-9A-Fa-f]{2}")


def check_database_folder(folder: str, where: str) -> None:
    """Refuse, with a ConfigError, an output folder whose path means something else in the URI of MLflow's database."""
    if _OF_A_URL.search(folder):
        raise ConfigError(
            f"{where}: output is {folder}, and MLflow's database cannot be below a path with ? or %20: name another "
            "folder, or set tracking.uri"
        )
    if "'" in folder and '"' in folder:
        raise ConfigError(
            f"{where}: output is {folder}, and MLflow takes no path with both kinds of quotes: name another folder"
        )


def check_model_name(name: str, where: str) -> None:
    """Refuse, with a ConfigError, a name that MLflow takes for no model, or that an address of a model cannot hold."""
    odd = next((letter for letter in name if letter in "/:@?#%\\" or not letter.isprintable()), None)
    both = "'" in name and '"' in name
    if odd is not None or both or name.strip(" .") != name:
        what = f"holds {odd!r}" if odd is not None else "begins or ends with a blank or a dot"
        what = "holds both kinds of quotes" if both else what
        raise ConfigError(
            f"{where}: tracking.model_name {name!r} {what}, which MLflow refuses: use letters, digits, '.', '_' and '-'"
        )


def check_address(address: str, name: str) -> None:
    """Refuse, with a ConfigError, an address that is not one of a cluster to join; ``name`` is the key or variable."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        # By its usual port.
        scheme, rest = "http" if address.endswith(":8265") else "", address
    if not scheme:
        return
    host = rest.partition("/")[0].rpartition("@")[2].partition(":")[0] or "HEAD"
    ways = f"give {host}:6379 on a node of it, or run `raygenex submit --address http://{host}:8265` elsewhere"
    if scheme in ("http", "https"):
        raise ConfigError(f"{name} is {address}, the address of a dashboard, which takes jobs alone: {ways}")
    if scheme == "ray":
        raise ConfigError(f"{name} is {address}, which Ray Train and Tune cannot work by: {ways}")
    raise ConfigError(f"{name} is {address}, which Ray has no such address for: {ways}")
