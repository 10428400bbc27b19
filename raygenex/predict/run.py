"""Scoring genes with a checkpoint: in one process, or through Ray Data on a cluster."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raygenex.cluster.connect import Request, connect
from raygenex.config.run import RunConfig
from raygenex.data.hdf5.read import inspect, read_table
from raygenex.data.hdf5.schema import PromoterFile
from raygenex.data.repeats import all_distinct
from raygenex.data.rows import Columns, PromoterRows, Rows
from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.files.locate import locate
from raygenex.predict.table import open_predictions
from raygenex.terminal.progress import progress
from raygenex.train.checkpoint import BACKBONE, CheckpointInfo, load_checkpoint

SUFFIXES = (".parquet", ".csv")
NO_DNA = "add the promoters, or score it with a model of kind cnn_halflife_only"
"""What to do about data without promoters and a model that reads them."""


class Predictor:
    """A checkpoint ready to score base indices, or the embeddings that it was trained on.

    Parameters
    ----------
    checkpoint
        Folder of a trained model; if it reads embeddings, its ``backbone`` folder holds the network that makes them.
    device
        Torch device.
    batch_size
        Genes a forward pass.

    Raises
    ------
    CheckpointError
        If a part of the checkpoint is missing or damaged.
    """

    def __init__(self, checkpoint: str | Path, device: str = "cpu", batch_size: int = 32) -> None:
        self.model, self.info = load_checkpoint(checkpoint)
        self.model = self.model.to(device)
        self.device = device
        self.batch_size = batch_size
        config = self.info.run_config
        self.settings = config.embed.model_dump(mode="json") | {"precision": config.embed_precision}
        self.backbone: Any = None
        self._folder = Path(checkpoint, BACKBONE)
        if self.info.threshold is None:
            raise CheckpointError(
                f"checkpoint {checkpoint} has no threshold: it is an unfinished epoch, train to the end"
            )

    @property
    def threshold(self) -> float:
        """The probability from which a gene is called high, chosen on valid."""
        assert self.info.threshold is not None, "checked when loading"
        return self.info.threshold

    def score(self, sequence: np.ndarray, halflife: np.ndarray) -> np.ndarray:
        """Return the probability of high expression, shape ``(n,)``, float64, in [0, 1]; arguments as in `logits`."""
        import torch

        return torch.sigmoid(torch.from_numpy(self.logits(sequence, halflife))).numpy()

    def logits(self, sequence: np.ndarray, halflife: np.ndarray) -> np.ndarray:
        """Return the log-odds of high expression.

        Parameters
        ----------
        sequence
            Base indices, shape ``(n, window)``, uint8; or embeddings, shape ``(n, bins, channels)``.
        halflife
            Features in their own units, shape ``(n, 8)``.

        Returns
        -------
        Shape ``(n,)``, float64.
        """
        import torch

        from raygenex.embed.inference import embed_sequences

        embeds = self.info.inputs.kind == "embedding" and sequence.ndim == 2 and self.model.uses_dna
        if embeds and len(sequence):
            self.load_backbone()
        parts = [np.empty(0)]
        with torch.inference_mode():
            for start in range(0, len(sequence), self.batch_size):
                rows = slice(start, start + self.batch_size)
                inputs = sequence[rows]
                if embeds:
                    # Batch by batch: embeddings of every base are thousands of times larger than the bases.
                    size = self.settings["batch_size"]
                    inputs = embed_sequences(self.backbone, inputs, self.settings, self.device, size)
                logits = self.model(
                    torch.from_numpy(np.array(inputs)).to(self.device),
                    torch.from_numpy(np.array(halflife[rows], dtype=np.float32)).to(self.device),
                )
                parts.append(logits.double().cpu().numpy())
        return np.concatenate(parts)

    def load_backbone(self) -> None:
        """Load the network that embeds bases, once, and check that it is the one that the model was trained with."""
        from raygenex.embed.hyenadna.weights import load_backbone, weights_sha256

        if self.backbone is not None:
            return
        backbone = load_backbone(str(self._folder), None)
        if weights_sha256(backbone) != self.info.backbone_sha256:
            raise CheckpointError(
                f"{self._folder} holds other weights than the model was trained on: restore the checkpoint"
            )
        self.backbone = backbone.to(self.device).eval()


class Scorer:
    """A Ray Data actor around a `Predictor`."""

    def __init__(self, checkpoint: str, device: str, batch_size: int, cpus: float) -> None:
        import torch

        torch.set_num_threads(max(1, int(cpus)))
        self._predictor = Predictor(checkpoint, device, batch_size)

    def __call__(self, batch: Columns) -> Columns:
        """Replace the inputs of a block by probabilities."""
        kept = {name: batch[name] for name in ("gene_id", "row", "label") if name in batch}
        return kept | {"probability": self._predictor.score(batch["sequence"], batch["halflife"])}


def score_rows(rows: Rows, checkpoint: str, config: RunConfig, what: str) -> Columns:
    """Score a table of genes on the cluster and hold all scores.

    Returns
    -------
    ``gene_id``, ``probability`` and, where the table has them, ``label``, in row order; one entry a gene.

    Raises
    ------
    DataError
        If the scored genes are not those of the table.
    """
    parts = list(iter_scores(rows, checkpoint, config, what))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def iter_scores(rows: Rows, checkpoint: str, config: RunConfig, what: str) -> Iterator[Columns]:
    """Score a table of genes on the cluster, block by block.

    Yields
    ------
    What `score_rows` returns, for consecutive rows from the first to the last.

    Raises
    ------
    DataError
        If the scored genes are not those of the table.
    """
    import ray.data

    from raygenex.data.source import UNCOUNTED_READS, rows_dataset

    options = config.predict
    request = Request(what, options.workers, options.cpus_per_worker, options.gpus_per_worker, "predict.workers")
    reached = 0
    with connect(config.cluster, request), progress(f"{what}, genes", rows.count) as advance:
        # Reads take no CPU, as in embedding: those that were free may go to the actors of a node that was lost.
        scored = rows_dataset(rows, uncounted=max(UNCOUNTED_READS, options.workers)).map_batches(
            Scorer,
            fn_constructor_args=(
                checkpoint,
                "cuda" if options.gpus_per_worker else "cpu",
                options.batch_size,
                options.cpus_per_worker,
            ),
            batch_size=None,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=options.workers),
            num_cpus=options.cpus_per_worker,
            num_gpus=options.gpus_per_worker or None,
        )
        for batch in scored.iter_batches(batch_size=None, batch_format="numpy"):
            # The cluster hands blocks out in the order of their rows, whatever it lost and made again.
            if not np.array_equal(batch["row"], np.arange(reached, reached + len(batch["row"]))):
                break
            reached += len(batch["row"])
            yield {name: np.array(column) for name, column in batch.items() if name != "row"}
            advance(len(batch["row"]), "")
    if reached != rows.count:
        raise DataError(f"{what} returned {reached} of {rows.count} genes in order: run it again")


@dataclass(frozen=True)
class PredictResult:
    """Where the predictions are, how many genes, and how many of them are called high."""

    output: str
    genes: int
    high: int
    threshold: float


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


def predict(config: RunConfig, inputs: list[str], checkpoint: str, output: str, force: bool = False) -> PredictResult:
    """Score the genes of HDF5 files with a checkpoint and write ``gene_id``, ``probability`` and ``prediction``.

    Parameters
    ----------
    config
        Gives ``data.window``, the ``predict`` section and the cluster.
    inputs
        HDF5 paths, globs or URLs; labels are not needed and not read.
    checkpoint
        Folder of a trained model.
    output
        A ``.parquet`` or ``.csv`` file.
    force
        Whether an existing output may be replaced.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the output, the data or the checkpoint cannot be used; nothing is written then.
    """
    target = Path(output)
    rows, info = open_prediction(config, inputs, checkpoint, target, force)
    assert info.threshold is not None, "checked when opening"
    high = 0
    # Scores go to the file as they come: only what is in flight is in memory.
    with open_predictions(target) as add:
        for scored in iter_scores(rows, str(Path(checkpoint).absolute()), config, "prediction"):
            calls = (scored["probability"] >= info.threshold).astype(np.int8)
            add(scored["gene_id"], scored["probability"], calls)
            high += int(calls.sum())
    return PredictResult(str(target), rows.count, high, info.threshold)


def open_prediction(
    config: RunConfig, inputs: list[str], checkpoint: str, target: Path, force: bool
) -> tuple[PromoterRows, CheckpointInfo]:
    """Check everything that `predict` needs; return the genes to score and the model's description."""
    output = str(target)
    if target.suffix not in SUFFIXES:
        raise ConfigError(f"output {output} must end in {' or '.join(SUFFIXES)}")
    if target.exists() and not force:
        raise ConfigError(f"output {output} exists: pass --force to replace it")
    if not target.absolute().parent.is_dir():
        raise ConfigError(f"the folder of output {output} does not exist: make it first")
    # Loaded here as well, so that what is wrong with it is said before a cluster is started.
    predictor = Predictor(checkpoint)
    rows = open_genes(locate(inputs, "the input"), predictor.info, config.data.window)
    if predictor.info.inputs.kind == "embedding" and predictor.info.reads_dna:
        predictor.load_backbone()
    with tempfile.TemporaryFile(dir=target.absolute().parent):
        pass
    return rows, predictor.info
