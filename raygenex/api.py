"""The door for Python programs and notebooks: everything that the main job and scoring need, by one import.

Importing this module loads neither torch nor Ray nor pandas; the functions do when they are called.
"""

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig
from raygenex.data.check.check import check
from raygenex.data.opening import SplitData, open_splits
from raygenex.embed.run import embed
from raygenex.errors import RaygenexError
from raygenex.evaluate import evaluate
from raygenex.pipeline import run
from raygenex.predict.predictor import Predictor
from raygenex.predict.run import PredictResult
from raygenex.predict.run import predict as _predict
from raygenex.registry.register import fetch_checkpoint, register
from raygenex.train.run import train

__all__ = [
    "Predictor",
    "RaygenexError",
    "RunConfig",
    "SplitData",
    "check",
    "embed",
    "evaluate",
    "load_config",
    "load_predictor",
    "open_splits",
    "predict",
    "register",
    "run",
    "train",
]


def predict(
    config: RunConfig, inputs: list[str], output: str, model: str | None = None, force: bool = False
) -> PredictResult:
    """Score the genes of HDF5 files and write ``gene_id``, ``probability`` and ``prediction``.

    Parameters
    ----------
    config
        Gives ``data.window``, the ``predict`` section, the cluster and the registry.
    inputs
        HDF5 paths, globs or URLs; labels are not needed and not read.
    output
        A ``.parquet`` or ``.csv`` file.
    model
        ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or a checkpoint folder; that of the run if None.
    force
        Whether an existing output may be replaced.

    Raises
    ------
    ConfigError, DataError, CheckpointError, TrackingError, ClusterError
        If the output, the data, the model or the cluster cannot be used; nothing is written then.
    """
    return _predict(config, inputs, fetch_checkpoint(config, model or config.checkpoint), output, force)


def load_predictor(config: RunConfig, model: str | None = None, device: str = "cpu") -> Predictor:
    """Load a model to score tables and arrays in this process.

    Parameters
    ----------
    config
        Gives the run's checkpoint and the registry.
    model
        ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or a checkpoint folder; that of the run if None.
    device
        Torch device.

    Raises
    ------
    CheckpointError, TrackingError
        If there is no such model, or it cannot be loaded.
    """
    return Predictor(fetch_checkpoint(config, model or config.checkpoint), device)
