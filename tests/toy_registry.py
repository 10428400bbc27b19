"""A registered model, as whoever serves it calls it, and one without a champion."""

from pathlib import Path

import mlflow
import pandas as pd

from raygenex.config.run import RunConfig
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.registry.history import PREFIX
from raygenex.registry.register import CHAMPION
from raygenex.registry.versions import Registry
from raygenex.sequence import to_string
from raygenex.tracking.store import tracking_uri


def served_answer(config: RunConfig, uri: str, promoters: Path, genes: int) -> pd.DataFrame:
    """Return what a registered model, loaded by name, says of the raw DNA and features of a file's first genes."""
    mlflow.set_registry_uri(tracking_uri(config))
    mlflow.set_tracking_uri(tracking_uri(config))
    rows = read_rows(inspect(str(promoters)), 0, genes)
    table = pd.DataFrame(rows["halflife"].astype(float), columns=list(HALFLIFE_FEATURES))
    table["sequence"] = [to_string(codes) for codes in rows["sequence"]]
    return mlflow.pyfunc.load_model(uri).predict(table)


def forget_champion(config: RunConfig, name: str = "toy") -> None:
    """Take the champion and its history from a registered model."""
    client = Registry(config).client
    found = client.get_registered_model(name)
    if CHAMPION in found.aliases:
        client.delete_registered_model_alias(name, CHAMPION)
    for key in found.tags:
        if key.startswith(PREFIX):
            client.delete_registered_model_tag(name, key)
