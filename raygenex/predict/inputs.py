"""The genes that a prediction reads, checked against the model."""

from raygenex.data.hdf5.read import inspect, read_table
from raygenex.data.hdf5.schema import PromoterFile
from raygenex.data.opening import all_distinct
from raygenex.data.rows import PromoterRows
from raygenex.errors import DataError
from raygenex.train.checkpoint import CheckpointInfo

NO_DNA = "add the promoters, or score it with a model of kind cnn_halflife_only"
"""What to do about data without promoters and a model that reads them."""


def open_genes(paths: list[str], info: CheckpointInfo, window: int | None) -> PromoterRows:
    """Open HDF5 files for a model, labels not needed.

    A model that reads no DNA scores files of any window, with promoters or without, and their bases are not read.

    Raises
    ------
    DataError
        If a file breaks the schema, a gene stands in two files, or the window is not the model's.
    """
    files = tuple(inspect(path, require_label=False) for path in paths)
    _check_unique(files)
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
    return PromoterRows(files, wanted if info.reads_dna else 0, "predict")


def refuse_other_scale(what: str, scale: str, info: CheckpointInfo) -> None:
    """Raise a DataError if the half-life features of ``what`` are scaled otherwise than those of the model."""
    if scale != info.inputs.halflife_scale:
        raise DataError(
            f"the model of run {info.run_config.name} was trained on lengths that are {info.inputs.halflife_scale}, "
            f"and those of {what} are {scale}: use a model and data whose half-life features were made in one way"
        )


def _check_unique(files: tuple[PromoterFile, ...]) -> None:
    if all_distinct(read_table(file).gene_id for file in files):
        return
    owner: dict[str, str] = {}
    for file in files:
        for gene in read_table(file).gene_id:
            if gene in owner:
                raise DataError(f"gene {gene} stands in {owner[gene]} and in {file.path}: remove it from one of them")
            owner[str(gene)] = file.path
