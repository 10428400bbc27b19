"""Scores of many genes, in this process or by actors of Ray Data."""

import contextlib
import logging
from collections.abc import Generator, Iterator

import numpy as np

from raygenex.cluster.connect import Request, connect
from raygenex.cluster.embedded import is_connected, named_address
from raygenex.cluster.torch_process import prepare_process, threads
from raygenex.config.run import RunConfig
from raygenex.config.services import ClusterConfig
from raygenex.data.rows import Columns, Rows, blocks
from raygenex.errors import DataError
from raygenex.predict.predictor import Predictor
from raygenex.terminal.progress import progress

logger = logging.getLogger(__name__)


class Scorer:
    """A `Predictor` of blocks of genes: an actor of Ray Data, or in this process."""

    def __init__(self, checkpoint: str, device: str, batch_size: int, cpus: float | None) -> None:
        # In a process that others use too, nothing is changed.
        if cpus is not None:
            prepare_process(cpus)
        self._predictor = Predictor(checkpoint, device, batch_size)

    def __call__(self, batch: Columns) -> Columns:
        """Replace the inputs of a block by ``probability``, or by ``outputs`` of a model of targets."""
        kept = {name: batch[name] for name in ("gene_id", "row", "label") if name in batch}
        if self._predictor.targets:
            return kept | {"outputs": self._predictor.logits(batch["sequence"], batch["halflife"])}
        return kept | {"probability": self._predictor.score(batch["sequence"], batch["halflife"])}


def score_rows(rows: Rows, checkpoint: str, config: RunConfig, what: str) -> Columns:
    """Score a table of genes and hold all scores.

    Returns
    -------
    ``gene_id``, ``probability`` (of a model of targets ``outputs``, as `Predictor.logits`) and, where the table has
    them, ``label``, in row order; one entry per gene.

    Raises
    ------
    DataError
        If the scored genes are not those of the table.
    """
    parts = list(iter_scores(rows, checkpoint, config, what))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def iter_scores(rows: Rows, checkpoint: str, config: RunConfig, what: str) -> Iterator[Columns]:
    """Score a table of genes block by block: on Ray, or in this process where no other would help.

    Yields
    ------
    What `score_rows` returns, for consecutive rows from the first to the last.

    Raises
    ------
    DataError
        If the scored genes are not those of the table.
    """
    reached = 0
    scored = _in_process(rows, checkpoint, config) if _alone(config) else _on_ray(rows, checkpoint, config, what)
    with contextlib.closing(scored), progress(f"{what}, genes", rows.count) as advance:
        for batch in scored:
            # The cluster hands blocks out in the order of their rows, whatever it lost and made again.
            if not np.array_equal(batch["row"], np.arange(reached, reached + len(batch["row"]))):
                break
            reached += len(batch["row"])
            yield {name: np.array(column) for name, column in batch.items() if name != "row"}
            advance(len(batch["row"]), "")
    if reached != rows.count:
        raise DataError(f"{what} returned {reached} of {rows.count} genes in order: run it again")


def may_stay(cluster: ClusterConfig, gpus_per_worker: float) -> bool:
    """Whether scoring may be done in this process: no cluster is named, and no GPU of its workers is wanted.

    Here that is enough for one worker, unless a Ray is there. Windows of variants are told by their number
    (``variants.in_process``): a few are scored sooner than several workers start, and whether a Ray is there does not
    matter; many go to a worker, which makes windows while this process writes what it scored.
    """
    return not gpus_per_worker and not named_address(cluster)


def _alone(config: RunConfig) -> bool:
    """Whether one process would do all the work, and no Ray is there to do it."""
    options = config.predict
    return options.workers == 1 and may_stay(config.cluster, options.gpus_per_worker) and not is_connected()


def _in_process(rows: Rows, checkpoint: str, config: RunConfig) -> Generator[Columns, None, None]:
    options = config.predict
    logger.info("one worker: scoring in this process")
    with threads(max(1, int(options.cpus_per_worker))):
        score = Scorer(checkpoint, "cpu", options.batch_size, None)
        for piece in blocks(rows):
            yield score(piece.read())


def _on_ray(rows: Rows, checkpoint: str, config: RunConfig, what: str) -> Generator[Columns, None, None]:
    # Loaded before Ray starts, which then silences its notes.
    from raygenex.data.source import by_actors

    options = config.predict
    request = Request(what, options.workers, options.cpus_per_worker, options.gpus_per_worker, "predict.workers")
    with connect(config.cluster, request):
        device = "cuda" if options.gpus_per_worker else "cpu"
        arguments = (checkpoint, device, options.batch_size, options.cpus_per_worker)
        sample = rows.pieces(0, 1, 1)[0]
        yield from by_actors(blocks(rows), sample, Scorer, arguments, request, options.workers, options.workers)
