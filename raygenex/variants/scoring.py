"""The logit, or the outputs for targets, of every window of a spool: in this process, or by actors on Ray."""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex.cluster.connect import Request, connect
from raygenex.cluster.torch_process import prepare_process
from raygenex.config.run import RunConfig
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.rows import Columns
from raygenex.errors import DataError
from raygenex.predict.predictor import Predictor
from raygenex.predict.scoring import may_stay
from raygenex.terminal.progress import progress
from raygenex.variants.cutting import Edits, cut_windows
from raygenex.variants.genes import ScoredGenes
from raygenex.variants.nearby import nearby_logits
from raygenex.variants.spool import SpooledPart


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
    cpus
        Logical CPUs of this process; None in one that others use too, which stays as it is.
    """

    def __init__(
        self, folder: str, genome: str, checkpoint: str, device: str, batch_size: int, cpus: float | None
    ) -> None:
        if cpus is not None:
            prepare_process(cpus)
        self._genes = ScoredGenes.load(Path(folder))
        self._genome = open_genome(genome)
        self._predictor = Predictor(checkpoint, device, batch_size)
        self._nearby = nearby_logits(self._predictor)
        targets = self._predictor.targets
        self._outputs = (sum(target.outputs for target in targets),) if targets else ()
        # Genes that lie side by side are read together.
        self._place = np.empty(len(self._genes.gene_id), dtype=np.intp)
        self._place[np.lexsort((self._genes.low, self._genes.chrom))] = np.arange(len(self._place))

    def __call__(self, batch: Columns) -> Columns:
        """Return the ``row`` and the ``logit`` of every edit; NaN for those that are not to be scored.

        Logits are ``(n,)``, or ``(n, outputs)`` of a model of targets.
        """
        logit = np.full((len(batch["row"]), *self._outputs), np.nan)
        wanted = np.flatnonzero(batch["scored"])
        # Ray hands texts over as objects.
        allele = batch["allele"].astype(np.str_)
        with GenomeReader(self._genome) as reader:
            for rows in self._by_gene(batch, wanted) if self._nearby else self._by_row(wanted):
                genes, of = np.unique(batch["gene"][rows], return_inverse=True)
                edits = Edits(of, batch["start"][rows], batch["stop"][rows], allele[rows])
                windows, changed = cut_windows(self._genes, genes, edits, reader, self._genome.lengths)
                if self._nearby:
                    found = self._nearby.logits(windows, self._genes.halflife[genes], of, changed)
                else:
                    found = self._predictor.logits(changed, self._genes.halflife[batch["gene"][rows]])
                logit[rows] = found.reshape(len(rows), *self._outputs)
        return {"row": batch["row"], "logit": logit}

    def _by_row(self, wanted: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """Yield the rows of one forward pass at a time: a block of long windows would fill the memory."""
        step = self._predictor.batch_size
        for at in range(0, len(wanted), step):
            yield wanted[at : at + step]

    def _by_gene(self, batch: Columns, wanted: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """Yield all rows of some genes at a time, or a part of those of a gene that has many."""
        assert self._nearby is not None
        place = self._place[batch["gene"][wanted]]
        order = np.argsort(place, kind="stable")
        wanted, place = wanted[order], place[order]
        begins = np.flatnonzero(np.diff(place, prepend=-1))
        at = 0
        while at < len(wanted):
            later = begins[np.searchsorted(begins, at, side="right") :]
            stop = later[self._nearby.genes - 1] if len(later) >= self._nearby.genes else len(wanted)
            stop = min(int(stop), at + self._nearby.rows)
            yield wanted[at:stop]
            at = stop


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
        pieces, arguments = [part.piece() for part in parts], (*settings, options.cpus_per_worker)
        sample = parts[0].piece(1)
        yield from by_actors(pieces, sample, WindowScorer, arguments, request, options.workers, options.workers)


def _by_part(
    parts: list[SpooledPart], blocks: Iterator[Columns], advance: Any
) -> Iterator[tuple[SpooledPart, NDArray[np.float64]]]:
    """Yield each part with its logits, however the rows, which come in order, are cut into blocks."""
    waiting: NDArray[np.float64] | None = None
    number = 0
    for block in blocks:
        if not len(block["row"]):
            continue
        waiting = block["logit"][:0] if waiting is None else waiting
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
