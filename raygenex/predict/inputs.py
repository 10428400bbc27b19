"""The genes that a prediction reads, checked against the model."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from raygenex.config.data import DataConfig
from raygenex.config.features import FeatureConfig
from raygenex.data.feature_values import features_of_model, values_of_features, warn_of_unseen_gaps
from raygenex.data.hdf5.read import inspect, read_table
from raygenex.data.hdf5.schema import PromoterFile
from raygenex.data.repeats import Repeat, first_repeat
from raygenex.data.rows import PromoterRows
from raygenex.errors import DataError
from raygenex.predict.training_range import check_range
from raygenex.sequence import crop_start
from raygenex.train.checkpoint import CheckpointInfo

NO_DNA = "add the promoters, or score it with a model of kind cnn_halflife_only"
"""What to do about data without promoters and a model that reads them."""


def open_genes(paths: list[str], info: CheckpointInfo, data: DataConfig, strict: bool = False) -> PromoterRows:
    """Open HDF5 files for a model, labels not needed; warn of features far outside those of its training.

    Of ``data``, the window and the features count.

    A model that reads no DNA scores files of any window, with promoters or without, and their bases are not read.

    Raises
    ------
    DataError
        If a file breaks the schema, a gene is in two files, the window is not the model's, or features are far outside
        those of its training and ``strict``.
    """
    files = tuple(inspect(path, require_label=False) for path in paths)
    extremes: list[NDArray[np.float32]] = []
    window = data.window

    def ids() -> Iterator[NDArray[np.object_]]:
        for file in files:
            table = read_table(file)
            extremes.extend((table.halflife.min(axis=0), table.halflife.max(axis=0)))
            yield table.gene_id

    if (repeat := first_repeat(ids)) is not None:
        raise repeated_gene(repeat, files)
    wanted = info.inputs.window
    for file in files:
        refuse_other_scale(file.path, file.halflife_scale, info)
        if not info.reads_dna:
            continue
        if not file.window:
            raise DataError(f"the model reads {wanted} bases a promoter and {file.path} has no promoters: {NO_DNA}")
        given = min(window, file.window) if window else file.window
        if given != wanted:
            cropped = f", cropped to {given} by data.window" if given < file.window else ""
            hint = f"set data.window to {wanted} to crop it" if file.window > wanted else "it cannot be stretched"
            raise DataError(
                f"the model reads {wanted} bases a promoter and {file.path} has {file.window}{cropped}: {hint}"
            )
        if file.first is not None:
            refuse_other_place(file.path, file.first + crop_start(file.window, wanted), info)
    where = ", ".join(file.path for file in files)
    features = None
    if info.reads_other_features:
        # Read again: files of any number are looked at without holding their genes, for most models.
        tables = [read_table(file) for file in files]
        gene_id, eight = (
            np.concatenate([getattr(table, name) for table in tables]) for name in ("gene_id", "halflife")
        )
        features = features_of_genes(info, data.features, gene_id, eight, files, where)
    known = np.array(extremes) if features is None else features
    check_range(known, info.inputs.features, info.checked_range, where, strict)
    return PromoterRows(files, wanted if info.reads_dna else 0, "predict", features)


def features_of_genes(
    info: CheckpointInfo,
    given: Sequence[FeatureConfig],
    gene_id: NDArray[np.object_],
    eight: NDArray[np.float32],
    files: Sequence[PromoterFile],
    what: str,
) -> NDArray[np.float32] | None:
    """Return what a model reads of genes beside their DNA, where that is not the eight half-life features.

    Parameters
    ----------
    info
        The model.
    given
        ``data.features`` of the configuration at hand; what it does not name is where it was in training.
    gene_id, eight
        The genes, shape ``(N,)``, and their half-life features, ``(N, 8)``.
    files
        Those that hold the genes, in their order; none of an annotation's.
    what
        The genes, for sentences.

    Returns
    -------
    Shape ``(N, features)``, NaN where there is no value; None for the eight.

    Raises
    ------
    DataError
        If a feature is nowhere, or holds no numbers.
    """
    if not info.reads_other_features:
        return None
    configs = features_of_model(info.inputs.features, given, info.run_config.data.features)
    found = values_of_features(configs, {"genes": gene_id}, {"genes": eight}, {"genes": files})["genes"]
    warn_of_unseen_gaps(info.inputs.features, info.inputs.lacking, found, what)
    return found


def refuse_other_scale(what: str, scale: str, info: CheckpointInfo) -> None:
    """Raise a DataError if the half-life features of ``what`` are scaled otherwise than those of the model."""
    if scale != info.inputs.halflife_scale:
        raise DataError(
            f"the model of run {info.run_config.name} was trained on lengths that are {info.inputs.halflife_scale}, "
            f"and those of {what} are {scale}: use a model and data whose half-life features were made in one way"
        )


def refuse_other_place(what: str, first: int, info: CheckpointInfo) -> None:
    """Raise a DataError if the windows of ``what`` begin elsewhere around the TSS than those of the model.

    A model from files that did not say it, or of an older version, reads any.
    """
    if info.inputs.first not in (None, first):
        raise DataError(
            f"the model of run {info.run_config.name} was trained on windows that begin at base {info.inputs.first:+} "
            f"from the TSS, and those of {what} begin at {first:+}: use promoters that were cut at the same place"
        )


def repeated_gene(repeat: Repeat, files: Sequence[PromoterFile]) -> DataError:
    """Return the error that names a gene and the two files that hold it."""
    path, other = (files[table].path for table in repeat.tables)
    return DataError(f"gene {repeat.id} is in {path} and in {other}: remove it from one of them")
