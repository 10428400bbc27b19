"""What a training needs: Ray or none, a GPU or none, room on the cluster, and enough genes and memory."""

from contextlib import AbstractContextManager

from raygenex.cluster.connect import Request, connect
from raygenex.config.model import AutoencoderXgboost, Logistic, XgboostKmer
from raygenex.config.run import RunConfig
from raygenex.errors import ConfigError
from raygenex.extras import check_installed
from raygenex.train.inputs import Inputs
from raygenex.train.tables.table import check_memory


def needs_ray(config: RunConfig) -> bool:
    """Whether a model is fitted by Ray's workers, where others are in this process."""
    if isinstance(config.model, Logistic):
        return False
    return not isinstance(config.model, XgboostKmer) or config.train.workers > 1


def uses_gpu(config: RunConfig) -> bool:
    """Whether each worker takes a GPU, which trees of k-mers have no use for."""
    return config.train.use_gpu and not isinstance(config.model, XgboostKmer)


def room_for_workers(config: RunConfig) -> AbstractContextManager[None]:
    """Open the cluster and check that the workers of a model that needs Ray fit."""
    gpu = uses_gpu(config)
    request = Request(
        "training",
        config.train.workers,
        config.train.cpus_per_worker,
        1.0 if gpu else 0.0,
        "train.workers" if not gpu else "train.workers, set train.use_gpu to false",
        config.train.fewest_workers,
    )
    return connect(config.cluster, request, import_torch)


def import_torch() -> None:
    """Import what takes the driver of a training seconds."""
    import torch  # noqa: F401


def check_workers(config: RunConfig, inputs: Inputs) -> None:
    """Refuse, with a ConfigError, what workers cannot do: too few genes, too little memory, a package missing."""
    for split, rows in inputs.tables.items():
        if rows.count < config.train.workers:
            raise ConfigError(
                f"data.{split} has {rows.count} genes for {config.train.workers} workers: lower train.workers"
            )
    check_memory(config, inputs)
    if isinstance(config.model, XgboostKmer | AutoencoderXgboost):
        check_installed({"xgboost": "xgboost"}, "boosted", "this kind of model")
