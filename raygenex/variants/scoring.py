"""The logit of every window of a spool: in this process, or by actors on Ray."""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.cluster.connect import Request, connect
from raygenex.config.run import RunConfig
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.rows import Columns
from raygenex.errors import DataError
from raygenex.predict.predictor import Predictor
from raygenex.predict.scoring import may_stay
from raygenex.sequence import from_string
from raygenex.terminal.progress import progress
from raygenex.variants.genes import ScoredGenes
from raygenex.variants.spool import REFERENCE, SpooledPart
from raygenex.variants.windows import changed_window, reference_window


class WindowScorer:
    """Builds windows with and without variants and scores them: an actor of Ray Data, or a plain object.

    Parameters
    ----------
    folder
        The spool, which holds the genes.
    genome
        Path or URL of the FASTA.
    checkpoint
        Folder of the model.
    device
        Torch device.
    batch_size
        Windows per forward pass.
    threads
        Threads of torch in this process; None leaves them as they are.
    """

    def __init__(
        self, folder: str, genome: str, checkpoint: str, device: str, batch_size: int, threads: int | None
    ) -> None:
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        self._genes = ScoredGenes.load(Path(folder))
        self._genome = open_genome(genome)
        self._predictor = Predictor(checkpoint, device, batch_size)

    def __call__(self, batch: Columns) -> Columns:
        """Return the ``row`` and the ``logit`` of every edit; NaN for those that are not to be scored."""
        logit = np.full(len(batch["row"]), np.nan)
        wanted = np.flatnonzero(batch["scored"])
        step = self._predictor.batch_size
        with GenomeReader(self._genome) as reader:
            # Whole windows of one forward pass at a time: a block of long ones would fill the memory.
            for at in range(0, len(wanted), step):
                rows = wanted[at : at + step]
                logit[rows] = self._predictor.logits(
                    self._windows(batch, rows, reader), self._genes.halflife[batch["gene"][rows]]
                )
        return {"row": batch["row"], "logit": logit}

    def _windows(self, batch: Columns, rows: NDArray[np.intp], reader: GenomeReader) -> NDArray[np.uint8]:
        genes = self._genes
        alleles = [from_string(str(allele)) for allele in batch["allele"][rows]]
        longest = max(len(allele) for allele in alleles)
        margin = max(longest, int((batch["stop"][rows] - batch["start"][rows]).max()))
        windows = np.empty((len(rows), genes.window), dtype=np.uint8)
        around: dict[int, NDArray[np.uint8]] = {}
        for number, (row, allele) in enumerate(zip(rows, alleles, strict=True)):
            gene = int(batch["gene"][row])
            low, strand = int(genes.low[gene]), str(genes.strand[gene])
            if gene not in around:
                size = genes.window + 2 * margin
                around[gene] = reader.window(str(genes.chrom[gene]), low - margin + 1, "+", 0, size)
            start, stop = int(batch["start"][row]), int(batch["stop"][row])
            if start == REFERENCE:
                windows[number] = reference_window(around[gene], margin, strand)
            else:
                tss = int(genes.tss[gene])
                windows[number] = changed_window(around[gene], margin, low, tss, strand, start, stop, allele)
        return windows


def scored(
    config: RunConfig, parts: list[SpooledPart], spool: Path, genome: str, checkpoint: str, window: int
) -> Iterator[tuple[SpooledPart, NDArray[np.float64]]]:
    """Score all parts and yield each with its logits, in their order; few windows are scored in this process.

    Parameters
    ----------
    config
        Its sections variants and cluster.
    parts
        The files of rows, in the folder ``spool``.
    spool
        The folder, which holds the genes too.
    genome
        Path or URL of the FASTA.
    checkpoint
        Folder of the model.
    window
        Bases of each window.

    Raises
    ------
    ClusterError
        If the cluster cannot hold the work.
    DataError
        If rows do not come back in their order.
    """
    total = sum(part.rows for part in parts)
    if not total:
        return
    options = config.variants
    settings = (
        str(spool),
        genome,
        str(Path(checkpoint).absolute()),
        "cuda" if options.gpus_per_worker else "cpu",
        options.batch_size,
    )
    if total * window <= options.in_process and may_stay(config.cluster, options.gpus_per_worker):
        scorer = WindowScorer(*settings, None)
        blocks = (scorer(part.piece().read()) for part in parts)
    else:
        blocks = _on_ray(config, parts, settings)
    with contextlib.closing(blocks), progress("scoring variants, windows", total) as advance:
        yield from _by_part(parts, blocks, advance)


def _on_ray(config: RunConfig, parts: list[SpooledPart], settings: tuple[Any, ...]) -> Generator[Columns, None, None]:
    # Loaded before Ray starts, which then silences its notes.
    from raygenex.data.source import by_actors

    options = config.variants
    request = Request(
        "scoring variants", options.workers, options.cpus_per_worker, options.gpus_per_worker, "variants.workers"
    )
    with connect(config.cluster, request):
        pieces, arguments = [part.piece() for part in parts], (*settings, max(1, int(options.cpus_per_worker)))
        sample = parts[0].piece(1)
        yield from by_actors(pieces, sample, WindowScorer, arguments, request, options.workers, options.workers)


def _by_part(
    parts: list[SpooledPart], blocks: Iterator[Columns], advance: Any
) -> Iterator[tuple[SpooledPart, NDArray[np.float64]]]:
    """Yield each part with its logits, however the rows, which come in order, are cut into blocks."""
    waiting = np.empty(0)
    number = 0
    for block in blocks:
        if not len(block["row"]):
            continue
        expected = parts[number].first + len(waiting)
        if not np.array_equal(block["row"], np.arange(expected, expected + len(block["row"]))):
            raise DataError("scoring variants returned windows out of order: run it again")
        waiting = np.concatenate([waiting, block["logit"]])
        while number < len(parts) and len(waiting) >= parts[number].rows:
            part = parts[number]
            yield part, waiting[: part.rows]
            advance(part.rows, "")
            waiting = waiting[part.rows :]
            number += 1
